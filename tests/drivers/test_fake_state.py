"""The fake that outlives its process: what it had, and that its guests ran on."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tasks.errors import ForeignOwner, HostGone
from tasks.messages import ImageSource, Job
from tests.drivers.values import Server
from workers.hypervisor.fake import FakeHypervisor

IMAGE = ImageSource(
    image_id="any", disk_format="qcow2", url="http://any/?ticket=s3cr3t", sha256="0" * 64,
    size_bytes=1,
)  # fmt: skip

#: A worker of which nothing is left but the file: it runs until it is killed.
_WORKER = """
import sys, pathlib, time
from tests.drivers.test_fake_state import IMAGE, build
from tests.drivers.values import Server
from workers.hypervisor.fake import FakeHypervisor

host = FakeHypervisor(state=pathlib.Path(sys.argv[1]))
while True:
    print(build(host).job.model_dump_json(), flush=True)
"""


def build(host: FakeHypervisor) -> Server:
    """Return a server that runs."""
    server = Server(IMAGE)
    host.define(server.job, server.resources(host))
    host.start(server.server_id)
    return server


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the fake host is kept."""
    return tmp_path / "state" / "fake.db"


def test_the_next_process_finds_the_host_as_it_was(path: Path) -> None:
    host = FakeHypervisor(state=path)
    servers = [build(host) for _ in range(3)]
    host.remove_domain(servers[1].server_id)
    host.end_guest(servers[2].server_id, "crashed")
    host.plant_foreign_domain("6f2b6a1e-0000-4000-8000-000000000001")
    for thing in servers[2].things(host):
        host.quarantine(thing)
    again = FakeHypervisor(state=path)
    assert again.survey() == host.survey()
    for server in servers:
        assert again.find(server.server_id) == host.find(server.server_id)
        assert server.traces(again) == server.traces(host)
    with pytest.raises(ForeignOwner):
        again.find("6f2b6a1e-0000-4000-8000-000000000001")
    assert again.ensure_root_disk(servers[0].server_id, IMAGE, 1)


def test_a_guest_boots_on_while_no_process_looks(path: Path) -> None:
    clock = [1000.0]
    host = FakeHypervisor(state=path, boot_after_s=10, now=lambda: clock[0])
    server = build(host)
    clock[0] += 9
    again = FakeHypervisor(state=path, boot_after_s=10, now=lambda: clock[0])
    assert again.observe(server.server_id, [server.port]).console == ""
    clock[0] += 1
    look = again.observe(server.server_id, [server.port])
    assert (look.state, look.addresses) == ("running", [server.address])
    assert look.console.endswith("login: ")


def test_what_was_removed_does_not_come_back(path: Path) -> None:
    host = FakeHypervisor(state=path)
    server = build(host)
    server.remove(host)
    assert FakeHypervisor(state=path).survey() == []
    assert server.traces(FakeHypervisor(state=path)) == []


def test_two_hosts_in_two_files_have_nothing_in_common(tmp_path: Path) -> None:
    build(FakeHypervisor(state=tmp_path / "one.db"))
    assert FakeHypervisor(state=tmp_path / "two.db").survey() == []


def test_a_closed_host_is_gone_and_can_be_opened_again(path: Path) -> None:
    host = FakeHypervisor(state=path)
    server = build(host)
    host.close()
    host.close()
    with pytest.raises(HostGone):
        host.remove_domain(server.server_id)
    assert FakeHypervisor(state=path).find(server.server_id) is not None


def test_threads_share_the_file(path: Path) -> None:
    host = FakeHypervisor(state=path)
    with ThreadPoolExecutor(8) as threads:
        servers = list(threads.map(lambda _: build(host), range(64)))
    again = FakeHypervisor(state=path)
    assert again.inventory().running_domains == 64
    assert all(len(server.things(again)) == 8 for server in servers[:4])


def test_no_ticket_is_kept(path: Path) -> None:
    host = FakeHypervisor(state=path)
    build(host)
    host.close()
    assert b"s3cr3t" not in b"".join(file.read_bytes() for file in path.parent.iterdir())


def test_a_process_that_is_killed_leaves_all_that_it_had_told(path: Path) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-c", _WORKER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout is not None
    try:
        told = [worker.stdout.readline() for _ in range(50)]
    finally:
        os.kill(worker.pid, signal.SIGKILL)
        rest = worker.communicate(timeout=10)[0]
    told += [line for line in rest.splitlines() if line.endswith("}")]
    host = FakeHypervisor(state=path)
    for line in told:
        found = host.find(Job.model_validate_json(line).server_id)
        assert found is not None
        assert found.state == "running"


def test_keeping_a_host_in_a_file_is_cheap(path: Path) -> None:
    host = FakeHypervisor(state=path)
    started = time.monotonic()
    for _ in range(100):
        build(host)
    assert (time.monotonic() - started) / 100 < 0.05
