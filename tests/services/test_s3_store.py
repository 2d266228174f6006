"""The store in a bucket: what only it can do, and what can happen to it only."""

import io
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from app.services.image_store.s3 import PART_BYTES, S3Store
from config.image_place import S3Place
from tasks.errors import NotFound, StoreUnavailable
from tests.object_stores import BUCKET, SwiftServer
from tests.processes import free_port
from tests.services.stores import s3_store
from tests.services.test_image_store import DATA, LARGE, ONE, TWO, content, put

MIB = 2**20


class Asked:
    """What a store asks its server for."""

    def __init__(self, store: S3Store) -> None:
        self.ranges: list[str] = []
        self.operations: list[str] = []
        store._client.meta.events.register("before-send.s3", self._note)

    def _note(self, request: Any, event_name: str, **_: Any) -> None:
        operation = event_name.rpartition(".")[2]
        self.operations.append(operation)
        if operation == "GetObject":
            self.ranges.append(request.headers["Range"].decode())


@pytest.fixture
def store(swift: SwiftServer, tmp_path: Path) -> S3Store:
    return s3_store(swift, tmp_path)


def unfinished(store: S3Store) -> list[str]:
    """Return the images whose multipart uploads have begun and not ended."""
    return [image_id for image_id, _ in store._unfinished()]


def begin(store: S3Store, image_id: str) -> None:
    """Begin an upload in parts and leave it."""
    store._client.create_multipart_upload(**store._target(image_id))


def test_what_is_large_goes_in_parts(store: S3Store) -> None:
    asked = Asked(store)

    put(store, ONE, LARGE)

    assert len(LARGE) > PART_BYTES
    assert asked.operations.count("UploadPart") == 2
    assert unfinished(store) == []


def test_nothing_is_fetched_that_is_not_read(store: S3Store) -> None:
    put(store, ONE, LARGE)
    asked = Asked(store)

    with store.open(ONE) as file:
        file.seek(3_000_000)
        assert asked.ranges == []
        assert file.read(100) == LARGE[3_000_000:3_000_100]

    assert asked.ranges == [f"bytes=3000000-{3_000_000 + MIB - 1}"]


def test_a_long_read_takes_larger_and_larger_pieces(store: S3Store) -> None:
    put(store, ONE, LARGE)
    asked = Asked(store)

    assert content(store, ONE) == LARGE

    pieces = [(0, MIB), (MIB, 3 * MIB), (3 * MIB, 7 * MIB), (7 * MIB, 15 * MIB)]
    pieces.append((15 * MIB, len(LARGE)))
    assert asked.ranges == [f"bytes={first}-{end - 1}" for first, end in pieces]


def test_a_read_that_breaks_goes_on_where_it_was(store: S3Store) -> None:
    put(store, ONE, LARGE)
    with store.open(ONE) as file:
        begun = file.read(2 * MIB + 5)
        # The connection under the reader, cut off.
        file.raw._body._raw_stream.close()  # type: ignore[attr-defined]

        assert begun + file.read() == LARGE


def test_what_is_replaced_while_it_is_read_is_not_mixed(store: S3Store) -> None:
    put(store, ONE, LARGE)
    with store.open(ONE) as file:
        file.read(10)
        put(store, ONE, LARGE[::-1])

        with pytest.raises(StoreUnavailable):
            file.read()


def test_two_stores_share_a_bucket_by_their_prefixes(swift: SwiftServer, tmp_path: Path) -> None:
    outer, inner = (s3_store(swift, tmp_path, prefix) for prefix in ("shared", "shared/more"))
    none = s3_store(swift, tmp_path, "")
    put(outer, ONE, DATA)
    put(inner, ONE, DATA[:10])
    begin(inner, TWO)

    for other in (outer, none):
        other.stop_unfinished(set)
    outer.remove(ONE)

    assert unfinished(inner) == [TWO]
    assert content(inner, ONE) == DATA[:10]
    with pytest.raises(NotFound):
        none.open(ONE)
    inner.stop_unfinished(set)
    assert unfinished(inner) == []


def test_unfinished_uploads_end_unless_their_image_is_saving(store: S3Store) -> None:
    begin(store, ONE)
    begin(store, TWO)

    store.stop_unfinished(lambda: {TWO})
    store.stop_unfinished(lambda: {TWO})

    assert unfinished(store) == [TWO]


