"""The control plane of a simulation: its database, its workers, its clocks, its API."""

import hashlib
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from unittest.mock import patch

from kombu.exceptions import OperationalError
from sqlalchemy import Engine

from app.db.models import Base, Flavor, Image, Project
from app.db.session import make_engine
from app.runs.publish import CeleryPublisher
from app.services import new_servers, servers
from app.services.context import Caller, Context
from app.services.new_servers import NewServer
from app.services.server_networks import Interface
from config.celery import make_celery
from config.queues import CONTROL, PULSE
from config.settings import ControlSettings
from tasks.control.store import Store
from tasks.errors import NotFound, QuotaExceeded, RequestError
from tasks.messages import Hello, ImageUpload
from tasks.pipelines import COMPUTE_STAGES
from tests.asking import ask
from tests.rows import World, make_settings, make_world
from tests.simulation.broker import unlimited, url_of
from tests.simulation.scene import Scene, Sessions
from tests.simulation.turns import Life
from tests.simulation.workers import Worker
from workers.beat import make_clock
from workers.control import make_worker

QUOTA_SERVERS = 12

#: A database with all tables and no rows, made once for all simulations of this process.
_EMPTY: list[bytes] = []

#: Short times, so that each of the product's remedies is seen at work within minutes.
_TIMES = {
    "sweep_interval_s": 10.0,
    "host_silence_limit_s": 35.0,
    "stage_lease_s": 40.0,
    "handover_s": 5.0,
    "host_lost_after_s": 90.0,
    "canary_interval_s": 30.0,
    "canary_limit_s": 90.0,
    "boot_limit_s": 90.0,
    "run_limit_s": 1800.0,
    "action_limit_s": 600.0,
    "shutdown_grace_s": 20.0,
    "drift_grace_s": 60.0,
    "drift_quarantine_s": 60.0,
}


class Database:
    """One simulation's database, and what every server needs in it."""

    def __init__(self, directory: Path, scene: Scene) -> None:
        self.path = path = directory / "byre.db"
        if not _EMPTY:
            _EMPTY.append(_make_empty(directory / "empty.db"))
        path.write_bytes(_EMPTY[0])
        self.url = f"sqlite:///{path}"
        self.engine: Engine = make_engine(self.url)
        self.sessions = Sessions(self.engine, scene)
        self.world: World = make_world(self.sessions)
        self.large_flavor_id = str(uuid.uuid4())
        with self.sessions.begin() as session:
            session.get_one(Project, self.world.project_id).quota_servers = QUOTA_SERVERS
            session.add(
                Flavor(id=self.large_flavor_id, name="large", vcpus=2, memory_mib=512, root_gib=2)
            )

    def arrive(self, path: Path, upload: ImageUpload, _: float) -> None:
        """Take the place of the API to which hosts send images."""
        if not path.exists():
            return
        with self.sessions.begin() as session:
            image = session.get(Image, upload.image_id)
            if image is not None and image.status == "queued":
                image.status, image.size_bytes = "active", path.stat().st_size
                image.sha256 = hashlib.sha256(path.read_bytes()).hexdigest()

    def settings(self, process: str) -> ControlSettings:
        """Return the settings of one of the control plane's processes."""
        return make_settings(broker_url=url_of(process), database_url=self.url, **_TIMES)


def _make_empty(path: Path) -> bytes:
    engine = make_engine(f"sqlite:///{path}")
    Base.metadata.create_all(engine)
    engine.dispose()
    return path.read_bytes()


class ControlProcess:
    """One life of a control worker."""

    def __init__(self, scene: Scene, database: Database, name: str) -> None:
        self.life = Life(name)
        settings = database.settings(name)
        life = uuid.uuid4().hex
        with patch("socket.gethostname", return_value=name):
            celery, process = make_worker(settings, life)
        publisher = CeleryPublisher(unlimited(celery), database.sessions, settings)
        process._store = Store(database.sessions, settings, publisher)
        self.worker = Worker(scene, celery, self.life, [CONTROL, PULSE], settings.control_processes)
        self.routines: list[tuple[str, float, Callable[[], None]]] = []
        hello = Hello(worker=f"control@{name}", process=life).model_dump()

        def greet() -> None:
            # Celery logs what goes wrong at its signals, and goes on.
            with suppress(OperationalError):
                celery.send_task("hello", args=[hello])

        scene.turns.spawn("hello", self.life, greet)


class Beat:
    """One clock. Two of them tick at once."""

    def __init__(self, database: Database, name: str) -> None:
        self.life = Life(name)
        settings = database.settings(name)
        self._celery = unlimited(make_clock(settings))
        self._entry = self._celery.conf.beat_schedule["sweep"]
        self.routines: list[tuple[str, float, Callable[[], None]]] = [
            ("tick", settings.sweep_interval_s, self._tick)
        ]

    def _tick(self) -> None:
        # Celery's beat goes on without what it could not send.
        with suppress(OSError, OperationalError):
            self._celery.send_task(self._entry["task"], retry=False, **self._entry["options"])


class Api:
    """The use cases as the API calls them, each request in an actor of its own."""

    def __init__(self, scene: Scene, database: Database) -> None:
        self._scene, self._database = scene, database
        self.life = Life("api")
        settings = database.settings("api")
        celery = make_celery(settings, "api", COMPUTE_STAGES)
        publisher = CeleryPublisher(unlimited(celery), database.sessions, settings)
        self._context = Context(database.sessions, settings, publisher)
        #: Servers whose deletion was answered.
        self.deleted: set[str] = set()

    def create(self, *, large: bool, count: int) -> None:
        """Ask for servers."""
        world = self._database.world
        flavor = self._database.large_flavor_id if large else world.flavor_id
        new = NewServer(
            "web", flavor, world.image_id, (Interface(world.network_id),), max_count=count
        )

        def work() -> None:
            # A refusal is an answer too: no server was accepted.
            with suppress(QuotaExceeded):
                new_servers.create(self._context, self._caller(), new)

        self._scene.turns.spawn("create", self.life, work)

    def delete(self, server_id: str) -> None:
        """Ask for a server's end."""

        def work() -> None:
            with suppress(NotFound):
                servers.delete(self._context, self._caller(), server_id)
            self.deleted.add(server_id)

        self._scene.turns.spawn("delete", self.life, work)

    def act(self, server_id: str, pipeline: str) -> None:
        """Ask for an action on a server."""

        def work() -> None:
            with suppress(NotFound, RequestError):
                # The large flavor; who has it already is refused.
                flavor_id = self._database.large_flavor_id
                ask(self._context, self._caller(), server_id, pipeline, flavor_id)

        self._scene.turns.spawn("act", self.life, work)

    def _caller(self) -> Caller:
        world = self._database.world
        request_id = f"req-{uuid.uuid4()}"
        return Caller(world.user_id, "u", world.project_id, "p", ("member",), request_id)
