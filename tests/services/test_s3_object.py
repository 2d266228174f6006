"""An object as a file, on a server that answers badly."""

import io
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from app.services.image_store.s3_object import S3Object
from tasks.errors import StoreUnavailable

MIB = 2**20
DATA = bytes(range(256)) * 4096 * 5


class Body(io.BytesIO):
    """What is sent, until it breaks."""

    def __init__(self, data: bytes, breaks_at: int | None) -> None:
        super().__init__(data)
        self._breaks_at = breaks_at

    def read(self, size: int | None = -1, /) -> bytes:
        """Return bytes, or break."""
        if self._breaks_at is not None and self.tell() >= self._breaks_at:
            raise ReadTimeoutError(endpoint_url="http://x")
        return super().read(min(size or 0, 100_000))


class Server:
    """Gives ranges; the first so many of its answers break on the way."""

    def __init__(self, broken: int, *, breaks_at: int = 300_000, spare: bytes = b"") -> None:
        self._broken, self._breaks_at, self._spare = broken, breaks_at, spare
        self.bodies: list[Body] = []

    def get(self, first: int, last: int) -> Any:
        """Return S3's answer."""
        is_broken = len(self.bodies) < self._broken
        data = DATA[first : last + 1] + self._spare
        self.bodies.append(Body(data, self._breaks_at if is_broken else None))
        return {"Body": self.bodies[-1], "ContentLength": len(data)}


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)


def read(server: Server) -> bytes:
    with io.BufferedReader(S3Object(server.get, len(DATA)), MIB) as file:
        return file.read()


def test_what_breaks_again_and_again_goes_on_where_it_was() -> None:
    server = Server(broken=12)

    assert read(server) == DATA
    assert all(body.closed for body in server.bodies)


def test_what_gives_nothing_any_more_ends() -> None:
    server = Server(broken=10_000, breaks_at=0)

    with pytest.raises(StoreUnavailable, match="stopped answering"):
        read(server)
    assert len(server.bodies) == 4


def test_a_server_that_does_not_know_ranges_is_found_out() -> None:
    server = Server(broken=0, spare=b"more")

    with pytest.raises(StoreUnavailable, match="other bytes"):
        read(server)
    assert server.bodies[0].closed


def test_what_is_closed_lets_its_connection_go() -> None:
    server = Server(broken=0)
    file = S3Object(server.get, len(DATA))
    file.read(10)

    file.close()
    file.close()

    assert server.bodies[0].closed


def test_an_empty_object_is_not_asked_for() -> None:
    server = Server(broken=0)

    assert S3Object(server.get, 0).read(10) == b""
    with pytest.raises(ValueError, match="negative"):
        S3Object(server.get, 0).seek(-1)
    assert server.bodies == []
