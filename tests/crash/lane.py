"""A whole Byre in which things die: real processes, a supervisor that starts what has ended, real
Redis, SQLite or a PostgreSQL of its own, and two hosts with the fake driver, whose guests, disks
and ports outlive their worker.
"""

import hashlib
import signal
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import select

from app.db.models import Base, Hypervisor, Project, RoleAssignment, Server, Token, User
from app.db.models.base import now
from app.db.session import Sessions, make_engine, make_sessions, reading
from app.runs.publish import CeleryPublisher
from config.celery import make_celery
from config.settings import ControlSettings
from tasks.messages import Thing
from tasks.pipelines import COMPUTE_STAGES
from tests.crash import mail
from tests.crash.faults import DIRECTORY, Fault, Faults, Hit
from tests.crash.mail import Box, Mail
from tests.crash.nursery import Fork, Nursery
from tests.databases import PostgresServer, _programs
from tests.pipeline.conftest import Plane
from tests.processes import SECRET_KEY, Byre, Program, RedisServer, wait_until
from tests.rows import World, make_settings, make_world
from workers.hypervisor.fake import FakeHypervisor

ROLES = ("control", "beat", "api", "compute")
HOSTS = ("h1", "h2")

#: Short times, so that a run that nobody carries on is found in seconds. A host must not be taken
#: for lost while its worker is started again.
CONTROL_TIMES = {
    "BYRE_SWEEP_INTERVAL_S": "0.5",
    "BYRE_STAGE_LEASE_S": "2",
    "BYRE_HANDOVER_S": "1",
    "BYRE_HOST_SILENCE_LIMIT_S": "3",
    "BYRE_HOST_LOST_AFTER_S": "5",
    "BYRE_CANARY_INTERVAL_S": "1",
    "BYRE_CANARY_LIMIT_S": "30",
    "BYRE_BOOT_LIMIT_S": "60",
}
COMPUTE_TIMES = {
    "BYRE_HEARTBEAT_INTERVAL_S": "0.5",
    "BYRE_SURVEY_INTERVAL_S": "1",
    "BYRE_FAKE_BOOT_S": "0.2",
}

_MODULES = {
    "workers.control": "control",
    "workers.beat": "beat",
    "app.serve": "api",
    "workers.compute": "compute",
}


class CrashPostgres(PostgresServer):
    """A PostgreSQL that can be ended as by a crash, and started again on its data."""

    def restart(self) -> None:
        """End it without a word to anybody (`immediate`), and start it again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(20)
        with (self._directory / "log").open("ab") as log:
            self._process = self._spawn(_programs(), self._directory / "data", log)
        self._wait()

    def make_database(self) -> str:
        """Make a database in which what was committed is there after a crash of the server; that
        the whole machine loses its power is not tried here."""
        url = super().make_database()
        self._execute(f"ALTER DATABASE {url.rpartition('/')[2]} SET synchronous_commit = on")
        return url


class SupervisedByre(Byre):
    """Byre's processes as forks of nurseries, with the points at which faults strike."""

    def __init__(
        self,
        directory: Path,
        database_url: str,
        broker: RedisServer,
        nurseries: Mapping[str, Nursery],
    ) -> None:
        super().__init__(directory, database_url, broker)
        self._nurseries = nurseries
        self.control_environment.update(CONTROL_TIMES)

    def fork(self, name: str) -> Fork:
        """Return one of the programs."""
        program = self.programs[name]
        assert isinstance(program, Fork)
        return program

    def start_second_beat(self) -> Fork:
        """Start another clock."""
        self._start("beat-2", ["-m", "workers.beat"], self.control_environment)
        return self.fork("beat-2")

    def _start(
        self,
        name: str,
        words: Sequence[str],
        environment: Mapping[str, str],
        prefix: Sequence[str] = (),
    ) -> Program:
        program = Fork(
            name,
            words,
            {**environment, DIRECTORY: str(self.directory / "crash")},
            self.directory / f"{name}.log",
            nursery=self._nurseries[_MODULES[words[1]]],
        )
        program.start()
        self.programs[name] = program
        return program


class Supervisor(threading.Thread):
    """Starts again what has ended, as systemd or docker would."""

    def __init__(self, byre: Byre) -> None:
        super().__init__(name="supervisor", daemon=True)
        self._byre = byre
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._resting: set[str] = set()
        #: Each end that nobody asked for: program, when.
        self.deaths: list[tuple[str, float]] = []

    def run(self) -> None:
        """Look after the programs until stopped."""
        while not self._stopped.wait(0.02):
            with self._lock:
                for name, program in list(self._byre.programs.items()):
                    if name not in self._resting and not program.alive():
                        self.deaths.append((name, time.time()))
                        program.start()

    def rest(self, *names: str) -> None:
        """Leave these programs ended."""
        with self._lock:
            self._resting.update(names)

    def look_after(self, *names: str) -> None:
        """Have these programs running again."""
        with self._lock:
            self._resting.difference_update(names)

    def death_after(self, moment: float) -> str:
        """Wait until a program has ended by itself since then; return its name. Raises
        TimeoutError."""
        wait_until(lambda: any(at >= moment for _, at in self.deaths), "the end of a process", 10)
        return next(name for name, at in self.deaths if at >= moment)

    def stop(self) -> None:
        """Start nothing any more."""
        self._stopped.set()
        self.join(30)