_KILLED = """
import itertools, signal, sys
from pathlib import Path
from app.services.image_store.s3 import open_s3_store
from tests.object_stores import SwiftServer
from tests.services.stores import s3_store

class Swift:
    url = sys.argv[1]

store = s3_store(Swift(), Path(sys.argv[2]), sys.argv[3])
numbers = itertools.count(1)

def wait(**_):
    # Parts are sent by several threads.
    number = next(numbers)
    if number == 3:
        print("here", flush=True)
    if number > 2:
        signal.pause()

store._client.meta.events.register("before-send.s3.UploadPart", wait)
with open("/dev/zero", "rb") as zeros:
    class Source:
        left = 8 * 16 * 2**20
        def read(self, size):
            size = min(size, self.left)
            self.left -= size
            return zeros.read(size)
    with store.receive(sys.argv[4], Source(), limit=2**30) as received:
        store.put(sys.argv[4], received)
"""


def test_a_process_killed_in_its_upload_leaves_nothing_to_see(
    swift: SwiftServer, tmp_path: Path
) -> None:
    store = s3_store(swift, tmp_path, "killed")
    command = [sys.executable, "-c", _KILLED, swift.url, str(tmp_path), "killed", ONE]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"here\n"
            # Another process, here or elsewhere, sees that it lives.
            assert store.remove_abandoned() == {ONE}
        finally:
            process.kill()

    assert process.returncode == -signal.SIGKILL
    assert unfinished(store) == [ONE]
    with pytest.raises(NotFound):
        store.open(ONE)
    assert store.remove_abandoned() == set()
    store.stop_unfinished(set)
    assert unfinished(store) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "keys",
    [
        {"image_store_access_key": SecretStr("test:nobody")},
        {"image_store_secret_key": SecretStr("wrong-secret")},
    ],
)
def test_wrong_credentials_are_called_so(
    swift: SwiftServer, tmp_path: Path, keys: dict[str, Any]
) -> None:
    store = s3_store(swift, tmp_path, **keys)

    for act in (
        lambda: put(store, ONE, DATA),
        lambda: store.open(ONE),
        lambda: store.remove(ONE),
        lambda: store.stop_unfinished(set),
    ):
        with pytest.raises(StoreUnavailable, match="refuses the credentials") as caught:
            act()
        assert "wrong-secret" not in str(caught.value.facts)


def test_a_bucket_that_is_not_there_is_called_so(swift: SwiftServer, tmp_path: Path) -> None:
    place = S3Place("nobodys", "", swift.url, "us-east-1", "path")
    store = s3_store(swift, tmp_path, image_store=place)

    with pytest.raises(StoreUnavailable, match="bucket is not there"):
        put(store, ONE, DATA)
    with pytest.raises(StoreUnavailable, match="bucket is not there"):
        store.open(ONE)


def test_a_server_that_is_down_is_called_so(
    swift: SwiftServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = S3Place(BUCKET, "", f"http://127.0.0.1:{free_port()}", "us-east-1", "path")
    store = s3_store(swift, tmp_path, image_store=place)

    for act in (lambda: put(store, ONE, LARGE), lambda: store.open(ONE), lambda: store.remove(ONE)):
        with pytest.raises(StoreUnavailable, match="does not answer; try again later"):
            act()


def test_what_the_server_kept_otherwise_is_not_taken(
    store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shorten(params: dict[str, Any], **_: Any) -> None:
        params["headers"]["x-amz-meta-byre-sha256"] = "0" * 64

    store._client.meta.events.register("before-call.s3.PutObject", shorten)

    with pytest.raises(StoreUnavailable, match="did not keep what it was sent"):
        put(store, ONE, DATA)


@pytest.mark.parametrize(
    ("data", "operation"), [(DATA, "PutObject"), (b"\x01" * (PART_BYTES + 5), "UploadPart")]
)
def test_bytes_that_change_on_their_way_are_refused(
    store: S3Store, data: bytes, operation: str
) -> None:
    def falsify(request: Any, **_: Any) -> None:
        request.body = io.BytesIO(request.body.read().replace(b"\x01", b"\x03", 1))

    store._client.meta.events.register(f"before-send.s3.{operation}", falsify)

    with pytest.raises(StoreUnavailable):
        put(store, ONE, data)
    with pytest.raises(NotFound):
        store.open(ONE)
    assert unfinished(store) == []
