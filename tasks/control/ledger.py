"""The control side's ledger: its stages' rows are written directly, not by report."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError

from app.runs import checkpoint
from tasks.control.store import Store
from tasks.errors import StaleMessage, TransientError
from tasks.messages import Failure, Job, StageReport, Value

log = structlog.get_logger(__name__)

#: Stages by which a server's interfaces come to a host, or go: others have to learn of it.
_MOVING = frozenset({"schedule", "conclude", "forget", "let_go", "move", "move_back", "rehost"})


class ControlLedger:
    """The ledger of tasks.runner, for the control side."""

    def __init__(self, store: Store, process: str) -> None:
        self._store, self._process = store, process

    @contextmanager
    def guard(self, job: Job, stage: str) -> Iterator[None]:
        """Nothing to hold: the rows are locked where they are written. A database that is away or
        locked is a passing trouble. Raises TransientError."""
        try:
            yield
        except (OperationalError, InterfaceError) as error:
            raise TransientError("The database did not answer.", error=str(error)) from error

    def has_completed(self, job: Job, stage: str) -> bool:
        """Never: what ended is written with the end itself."""
        return False

    def began(self, job: Job, stage: str, worker: str) -> None:
        """Write that the stage is at work. Raises StaleMessage."""
        report = self._report(job, stage, worker, "began", time.time())
        with self._store.sessions.begin() as session:
            checkpoint.begin(session, self._store.settings, report)

    def progressed(self, job: Job, stage: str, worker: str, output: Value) -> None:
        """No stage of this side gives anything before its end."""

    def finished(self, job: Job, stage: str, worker: str, started_at: float, output: Any) -> None:
        """Write that the stage is done. Its output travels on, but is not kept: it has secrets."""
        report = self._report(job, stage, worker, "finished", started_at)
        with self._store.sessions.begin() as session:
            to_send = checkpoint.finish(session, self._store.settings, report)
        for run_id in to_send:
            self._store.publisher.publish(run_id)
        if stage in _MOVING:
            self._store.publisher.fabric_changed()

    def failed(
        self, job: Job, stage: str, worker: str, started_at: float, failure: Failure
    ) -> None:
        """Write why the stage failed, and send what follows from it. Passing trouble on this side
        is the control plane's own: it is nobody's failure, and the sweep goes on with the run."""
        if failure.fault == "transient":
            return
        report = self._report(job, stage, worker, "failed", started_at)
        record_failure(self._store, report.model_copy(update={"failure": failure}))

    def _report(
        self,
        job: Job,
        stage: str,
        worker: str,
        event: Literal["began", "finished", "failed"],
        started_at: float,
    ) -> StageReport:
        return StageReport(
            job=job,
            stage=stage,
            event=event,
            worker=worker,
            process=self._process,
            started_at=started_at,
            at=time.time(),
        )


def record_failure(store: Store, report: StageReport) -> None:
    """Write a failure, and send what follows from it: what is to be undone, and the next attempt.
    Raises OperationalError if the database is away."""
    try:
        with store.sessions.begin() as session:
            to_send = checkpoint.fail(session, store.settings, report)
    except StaleMessage as stale:
        log.info("failure.stale", stage=report.stage, reason=stale.public)
        return
    for run_id in to_send:
        store.publisher.publish(run_id)
    store.publisher.fabric_changed()