class DisturbedPublisher(CeleryPublisher):
    """The test's own publisher, whose messages are disturbed as those of Byre's processes are."""

    box: Mail

    def publish(self, run_id: str) -> None:
        """Send the run's chain."""
        with mail.through(self.box):
            super().publish(run_id)


@dataclass
class Lane:
    """One Byre in which one case runs after another."""

    name: str
    directory: Path
    plane: Plane
    byre: SupervisedByre
    supervisor: Supervisor
    faults: Faults
    mail: Mail
    box: Box
    token: str
    postgres: CrashPostgres | None = None
    #: Servers of the case that runs.
    servers_of_case: list[str] = field(default_factory=list)

    def arm(self, fault: Fault) -> Fault:
        """Have a fault strike."""
        return self.faults.arm(fault)

    def servers_there(self) -> list[str]:
        """Return the servers that are not deleted, nor about to be."""
        with reading(self.plane.sessions) as session:
            query = select(Server.id).where(
                Server.deleted_at.is_(None), Server.delete_requested_at.is_(None)
            )
            return list(session.scalars(query))

    def lost(self, host: str) -> bool:
        """Say whether the host was given up."""
        with reading(self.plane.sessions) as session:
            query = select(Hypervisor.lost_at).where(Hypervisor.name == host)
            return session.scalars(query).one() is not None

    def struck(self, fault: Fault, limit_s: float = 25.0) -> Hit:
        """Wait until the fault has struck; return where. Raises TimeoutError."""
        what = f"{fault.action} {fault.point} {fault.pipeline}/{fault.stage}"
        wait_until(lambda: self.faults.hit(fault), what, limit_s)
        hit = self.faults.hit(fault)
        assert hit is not None
        return hit

    def death_after(self, moment: float) -> str:
        """Wait until a program has ended by itself since then; return its name. Raises
        TimeoutError."""
        return self.supervisor.death_after(moment)

    def things(self) -> dict[str, list[Thing]]:
        """Return what is on each host, read from its file as a new worker would."""
        found = {}
        for host in HOSTS:
            fake = FakeHypervisor(state=self.state(host) / "fake.db")
            try:
                found[host] = fake.survey()
            finally:
                fake.close()
        return found

    def state(self, host: str) -> Path:
        """Return the host's directory of what its worker remembers."""
        return self.directory / host / "state"

    def all_up(self) -> None:
        """Wait until every process runs and every host was heard of since it did."""
        wait_until(
            lambda: all(program.alive() for program in self.byre.programs.values()), "processes", 20
        )
        since = now()
        wait_until(lambda: self._heard_since(since), "both hosts", 20)

    def _heard_since(self, since: datetime) -> bool:
        with reading(self.plane.sessions) as session:
            query = select(Hypervisor.name).where(
                Hypervisor.last_seen_at > since, Hypervisor.lost_at.is_(None)
            )
            return set(session.scalars(query)) == set(HOSTS)


def open_lane(
    stack: ExitStack, name: str, directory: Path, kind: str, nurseries: Mapping[str, Nursery]
) -> Lane:
    """Start a lane; the stack ends it."""
    directory.mkdir(parents=True)
    postgres = None
    url = f"sqlite:///{directory}/byre.db"
    if kind == "postgresql":
        postgres = CrashPostgres()
        stack.callback(postgres.stop)
        postgres.start()
        url = postgres.make_database()
    engine = make_engine(url)
    stack.callback(engine.dispose)
    Base.metadata.create_all(engine)
    sessions = make_sessions(engine)
    world = make_world(sessions)
    broker = RedisServer(directory)
    stack.callback(broker.stop)
    broker.start()
    box = Box(broker.url)
    stack.callback(box.close)
    byre = SupervisedByre(directory, url, broker, nurseries)
    stack.callback(byre.stop)
    crash = directory / "crash"
    settings = make_settings(
        broker_url=broker.url,
        secret_key=SECRET_KEY,
        boot_limit_s=60.0,
        handover_s=1.0,
        internal_api_url=byre.api_url,
    )
    publisher = _publisher(settings, sessions, Mail(crash))
    byre.start_control()
    for host in HOSTS:
        byre.start_compute(host, **COMPUTE_TIMES)
    supervisor = Supervisor(byre)
    stack.callback(supervisor.stop)
    supervisor.start()
    plane = Plane(byre, sessions, settings, world, publisher)
    token = _token(sessions, world)
    lane = Lane(
        name,
        directory,
        plane,
        byre,
        supervisor,
        Faults(crash),
        Mail(crash),
        box,
        token,
        postgres,
    )
    stack.callback(lane.faults.disarm)
    lane.all_up()
    return lane


def _publisher(settings: ControlSettings, sessions: Sessions, box: Mail) -> DisturbedPublisher:
    celery = make_celery(settings, "api", COMPUTE_STAGES)
    publisher = DisturbedPublisher(celery, sessions, settings)
    publisher.box = box
    return publisher


def _token(sessions: Sessions, world: World) -> str:
    """Write a token of the world's user; return it."""
    secret = uuid.uuid4().hex
    with sessions.begin() as session:
        session.add(
            RoleAssignment(user_id=world.user_id, project_id=world.project_id, role="member")
        )
        session.add(
            Token(
                digest=hashlib.sha256(secret.encode()).hexdigest(),
                audit_id=uuid.uuid4().hex,
                user=session.get_one(User, world.user_id),
                project=session.get_one(Project, world.project_id),
                issued_at=now(),
                expires_at=now() + timedelta(hours=2),
            )
        )
    return secret
