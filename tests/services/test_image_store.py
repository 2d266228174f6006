"""The image store: whole files or none."""

import hashlib
import io
from pathlib import Path

import pytest

from app.services.image_store import ImageStore
from tasks.errors import RequestError, TooLarge

DATA = b"\x01\x02" * 1000


def names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def test_what_is_received_and_put_is_there(tmp_path: Path) -> None:
    store = ImageStore(tmp_path)

    with store.receive("one", io.BytesIO(DATA), limit=2000, expected=2000) as received:
        assert received.path.read_bytes() == DATA
        store.put("one", received)

    assert store.path("one").read_bytes() == DATA
    assert names(tmp_path) == ["one"]
    assert received.size_bytes == 2000
    assert received.sha256 == hashlib.sha256(DATA).hexdigest()
    assert received.sha512 == hashlib.sha512(DATA).hexdigest()


def test_what_is_not_put_is_gone(tmp_path: Path) -> None:
    with ImageStore(tmp_path).receive("one", io.BytesIO(DATA), limit=2000):
        pass

    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("limit", "expected", "kind"),
    [(1999, None, TooLarge), (1999, 2000, TooLarge), (5000, 2001, RequestError)],
)
def test_what_is_too_long_or_too_short_is_gone(
    tmp_path: Path, limit: int, expected: int | None, kind: type[Exception]
) -> None:
    store = ImageStore(tmp_path)

    with (
        pytest.raises(kind),
        store.receive("one", io.BytesIO(DATA), limit=limit, expected=expected),
    ):
        pytest.fail("this was received")

    assert names(tmp_path) == []


class Broken:
    """A source that gives some bytes and then breaks."""

    def __init__(self) -> None:
        self._reads = 0

    def read(self, _: int, /) -> bytes:
        """Return bytes once."""
        self._reads += 1
        if self._reads > 1:
            raise ConnectionResetError("gone")
        return DATA


def test_a_source_that_breaks_is_the_requests_fault(tmp_path: Path) -> None:
    with (
        pytest.raises(RequestError, match="broke off: gone"),
        ImageStore(tmp_path).receive("one", Broken(), limit=10_000),
    ):
        pytest.fail("this was received")

    assert names(tmp_path) == []


def test_a_reader_reads_on_after_the_removal(tmp_path: Path) -> None:
    store = ImageStore(tmp_path)
    with store.receive("one", io.BytesIO(DATA), limit=2000) as received:
        store.put("one", received)

    with store.path("one").open("rb") as reader:
        store.remove("one")
        store.remove("one")
        assert reader.read() == DATA
    assert names(tmp_path) == []


def test_what_a_dead_process_was_receiving_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".one.draft.part").write_bytes(DATA)
    (tmp_path / "two").write_bytes(DATA)

    assert ImageStore(tmp_path).remove_abandoned() == set()
    assert names(tmp_path) == ["two"]


def test_what_is_being_received_is_left_alone_until_its_record_says_so(tmp_path: Path) -> None:
    store = ImageStore(tmp_path)

    with store.receive("one", io.BytesIO(DATA), limit=2000) as received:
        assert store.remove_abandoned() == {"one"}
        store.put("one", received)
        assert store.remove_abandoned() == {"one"}

    assert names(tmp_path) == ["one"]
    assert store.path("one").read_bytes() == DATA
