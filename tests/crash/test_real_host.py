"""The same with real libvirt and QEMU: a guest's worker is killed, its host's daemon ends, its
owner deletes it, at chosen points of its way; it boots all the same, or is gone, and nothing of it
stays: domain, volumes, config drive, console log, DHCP entry, filter, rows."""

import os
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytest
from openstack.exceptions import ResourceNotFound

from app.db.session import Sessions, make_engine, make_sessions
from tasks.pipelines import CREATE
from tests.crash import checks
from tests.crash.cases import PROPERTY, Outcome
from tests.crash.faults import DIRECTORY, Fault, Faults, Hit
from tests.crash.lane import Supervisor
from tests.drivers.libvirtd import PrivateHost
from tests.lab.bridge import GATEWAY, LabBridge
from tests.lab.conftest import Lab, _alive, _bootstrap, _connect
from tests.processes import Byre, Program, RedisServer, wait_until
from workers.hypervisor.libvirt.network_xml import NOBODY

pytestmark = [pytest.mark.boots, pytest.mark.lab]

HOST = "crash-a"

#: From the fault to ACTIVE, the guest's boot under emulation included.
BOUND_S = 60.0

CONTROL_TIMES = {
    "BYRE_SWEEP_INTERVAL_S": "1",
    "BYRE_STAGE_LEASE_S": "4",
    "BYRE_HANDOVER_S": "2",
    "BYRE_HOST_SILENCE_LIMIT_S": "10",
    "BYRE_HOST_LOST_AFTER_S": "40",
    "BYRE_CANARY_INTERVAL_S": "2",
}


class CutByre(Byre):
    """Byre whose compute worker has points where faults strike."""

    def _start(
        self,
        name: str,
        words: Sequence[str],
        environment: Mapping[str, str],
        prefix: Sequence[str] = (),
    ) -> Program:
        if words == ["-m", "workers.compute"]:
            words = ["-m", "tests.crash.entry_compute"]
            environment = {
                **environment,
                DIRECTORY: str(self.directory / "crash"),
                # Entering the host's mounts leaves the directory that this was started in.
                "PYTHONPATH": str(Path(__file__).parents[2]),
            }
        command = [*prefix, sys.executable, *words]
        program = Program(name, command, environment, self.directory / f"{name}.log")
        program.start()
        self.programs[name] = program
        return program


@dataclass
class Real:
    """One real host, its supervised worker, and what strikes there."""

    lab: Lab
    host: PrivateHost
    supervisor: Supervisor
    faults: Faults
    sessions: Sessions
    servers: list[str] = field(default_factory=list)

    def create(self, point: tuple[str, str], action: str) -> tuple[str, Fault]:
        """Ask for a server whose create meets a fault at (stage, point)."""
        fault = self.faults.arm(Fault(CREATE, *point, action))  # type: ignore[arg-type]
        user = self.lab.user
        server = user.compute.create_server(
            name="crash",
            image_id=self.lab.image_id,
            flavor_id=user.compute.find_flavor("m1.nano", ignore_missing=False).id,
            networks=[{"uuid": user.network.find_network("private", ignore_missing=False).id}],
        )
        self.servers.append(server.id)
        return server.id, fault

    def struck(self, fault: Fault) -> Hit:
        """Wait until the fault has struck."""
        wait_until(lambda: self.faults.hit(fault), f"the {fault.action}", 60)
        hit = self.faults.hit(fault)
        assert hit is not None
        return hit

    def status(self, server_id: str) -> str:
        """Return what the owner is shown."""
        try:
            return str(self.lab.user.compute.get_server(server_id).status)
        except ResourceNotFound:
            return "DELETED"

    def left_over(self) -> list[str]:
        """Return what is left when all servers are deleted."""
        found = [what for server_id in self.servers for what in self.lab.traces(server_id)]
        found += [f"filter {name}" for name in self.lab.filters(HOST)]
        macs = re.findall(r"<host mac='([^']+)'", self.lab.dhcp_entries(HOST))
        found += [f"DHCP entry of {mac}" for mac in macs if mac != NOBODY]
        return found + checks.rows_left(self.sessions)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, guest_image: Path) -> Iterator[Real]:
    """A real host, and everything else beside it."""
    directory = tmp_path_factory.mktemp("real")
    with ExitStack() as stack:
        bridge = stack.enter_context(LabBridge())
        broker = RedisServer(directory, [GATEWAY, "127.0.0.1"])
        url = f"sqlite:///{directory}/byre.db"
        byre = CutByre(directory, url, broker)
        stack.callback(broker.stop)
        stack.callback(byre.stop)
        broker.start()
        image_id = _bootstrap(byre, guest_image)
        byre.control_environment.update(CONTROL_TIMES)
        byre.start_control()
        below = directory / "host"
        below.mkdir()
        host = PrivateHost(below, f"byc{os.getpid()}"[:12])
        stack.callback(host.stop)
        host.start()
        address = bridge.join(host, 0)
        worker = byre.start_compute(
            HOST,
            host.command(),
            BYRE_DRIVER="libvirt",
            BYRE_LIBVIRT_URI=host.uri,
            BYRE_HOST_IP=address,
            BYRE_ACCELERATION="qemu",
        )
        supervisor = Supervisor(byre)
        stack.callback(supervisor.stop)
        supervisor.start()
        user, admin = _connect(byre, "byre"), _connect(byre, "byre-admin")
        stack.callback(user.close)
        stack.callback(admin.close)
        wait_until(lambda: _alive(admin) == {HOST}, "the hypervisor", 60)
        lab = Lab(byre, {HOST: host}, {HOST: worker}, user, admin, image_id, bridge)
        engine = make_engine(url)
        stack.callback(engine.dispose)
        faults = Faults(directory / "crash")
        stack.callback(faults.disarm)
        yield Real(lab, host, supervisor, faults, make_sessions(engine))


