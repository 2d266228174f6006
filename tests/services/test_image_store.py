"""The image store: whole files or none. One contract, on a directory and on a real server of S3."""

import hashlib
import io
import os
from pathlib import Path

import pytest

from app.services.image_store import ImageStore
from app.services.image_store.directory import DirectoryStore
from tasks.errors import NotFound, RequestError, TooLarge
from tests.object_stores import SwiftServer
from tests.services.stores import s3_store

ONE, TWO = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
DATA = b"\x01\x02" * 1000
#: More than one part, and more than one piece.
LARGE = os.urandom(1 << 20) * 20 + b"end"


@pytest.fixture(params=["directory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ImageStore:
    """A store; what is local of it lies in the test's directory."""
    if request.param == "directory":
        return DirectoryStore(tmp_path)
    swift: SwiftServer = request.getfixturevalue("swift")
    return s3_store(swift, tmp_path)


def put(store: ImageStore, image_id: str, data: bytes) -> None:
    with store.receive(image_id, io.BytesIO(data), limit=len(data)) as received:
        store.put(image_id, received)


def content(store: ImageStore, image_id: str) -> bytes:
    with store.open(image_id) as file:
        return file.read()


def local(directory: Path) -> set[str]:
    """Return what there is of uploads on this machine."""
    return {path.name for path in directory.iterdir() if path.suffix == ".part"}


def test_what_is_received_and_put_is_there(store: ImageStore, tmp_path: Path) -> None:
    with store.receive(ONE, io.BytesIO(DATA), limit=2000, expected=2000) as received:
        assert received.path.read_bytes() == DATA
        store.put(ONE, received)

    assert content(store, ONE) == DATA
    assert local(tmp_path) == set()
    assert received.size_bytes == 2000
    assert received.md5 == hashlib.md5(DATA, usedforsecurity=False).hexdigest()
    assert received.sha256 == hashlib.sha256(DATA).hexdigest()
    assert received.sha512 == hashlib.sha512(DATA).hexdigest()


def test_what_is_large_is_the_same_afterwards(store: ImageStore) -> None:
    put(store, ONE, LARGE)

    assert content(store, ONE) == LARGE


def test_what_is_put_again_is_the_latter(store: ImageStore) -> None:
    put(store, ONE, LARGE)
    put(store, ONE, DATA)

    assert content(store, ONE) == DATA


def test_it_is_read_from_anywhere(store: ImageStore) -> None:
    put(store, ONE, LARGE)

    with store.open(ONE) as file:
        assert file.seekable()
        assert file.seek(-3, os.SEEK_END) == len(LARGE) - 3
        assert file.read() == b"end"
        assert file.read() == b""
        assert file.seek(5_000_000) == 5_000_000
        assert file.read(10) == LARGE[5_000_000:5_000_010]
        assert file.tell() == 5_000_010
        file.seek(0)
        assert file.read(2**21) == LARGE[: 2**21]
        file.seek(len(LARGE) + 7)
        assert file.read(1) == b""


def test_what_is_not_put_is_gone(store: ImageStore, tmp_path: Path) -> None:
    with store.receive(ONE, io.BytesIO(DATA), limit=2000):
        pass

    assert local(tmp_path) == set()
    with pytest.raises(NotFound):
        store.open(ONE)


@pytest.mark.parametrize(
    ("limit", "expected", "kind"),
    [(1999, None, TooLarge), (1999, 2000, TooLarge), (5000, 2001, RequestError)],
)
def test_what_is_too_long_or_too_short_is_gone(
    store: ImageStore, tmp_path: Path, limit: int, expected: int | None, kind: type[Exception]
) -> None:
    with (
        pytest.raises(kind),
        store.receive(ONE, io.BytesIO(DATA), limit=limit, expected=expected),
    ):
        pytest.fail("this was received")

    assert local(tmp_path) == set()


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


def test_a_source_that_breaks_is_the_requests_fault(store: ImageStore, tmp_path: Path) -> None:
    with (
        pytest.raises(RequestError, match="broke off: gone"),
        store.receive(ONE, Broken(), limit=10_000),
    ):
        pytest.fail("this was received")

    assert local(tmp_path) == set()


def test_what_is_removed_is_gone_and_can_be_removed_again(store: ImageStore) -> None:
    put(store, ONE, DATA)
    put(store, TWO, DATA)

    store.remove(ONE)
    store.remove(ONE)

    with pytest.raises(NotFound):
        store.open(ONE)
    assert content(store, TWO) == DATA


def test_what_a_dead_process_was_receiving_is_removed(store: ImageStore, tmp_path: Path) -> None:
    put(store, TWO, DATA)
    (tmp_path / f".{ONE}.draft.part").write_bytes(DATA)

    assert store.remove_abandoned() == set()
    assert local(tmp_path) == set()
    assert content(store, TWO) == DATA


def test_what_is_being_received_is_left_alone_until_its_record_says_so(
    store: ImageStore, tmp_path: Path
) -> None:
    with store.receive(ONE, io.BytesIO(DATA), limit=2000) as received:
        assert store.remove_abandoned() == {ONE}
        store.put(ONE, received)
        assert store.remove_abandoned() == {ONE}

    assert local(tmp_path) == set()
    assert content(store, ONE) == DATA


def test_what_is_whole_is_no_unfinished_upload(store: ImageStore) -> None:
    put(store, ONE, LARGE)

    store.stop_unfinished(set)

    assert content(store, ONE) == LARGE


def test_a_reader_of_a_file_reads_on_after_its_removal(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    put(store, ONE, DATA)

    with store.open(ONE) as reader:
        store.remove(ONE)
        assert reader.read() == DATA
    assert list(tmp_path.iterdir()) == []
