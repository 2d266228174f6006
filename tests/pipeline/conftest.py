"""A control plane of real processes, and compute workers in this process, so that a test can reach
into their fake hypervisors."""

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import redis
from celery.contrib.testing.worker import start_worker
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from tenacity import retry, retry_if_exception_type, stop_after_attempt

from app.db.models import Allocation, Attempt, Base, Hypervisor, Port, Run, Server, Stage
from app.db.models.base import now
from app.db.repo import runs
from app.db.session import Sessions, make_engine, make_sessions, reading
from app.runs.attempts import resume
from app.runs.publish import CeleryPublisher
from app.services import consoles, diagnostics, guest_passwords, remote_consoles, servers
from app.services.context import Caller, Context
from app.services.remote_consoles import Visit
from config.celery import make_celery
from config.queues import compute_queue
from config.settings import ComputeSettings, ControlSettings
from tasks.messages import ConsoleKind, Diagnosis
from tasks.pipelines import COMPUTE_STAGES, DELETE, OWED, PIPELINES, RESIZE, UNDO_RESIZE
from tests import object_stores
from tests.asking import ask
from tests.object_stores import SwiftServer
from tests.processes import SECRET_KEY, Byre, RedisServer, wait_until
from tests.rows import World, add_flavor, add_server, caller_of, make_settings, make_world
from workers.compute import make_worker
from workers.heartbeat import Heart
from workers.hypervisor.fake import FakeHypervisor
from workers.hypervisor.journal import Journal
from workers.surveyor import Surveyor

#: What nobody asks for.
_CONSEQUENCES = OWED | {UNDO_RESIZE}


#: Of a process' log, in a report of a test that failed, in characters.
_SHOWN_OF_A_LOG = 4000


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a failure tell what the control plane's processes said: its cause is seldom here."""
    report = yield
    fixtures = getattr(item, "funcargs", {})
    byres = {id(one.byre): one.byre for one in fixtures.values() if isinstance(one, Plane)}
    for byre in byres.values() if report.failed else ():
        for name, program in byre.programs.items():
            life = "runs" if program.alive() else "has ended"
            report.sections.append((f"{name}, which {life}", byre.logs(name)[-_SHOWN_OF_A_LOG:]))
    return report