@pytest.fixture
def outcome(request: pytest.FixtureRequest, real: Real) -> Iterator[Outcome]:
    """What is counted; after the test the server is deleted, and nothing may be left."""
    made = Outcome("real libvirt and QEMU", request.node.name, bound_s=BOUND_S)
    made.logs = str(real.lab.byre.directory)
    yield made
    request.node.user_properties.append((PROPERTY, asdict(made)))
    real.faults.disarm()


def nothing_left(real: Real, outcome: Outcome, limit_s: float = 20.0) -> None:
    """Wait until nothing is left, the last runs included; note what is."""
    with suppress(TimeoutError):
        wait_until(lambda: not real.left_over(), "the end of the last run", limit_s)
    outcome.leaked += real.left_over()


def ends_active(real: Real, outcome: Outcome, server_id: str, since: float) -> None:
    """Wait until the server is up, delete it, and look what is left."""
    wait_until(lambda: real.status(server_id) in ("ACTIVE", "ERROR"), "the server", BOUND_S + 30)
    outcome.recovery_s = time.time() - since
    status = real.status(server_id)
    outcome.lost += [] if status == "ACTIVE" else [f"it is {status}"]
    real.lab.user.compute.delete_server(server_id)
    wait_until(lambda: real.status(server_id) == "DELETED", "the delete", 60)
    nothing_left(real, outcome)
    outcome.check()


@pytest.mark.parametrize(
    ("stage", "point"),
    [
        ("build_resources", "inside-3"),
        ("define_domain", "after"),
        ("launch", "inside"),
        ("poll_boot", "waiting"),
    ],
)
def test_killed_worker_finds_its_guest_again(
    real: Real, outcome: Outcome, stage: str, point: str
) -> None:
    server_id, fault = real.create((stage, point), "kill")
    hit = real.struck(fault)
    outcome.hit = f"{hit.stage} {hit.point}"

    assert real.supervisor.death_after(hit.at) == f"compute-{HOST}"
    ends_active(real, outcome, server_id, hit.at)


@pytest.mark.parametrize(("stage", "point"), [("launch", "before"), ("poll_boot", "inside")])
def test_daemon_that_ends_is_waited_for(
    real: Real, outcome: Outcome, stage: str, point: str
) -> None:
    server_id, fault = real.create((stage, point), "hold")
    hit = real.struck(fault)
    outcome.hit = f"{hit.stage} {hit.point}"
    since = time.time()
    real.host.kill_daemon()
    real.faults.release(fault)
    time.sleep(1)
    real.host.start_daemon()

    ends_active(real, outcome, server_id, since)


def test_delete_while_the_guest_is_launched(real: Real, outcome: Outcome) -> None:
    server_id, fault = real.create(("launch", "inside"), "hold")
    hit = real.struck(fault)
    outcome.hit = f"{hit.stage} {hit.point}"
    since = time.time()
    real.lab.user.compute.delete_server(server_id)
    real.faults.release(fault)

    wait_until(lambda: real.status(server_id) == "DELETED", "the delete", 60)
    nothing_left(real, outcome)
    outcome.recovery_s = time.time() - since
    outcome.check()
