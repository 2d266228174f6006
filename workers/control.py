"""The control worker: validate, schedule and what follows a failure or a delete; reports and
heartbeats from hypervisors; the sweep. As many of them may run as wanted.

Processes, not threads: a stage past its limit can be ended.
"""

import socket
from collections.abc import Callable
from typing import Any

from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded
from celery.signals import worker_process_init, worker_process_shutdown
from sqlalchemy.exc import OperationalError

from app.db.session import make_engine, make_sessions
from app.runs.publish import CeleryPublisher
from config.celery import make_celery
from config.logs import setup_logs
from config.queues import CONTROL, PULSE, control_worker
from config.settings import ControlSettings, SettingsError, end_with, load_control
from tasks import runner
from tasks.control import conclude, forget, reports, schedule, validate
from tasks.control.ledger import ControlLedger
from tasks.control.store import Store
from tasks.pipelines import COMPUTE_STAGES, Side

STAGES = {
    "validate": validate,
    "schedule": schedule,
    "conclude": conclude,
    "forget": forget,
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
        publisher = CeleryPublisher(self._celery, sessions)
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


def make_worker(settings: ControlSettings) -> tuple[Celery, Process]:
    """Return the application with all tasks of this side, and what its processes hold."""
    celery = make_celery(settings, "control", COMPUTE_STAGES)
    process = Process(settings, celery)
    store = process.store
    runner.register(
        celery,
        Side.CONTROL,
        STAGES,
        store,
        lambda: ControlLedger(store()),
        control_worker(socket.gethostname()),
    )
    _register_reports(celery, store)
    return celery, process


def _register_reports(celery: Celery, store: Callable[[], Store]) -> None:
    def report(message: dict[str, Any]) -> None:
        reports.take_report(store(), message)

    def heartbeat(message: dict[str, Any]) -> None:
        reports.take_heartbeat(store(), message)

    def sweep() -> None:
        reports.take_sweep(store())

    task: Any = celery.task
    for body in (report, heartbeat, sweep):
        task(
            name=body.__name__,
            shared=False,
            soft_time_limit=30,
            time_limit=40,
            # A report that could not be written is not lost: the database will be back.
            autoretry_for=(OperationalError, SoftTimeLimitExceeded),
            retry_backoff=1,
            retry_backoff_max=30,
            max_retries=None if body is report else 0,
        )(body)


def main() -> None:
    """Run the worker until it is told to stop."""
    try:
        settings = load_control()
    except SettingsError as error:
        end_with(error)
    setup_logs(settings)
    celery, process = make_worker(settings)
    worker_process_init.connect(process.open, weak=False)
    worker_process_shutdown.connect(process.close, weak=False)
    celery.worker_main(
        [
            "worker",
            f"--queues={CONTROL},{PULSE}",
            f"--hostname={control_worker(socket.gethostname())}",
            f"--concurrency={settings.control_processes}",
            # Workers do not need to know of each other: in a fleet of thousands that is traffic.
            "--without-gossip",
            "--without-mingle",
            f"--loglevel={settings.log_level}",
        ]
    )


if __name__ == "__main__":
    main()