@dataclass
class Plane:
    """The control plane, and what a test does with it."""

    byre: Byre
    sessions: Sessions
    settings: ControlSettings
    world: World
    publisher: CeleryPublisher

    def create(self, *, publish: bool = True, **facts: Any) -> Run:
        """Ask for a server; return its run."""
        with self.sessions.begin() as session:
            run = add_server(session, self.world, self.settings, **facts)
        if publish:
            self.publisher.publish(run.id)
        return run

    def delete(self, server_id: str) -> Run:
        """Ask for the server's end, as the API does; return the delete run."""
        servers.delete(self._context(), self._caller("req-delete"), server_id)
        return self.runs(server_id, DELETE)[0]

    def ask(self, server_id: str, pipeline: str) -> Run:
        """Ask for an action, as the API does; return its run."""
        flavor_id = add_flavor(self.sessions) if pipeline == RESIZE else ""
        ask(self._context(), self._caller(f"req-{pipeline}"), server_id, pipeline, flavor_id)
        # It may have failed already, and what follows from that be there.
        return self.runs(server_id, *(PIPELINES.keys() - _CONSEQUENCES))[-1]

    def act(self, server_id: str, pipeline: str) -> Run:
        """Ask for an action; return its run when it has ended."""
        return self.ended(self.ask(server_id, pipeline))

    def change_password(self, server_id: str, password: str) -> Run:
        """Ask for a new password; return the run when it has ended."""
        guest_passwords.change(self._context(), self._caller("req-password"), server_id, password)
        return self.ended(self.runs(server_id, *PIPELINES)[-1])

    def console(self, server_id: str) -> str:
        """Return what the server's console says, as the API does."""
        return consoles.output(self._context(), self._caller("req-console"), server_id, None)

    def diagnosis(self, server_id: str) -> Diagnosis:
        """Return what the server's machine has used, as the API does."""
        return diagnostics.show(self._context(), self._caller("req-use"), server_id).diagnosis

    def visit(self, server_id: str, kind: ConsoleKind) -> tuple[Visit, bytes]:
        """Ask for a server's console, as the API does, and begin the visit, as the proxy does."""
        url = remote_consoles.open_console(
            self._context(), self._caller("req-console"), server_id, kind
        )
        token = url[-64:]
        visit = remote_consoles.begin(self.sessions, token)
        assert visit is not None
        return visit, remote_consoles.word_of(token)

    def forget_end(self, run: Run) -> None:
        """Let the run be as if nobody had heard of what became of it, and send it again."""
        with self.sessions.begin() as session:
            row = session.get_one(Run, run.id)
            row.state, row.finished_at = "running", None
            for stage in runs.stages_of(session, row):
                stage.state, stage.output = "queued", None
            resume(session, row, now(), "message_lost", "The test says so.")
        self.publisher.publish(run.id)

    def _context(self) -> Context:
        return Context(self.sessions, self.settings, self.publisher)

    def _caller(self, request_id: str) -> Caller:
        return caller_of(self.world, request_id)

    def runs(self, server_id: str, *pipelines: str) -> list[Run]:
        """Return the server's runs of these pipelines, oldest first."""
        with reading(self.sessions) as session:
            query = select(Run).where(Run.server_id == server_id, Run.pipeline.in_(pipelines))
            return list(session.scalars(query.order_by(Run.created_at)))

    def run(self, run_id: str) -> Run:
        """Return the run as it is now."""
        with reading(self.sessions) as session:
            return session.get_one(Run, run_id)

    def ended(self, run: Run, limit_s: float = 20.0) -> Run:
        """Wait for the run's end; return it."""
        wait_until(lambda: self.run(run.id).state != "running", f"the end of run {run.id}", limit_s)
        return self.run(run.id)

    def settled(self, server_id: str, limit_s: float = 20.0) -> None:
        """Wait until nothing is to be done for the server any more: nothing owed either."""
        wait_until(
            lambda: all(run.state != "running" for run in self.runs(server_id, *PIPELINES)),
            f"the end of all that is done for server {server_id}",
            limit_s,
        )

    def server(self, server_id: str) -> Server:
        """Return the server with its fault, as it is now."""
        with reading(self.sessions) as session:
            server = session.get_one(Server, server_id)
            _ = server.fault
            return server

    def server_ports(self, server_id: str) -> list[Port]:
        """Return the server's ports."""
        with reading(self.sessions) as session:
            return session.query(Port).filter_by(server_id=server_id).all()

    def stages(self, run: Run) -> list[Stage]:
        """Return the stages of the run's present attempt, in order."""
        with reading(self.sessions) as session:
            query = select(Stage).where(Stage.run_id == run.id, Stage.attempt == Run.attempt)
            query = query.join(Run, Run.id == Stage.run_id).order_by(Stage.position)
            return list(session.scalars(query))

    def told(self, run: Run) -> list[Stage]:
        """Wait until each stage's own report was taken in: the last one's may overtake others.
        Return the stages."""
        wait_until(lambda: all(stage.worker for stage in self.stages(run)), "all reports", 10)
        return self.stages(run)

    def stage(self, run: Run, name: str, attempt: int | None = None) -> Stage:
        """Return one stage of an attempt, or of the present one."""
        with reading(self.sessions) as session:
            number = attempt or session.get_one(Run, run.id).attempt
            return session.get_one(Stage, (run.id, number, name))

    def attempts(self, run: Run) -> list[tuple[str | None, str, str | None]]:
        """Return the run's attempts in order: host, state, reason's code."""
        with reading(self.sessions) as session:
            rows = session.scalars(
                select(Attempt).where(Attempt.run_id == run.id).order_by(Attempt.number)
            )
            return [(row.host, row.state, row.reason_code) for row in rows]

    def held(self, server_id: str) -> tuple[int, int]:
        """Return how many allocations and ports the server holds."""
        with reading(self.sessions) as session:
            return (
                len(session.scalars(select(Allocation).filter_by(server_id=server_id)).all()),
                len(session.scalars(select(Port).filter_by(server_id=server_id)).all()),
            )

    def alive(self, host: str) -> bool:
        """Say whether the host has registered."""
        with reading(self.sessions) as session:
            query = select(Hypervisor.id).where(Hypervisor.name == host)
            return session.scalar(query) is not None

    @contextmanager
    def host(
        self, name: str, fake: FakeHypervisor | None = None, journal: Path | None = None
    ) -> Iterator[FakeHypervisor]:
        """Run a compute worker with a fake hypervisor in this process."""
        fake = fake or FakeHypervisor()
        settings = ComputeSettings.model_validate(
            {
                "broker_url": self.byre.broker.url,
                "host": name,
                "driver": "fake",
                "state_dir": self.byre.directory / f"state-{name}",
                "heartbeat_interval_s": 0.5,
                "survey_interval_s": 1.0,
            }
        )
        memory = Journal(journal or settings.state_dir / "journal")
        worker = make_worker(settings, fake, memory)
        worker.celery.conf.task_default_queue = compute_queue(name)
        worker.celery.conf.worker_soft_shutdown_timeout = 0
        threads = Heart(worker), Surveyor(worker), worker.gate
        with start_worker(
            worker.celery,
            concurrency=4,
            pool="threads",
            perform_ping_check=False,
            shutdown_timeout=30,
            queues=[compute_queue(name)],
            hostname=f"compute@{name}",
        ):
            for thread in threads:
                thread.start()
            try:
                wait_until(lambda: self.alive(name), f"host {name}", 20)
                yield fake
            finally:
                for thread in threads:
                    thread.stop()
                    thread.join(10)


