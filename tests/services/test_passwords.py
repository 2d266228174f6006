"""Passwords: who does not exist takes as long to refuse as who does."""

import time

from app.services.passwords import hash_password, password_fits


def test_the_right_one_fits_and_no_other() -> None:
    kept = hash_password("right")

    assert password_fits("right", kept)
    assert not password_fits("wrong", kept)
    assert not password_fits("right", "no hash at all")


def test_nobody_has_a_password_not_even_the_one_that_is_compared_with() -> None:
    assert not password_fits("nobody has this password", None)


def test_nobody_takes_as_long_as_somebody() -> None:
    kept = hash_password("right")

    somebody, nobody = (min(seconds(stored) for _ in range(5)) for stored in (kept, None))

    assert nobody > somebody / 3


def seconds(stored: str | None) -> float:
    """Return the processor time that it takes: what else the machine does is not in it."""
    began = time.process_time()
    password_fits("wrong", stored)
    return time.process_time() - began
