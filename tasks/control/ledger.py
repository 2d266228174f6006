"""The control side's ledger: its stages' rows are written directly, not by report."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.exc import OperationalError

from app.db.models.base import now
from app.runs import checkpoint
from tasks.control.store import Store
from tasks.errors import StaleMessage, TransientError
from tasks.messages import Failure, Job, Value


class ControlLedger:
    """The ledger of tasks.runner, for the control side."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @contextmanager
    def guard(self, job: Job, stage: str) -> Iterator[None]:
        """Nothing to hold: the rows are locked where they are written. A database that is away or
        locked is a passing trouble. Raises TransientError."""
        try:
            yield
        except OperationalError as error:
            raise TransientError("The database did not answer.", error=str(error)) from error

    def began(self, job: Job, stage: str, worker: str) -> None:
        """Write that the stage is at work. Raises StaleMessage."""
        with self._store.sessions.begin() as session:
            checkpoint.begin(session, job, stage, worker, now())

    def progressed(self, job: Job, stage: str, worker: str, output: Value) -> None:
        """No stage of this side gives anything before its end."""

    def finished(self, job: Job, stage: str, worker: str, started_at: float, output: Any) -> None:
        """Write that the stage is done."""
        with self._store.sessions.begin() as session:
            started = checkpoint.moment_of(started_at)
            checkpoint.finish(session, job, stage, worker, started, now())

    def failed(
        self, job: Job, stage: str, worker: str, started_at: float, failure: Failure
    ) -> None:
        """Write why the stage failed, and send what follows from it."""
        record_failure(self._store, job, stage, worker, failure)


def record_failure(store: Store, job: Job, stage: str, worker: str, failure: Failure) -> None:
    """Write a failure; if the rows then say that something is to be undone, send it."""
    try:
        with store.sessions.begin() as session:
            run = checkpoint.fail(session, job, stage, worker, failure, now())
    except StaleMessage:
        return
    if run is not None:
        store.publisher.publish(run.id)
