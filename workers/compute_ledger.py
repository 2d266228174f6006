"""A hypervisor's ledger: its journal says what may still run here, reports tell the control plane.

There is no database on this side (design, rule 2): what a stage did leaves the host only as a
message to the `control` queue.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from celery import Celery
from kombu.exceptions import OperationalError
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_exponential

from tasks.errors import StaleMessage
from tasks.messages import Failure, Job, StageReport, Value
from tasks.pipelines import DELETE, UNWIND
from workers.hypervisor.journal import Journal

#: Seconds for which a report is kept in hand while the broker is away.
BROKER_PATIENCE_S = 300.0

Event = Literal["began", "progress", "finished", "failed"]


class ComputeLedger:
    """The ledger of tasks.runner, for the compute side."""

    def __init__(self, celery: Celery, journal: Journal) -> None:
        self._celery, self._journal = celery, journal
        self._lock = threading.Lock()
        self._at_work: set[tuple[str, int, str]] = set()

    @contextmanager
    def guard(self, job: Job, stage: str) -> Iterator[None]:
        """One stage at a time for each server. A delete or an unwinding closes the door first,
        then waits for the stage that is inside. Raises StaleMessage, HostBusy."""
        with self._only_copy((job.run_id, job.attempt, stage)), self._admitted(job):
            yield

    @contextmanager
    def _only_copy(self, key: tuple[str, int, str]) -> Iterator[None]:
        """A broker that lost its connection hands the same message out again while the first copy
        is at work: that one carries the chain on."""
        with self._lock:
            if key in self._at_work:
                raise StaleMessage("Another copy of this message is at work.")
            self._at_work.add(key)
        try:
            yield
        finally:
            with self._lock:
                self._at_work.discard(key)

    @contextmanager
    def _admitted(self, job: Job) -> Iterator[None]:
        if job.pipeline == DELETE:
            self._journal.bar_server(job)
        elif job.pipeline == UNWIND:
            self._journal.bar_run(job)
        with self._journal.hold(job.server_id):
            if job.pipeline == UNWIND and self._journal.is_superseded(job):
                raise StaleMessage("A newer attempt has been here; what is there is its own.")
            if job.pipeline not in (DELETE, UNWIND):
                self._journal.admit(job)
            yield

    def began(self, job: Job, stage: str, worker: str) -> None:
        """Tell that the stage is at work."""
        self._send(job, stage, worker, "began", time.time())

    def progressed(self, job: Job, stage: str, worker: str, output: Value) -> None:
        """Tell what has been found so far."""
        self._send(job, stage, worker, "progress", time.time(), output=output.model_dump())

    def finished(self, job: Job, stage: str, worker: str, started_at: float, output: Any) -> None:
        """Tell that the stage is done. Only the last stage's output is worth a row."""
        kept = output.model_dump() if stage == "poll_boot" else None
        self._send(job, stage, worker, "finished", started_at, output=kept)

    def failed(
        self, job: Job, stage: str, worker: str, started_at: float, failure: Failure
    ) -> None:
        """Tell why the stage failed."""
        self._send(job, stage, worker, "failed", started_at, failure=failure)

    def _send(
        self, job: Job, stage: str, worker: str, event: Event, started_at: float, **more: Any
    ) -> None:
        report = StageReport(
            job=job,
            stage=stage,
            event=event,
            worker=worker,
            started_at=started_at,
            at=time.time(),
            **more,
        )
        self._publish(report)

    @retry(
        retry=retry_if_exception_type(OperationalError),
        wait=wait_exponential(multiplier=0.5, max=10),
        stop=stop_after_delay(BROKER_PATIENCE_S),
        reraise=True,
    )
    def _publish(self, report: StageReport) -> None:
        self._celery.send_task("report", args=[report.model_dump()])
