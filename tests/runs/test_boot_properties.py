"""Which proof makes a server ACTIVE, and the word by which its guest gives one."""

import pytest

from app.runs.boot_properties import check_boot_properties, merged
from app.runs.tickets import phone_home
from config.settings import load_control
from tasks.errors import RequestError
from tasks.messages import AttemptRef

RUN = AttemptRef(run_id="r", attempt=1)


def test_the_servers_own_word_wins_over_the_images() -> None:
    image = {"byre_boot_proof": "agent", "byre_boot_limit": "9", "hw_disk_bus": "ide"}
    server = {"byre_boot_proof": "first_boot", "role": "web"}
    assert merged(image, server) == {"byre_boot_proof": "first_boot", "byre_boot_limit": "9"}
    assert merged({}, {"role": "web"}) == {}


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ({"byre_boot_proof": "phone"}, "byre_boot_proof"),
        ({"byre_boot_proof": ""}, "byre_boot_proof"),
        ({"byre_boot_proof": "console"}, "byre_boot_text"),
        ({"byre_boot_limit": "soon"}, "byre_boot_limit"),
        ({"byre_boot_limit": "nan"}, "byre_boot_limit"),
        ({"byre_boot_limit": "1e9"}, "byre_boot_limit"),
    ],
)
def test_a_word_that_means_nothing_is_refused_by_name(words: dict[str, str], named: str) -> None:
    with pytest.raises(RequestError, match=named):
        check_boot_properties(merged({}, words))


def test_each_attempt_has_a_word_of_its_own_that_is_made_again() -> None:
    ours, theirs = (load_control({"BYRE_SECRET_KEY": letter * 32}) for letter in "kl")
    word = phone_home(ours, RUN)
    assert word == phone_home(ours, RUN)
    others = [
        phone_home(ours, AttemptRef(run_id="r", attempt=2)),
        phone_home(ours, AttemptRef(run_id="s", attempt=1)),
        phone_home(theirs, RUN),
    ]
    assert len({word, *others}) == 4
    assert len(word) == 40
