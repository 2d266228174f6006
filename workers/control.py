"""The control worker: validate, schedule and what follows a failure or a delete; reports and
heartbeats from hypervisors; the sweep. As many of them may run as wanted.

Processes, not threads: a stage past its limit can be ended.
"""

import socket
import uuid
from collections.abc import Callable
from typing import Any

from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded
from celery.signals import worker_process_init, worker_process_shutdown, worker_ready
from sqlalchemy.exc import InterfaceError, OperationalError

from app.db.session import make_engine, make_sessions
from app.runs.publish import CeleryPublisher
from config.celery import make_celery
from config.logs import setup_logs
from config.queues import (
    ANSWER,
    CACHE_REPORT,
    CANARY,
    CANARY_ANSWER,
    CONSOLE,
    CONSOLE_WAY,
    CONTROL,
    FABRIC_CHANGED,
    POSTED_PASSWORDS,
    PULSE,
    control_worker,
)
from config.settings import ControlSettings, SettingsError, end_with, load_control
from tasks import runner
from tasks.control import (
    conclude,
    forget,
    let_go,
    move,
    move_back,
    rehost,
    reports,
    schedule,
    settle,
    validate,
)
from tasks.control.ledger import ControlLedger
from tasks.control.store import Store
from tasks.errors import ByreError
from tasks.messages import Hello
from tasks.pipelines import COMPUTE_STAGES, Side
from workers.watchdog import Watchdog, end_surely

STAGES = {
    "validate": validate,
    "schedule": schedule,
    "conclude": conclude,
    "forget": forget,
    "settle": settle,
    "move": move,
    "move_back": move_back,
    "rehost": rehost,
    "let_go": let_go,
}


class Process:
    """What one process of the pool holds: opened after the fork, never shared over it."""

    def __init__(self, settings: ControlSettings, celery: Celery) -> None:
        self._settings, self._celery = settings, celery
        self._store: Store | None = None

    def open(self, **_: object) -> None:
        """Open the database for this process."""
        url = self._settings.database_url.get_secret_value()
        sessions = make_sessions(make_engine(url, pool_size=2))
        publisher = CeleryPublisher(self._celery, sessions, self._settings)
        self._store = Store(sessions, self._settings, publisher)

    def close(self, **_: object) -> None:
        """Close this process's connections."""
        if self._store is not None:
            self._store.sessions.kw["bind"].dispose()

    def store(self) -> Store:
        """Return what this process opened. Raises RuntimeError outside the pool."""
        if self._store is None:
            raise RuntimeError("the database is opened in the pool's processes only")
        return self._store


def make_worker(settings: ControlSettings, life: str) -> tuple[Celery, Process]:
    """Return the application with all tasks of this side, and what its processes hold. `life`
    names this life of the worker, all its processes together."""
    celery = make_celery(settings, "control", COMPUTE_STAGES)
    process = Process(settings, celery)
    store = process.store
    runner.register(
        celery,
        Side.CONTROL,
        STAGES,
        store,
        lambda: ControlLedger(store(), life),
        control_worker(socket.gethostname()),
    )
    _register_reports(celery, store)
    return celery, process


#: What is taken in, by the task's name. Besides stages' reports, what is lost comes again.
_TAKEN: dict[str, Callable[[Store, dict[str, Any]], None]] = {
    "report": reports.take_report,
    "heartbeat": reports.take_heartbeat,
    "hello": reports.take_hello,
    "survey": reports.take_survey,
    "domain_change": reports.take_domain_change,
    CACHE_REPORT: reports.take_cache_report,
    CONSOLE: reports.take_console,
    CONSOLE_WAY: reports.take_console_way,
    ANSWER: reports.take_answer,
    POSTED_PASSWORDS: reports.take_posted_passwords,
    CANARY: reports.take_canary,
    CANARY_ANSWER: reports.take_canary,
}


def _register_reports(celery: Celery, store: Callable[[], Store]) -> None:
    for name, take in _TAKEN.items():
        _register_report(celery, store, name, take)

    def sweep() -> None:
        reports.take_sweep(store())

    def fabric_changed() -> None:
        reports.take_fabric_changed(store())

    _register(celery, "sweep", sweep, max_retries=0)
    _register(celery, FABRIC_CHANGED, fabric_changed, max_retries=0)


def _register_report(
    celery: Celery,
    store: Callable[[], Store],
    name: str,
    take: Callable[[Store, dict[str, Any]], None],
) -> None:
    def body(message: dict[str, Any]) -> None:
        runner.taken(name, lambda: take(store(), message))

    # A report that could not be written is not lost: the database will be back.
    _register(celery, name, body, max_retries=None if name == "report" else 0)


def _register(
    celery: Celery, name: str, body: Callable[..., None], *, max_retries: int | None
) -> None:
    task: Any = celery.task
    task(
        name=name,
        shared=False,
        soft_time_limit=30,
        time_limit=40,
        autoretry_for=(OperationalError, InterfaceError, SoftTimeLimitExceeded),
        retry_backoff=1,
        retry_backoff_max=30,
        max_retries=max_retries,
        throws=(ByreError,),
    )(body)


def main() -> None:
    """Run the worker until it is told to stop."""
    try:
        settings = load_control()
    except SettingsError as error:
        end_with(error)
    setup_logs(settings)
    life = uuid.uuid4().hex
    name = control_worker(socket.gethostname())
    celery, process = make_worker(settings, life)
    hello = Hello(worker=name, process=life).model_dump()
    watchdog = Watchdog(celery, [CONTROL, PULSE], settings.deaf_after_s)

    def ready(**_: object) -> None:
        celery.send_task("hello", args=[hello])
        watchdog.start()

    end_surely()
    worker_ready.connect(ready, weak=False)
    worker_process_init.connect(process.open, weak=False)
    worker_process_shutdown.connect(process.close, weak=False)
    celery.worker_main(
        [
            "worker",
            f"--queues={CONTROL},{PULSE}",
            f"--hostname={name}",
            f"--concurrency={settings.control_processes}",
            # Workers do not need to know of each other: in a fleet of thousands that is traffic.
            "--without-gossip",
            "--without-mingle",
            f"--loglevel={settings.log_level}",
        ]
    )


if __name__ == "__main__":
    main()
