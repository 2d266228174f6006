"""The API as the process that it is: gunicorn, real connections, uploads that break off."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from app.db.models import Base
from app.db.session import make_engine, make_sessions
from tests.http.table_refusals import GOOD
from tests.http.test_images import qcow2
from tests.http.world import make_world, token_of
from tests.processes import SECRET_KEY, Program, free_port, wait_until

ALICE = {"X-Auth-Token": token_of("alice")}
OCTETS = {"Content-Type": "application/octet-stream", **ALICE}
MIB = 2**20


class Source:
    """A file of ones, as large as wanted, of which nothing is kept. With a length it is sent with
    one; without, in chunks."""

    def __init__(self, size: int) -> None:
        self._left = size

    def read(self, size: int = MIB) -> bytes:
        """Return the next bytes."""
        size = min(size, self._left)
        self._left -= size
        return b"\x01" * size


class SizedSource(Source):
    """The same, that says how large it is."""

    def __len__(self) -> int:
        return self._left


class Running:
    """A running API, in the small world; with another's, in that one's."""

    def __init__(self, directory: Path, world: Path | None = None, **settings: str) -> None:
        self.port, self.images = free_port(), directory / "images"
        url = f"sqlite:///{world or directory}/byre.db"
        if world is None:
            engine = make_engine(url)
            Base.metadata.create_all(engine)
            make_world(make_sessions(engine), self.images)
            engine.dispose()
        environment = {
            "BYRE_DATABASE_URL": url,
            "BYRE_SECRET_KEY": SECRET_KEY,
            "BYRE_API_BIND": f"127.0.0.1:{self.port}",
            "BYRE_IMAGE_STORE": str(self.images),
            # Nobody listens there: the API must answer all the same.
            "BYRE_BROKER_URL": f"redis://127.0.0.1:{free_port()}/0",
            **settings,
        }
        command = [sys.executable, "-m", "app.serve"]
        self.program = Program("api", command, environment, directory / "api.log")
        self.url = f"http://127.0.0.1:{self.port}"

    def answers(self) -> bool:
        """Say whether it is well."""
        try:
            return requests.get(f"{self.url}/healthz", timeout=5).ok
        except requests.ConnectionError:
            return False

    def make_image(self) -> str:
        """Make an image's record; return its id."""
        body = {"name": "x", "disk_format": "raw", "container_format": "bare"}
        made = requests.post(f"{self.url}/image/v2/images", json=body, headers=ALICE, timeout=5)
        image_id: str = made.json()["id"]
        return image_id

    def image(self, image_id: str) -> dict[str, Any]:
        """Return an image's record."""
        url = f"{self.url}/image/v2/images/{image_id}"
        found: dict[str, Any] = requests.get(url, headers=ALICE, timeout=5).json()
        return found

    def parts(self) -> list[Path]:
        """Return what lies in the store and is not whole."""
        return list(self.images.glob("*.part")) + list(self.images.glob(".*.part"))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    api = Running(tmp_path_factory.mktemp("serving"))
    api.program.start()
    try:
        wait_until(api.answers, "the API", 20)
        yield api
    finally:
        api.program.stop()


@pytest.mark.parametrize("kind", ["with a length", "in chunks"])
def test_a_large_upload_is_never_in_memory(running: Running, kind: str) -> None:
    image_id, before = running.make_image(), peak_mib(running)
    source = SizedSource(192 * MIB)
    data: Any = source if kind == "with a length" else iter(source.read, b"")

    url = f"{running.url}/image/v2/images/{image_id}/file"
    answer = requests.put(url, data=data, headers=OCTETS, timeout=60)

    assert answer.status_code == 204, answer.text
    assert running.image(image_id)["size"] == 192 * MIB
    assert peak_mib(running) - before < 32


def peak_mib(running: Running) -> float:
    """Return the most memory that any process of the API has had."""
    assert running.program.process is not None
    children = subprocess.run(
        ["pgrep", "-P", str(running.program.process.pid)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    peaks = []
    for child in children:
        lines = Path(f"/proc/{child}/status").read_text().splitlines()
        peaks += [int(line.split()[1]) for line in lines if line.startswith("VmHWM")]
    return max(peaks) / 1024


@pytest.mark.parametrize(
    ("header", "body"),
    [
        ("Content-Length: 300000", b"x" * 100_000),
        ("Transfer-Encoding: chunked", b"%x\r\n" % 300_000 + b"x" * 100_000),
    ],
)
def test_an_upload_that_breaks_off_can_be_tried_again(
    running: Running, header: str, body: bytes
) -> None:
    image_id = running.make_image()
    with socket.create_connection(("127.0.0.1", running.port)) as connection:
        begin_upload(connection, image_id, header, body)
        wait_until(lambda: running.image(image_id)["status"] == "saving", "the upload", 10)

    wait_until(lambda: running.image(image_id)["status"] == "queued", "the end", 10)
    assert running.parts() == []
    url = f"{running.url}/image/v2/images/{image_id}/file"
    assert requests.put(url, data=qcow2()[:1000] * 2, headers=OCTETS, timeout=5).status_code != 409


def begin_upload(connection: socket.socket, image_id: str, header: str, body: bytes) -> None:
    """Send an upload's head, and as much of what it promises as `body` is."""
    head = f"PUT /image/v2/images/{image_id}/file HTTP/1.1\r\nHost: x\r\n{header}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in OCTETS.items())
    connection.sendall(f"{head}\r\n".encode() + body)


def test_an_upload_whose_process_was_killed_can_be_tried_again(running: Running) -> None:
    image_id = running.make_image()
    with socket.create_connection(("127.0.0.1", running.port)) as connection:
        begin_upload(connection, image_id, "Content-Length: 300000", b"x" * 100_000)
        wait_until(running.parts, "the upload", 10)
        running.program.kill()

    running.program.start()
    wait_until(running.answers, "the API", 20)

    wait_until(lambda: running.image(image_id)["status"] == "queued", "its recovery", 15)
    assert running.parts() == []


def test_without_a_broker_servers_are_taken_all_the_same(running: Running) -> None:
    began = time.monotonic()
    answer = requests.post(
        f"{running.url}/compute/v2.1/servers",
        json={"server": GOOD},
        headers=ALICE,
        timeout=20,
    )

    assert answer.status_code == 202
    assert time.monotonic() - began < 5


def test_one_line_is_written_for_a_request(running: Running) -> None:
    answer = requests.get(f"{running.url}/compute/v2.1/nothing", timeout=5)

    request_id = answer.headers["x-compute-request-id"]
    wait_until(lambda: request_id in running.program.log.read_text(), "the line", 5)
    text = running.program.log.read_text()
    (line,) = [each for each in text.splitlines() if request_id in each and "done" in each]
    assert "/compute/v2.1/nothing" in line
    assert "404" in line
    assert json.dumps(token_of("alice")) not in text