# A sweep or a heartbeat may be at work: on PostgreSQL the two can then lock each other out.
@retry(retry=retry_if_exception_type(OperationalError), stop=stop_after_attempt(5), reraise=True)
def empty_tables(sessions: Sessions) -> None:
    """Remove all rows."""
    with sessions.begin() as session:
        for table in reversed(Base.metadata.sorted_tables):
            session.execute(table.delete())


@pytest.fixture(scope="module")
def running(
    any_database_url: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Plane]:
    """A running control plane, on SQLite and on PostgreSQL, for all tests of a module; with the API
    if the module says `WITH_API`: then images are in a directory, or, beside PostgreSQL, in a
    bucket, as where several APIs serve one fleet."""
    directory = tmp_path_factory.mktemp("plane")
    broker = RedisServer(directory)
    byre = Byre(directory, any_database_url, broker)
    engine = make_engine(any_database_url)
    sessions = make_sessions(engine)
    settings = make_settings(
        broker_url=broker.url,
        secret_key=SECRET_KEY,
        boot_limit_s=30.0,
        shutdown_grace_s=2.0,
        internal_api_url=byre.api_url,
    )
    publisher = CeleryPublisher(make_celery(settings, "api", COMPUTE_STAGES), sessions, settings)
    broker.start()
    try:
        has_api = getattr(request.module, "WITH_API", False)
        if has_api and any_database_url.startswith("postgresql"):
            byre.control_environment.update(_bucket(request.getfixturevalue("swift"), directory))
        byre.start_control(api=has_api, BYRE_BOOT_LIMIT_S="30")
        yield Plane(byre, sessions, settings, make_world(sessions), publisher)
    finally:
        byre.stop()
        broker.stop()
        engine.dispose()


def _bucket(swift: SwiftServer, directory: Path) -> dict[str, str]:
    """Return settings that keep images in a bucket, under a prefix of one's own."""
    place = f"s3://{object_stores.BUCKET}/{directory.name}"
    return {
        "BYRE_IMAGE_STORE": f"{place}?endpoint={swift.url}&region={object_stores.REGION}",
        "BYRE_IMAGE_STORE_ACCESS_KEY": object_stores.ACCESS_KEY,
        "BYRE_IMAGE_STORE_SECRET_KEY": object_stores.SECRET_KEY,
        "BYRE_IMAGE_SPOOL_DIR": str(directory / "spool"),
    }


@pytest.fixture
def plane(running: Plane) -> Iterator[Plane]:
    """The running control plane with an empty database and nothing on its way."""
    client = redis.Redis.from_url(running.byre.broker.url)
    wait_until(lambda: not client.llen("byre:control"), "the control queue to be empty", 10)
    client.close()
    empty_tables(running.sessions)
    yield replace(running, world=make_world(running.sessions))
    running.byre.stop_computes()


@pytest.fixture
def blocked() -> Iterator[Callable[[], threading.Event]]:
    """Give events that are set at the test's end, so that no thread waits for ever."""
    events: list[threading.Event] = []

    def make() -> threading.Event:
        events.append(threading.Event())
        return events[-1]

    yield make
    for event in events:
        event.set()
