"""A hypervisor's ledger: its journal says what may still run here, reports tell the control plane.

There is no database on this side (design, rule 2): what a stage did leaves the host only as a
message to the `control` queue.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import structlog
from celery import Celery
from kombu.exceptions import OperationalError
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_exponential

from tasks.errors import NotYet, StaleMessage, TransientError
from tasks.messages import AttemptRef, Failure, Job, StageReport, Value
from tasks.pipelines import (
    ACTIONS,
    DISCARD_SNAPSHOT,
    EVACUATIONS,
    OFFLOAD,
    PLACING,
    REBUILDS,
    REMOVALS,
    RESIZES,
    UNWIND,
    VACATE,
    ends_on_host,
    stage_named,
)
from tasks.runner import TRANSIENT_PAUSES_S
from workers.hypervisor.journal import Journal

log = structlog.get_logger(__name__)

#: Seconds for which a report is kept in hand while the broker is away.
BROKER_PATIENCE_S = 300.0

#: A message that comes again later is held by this process; so many seconds after its time it is
#: taken to be lost with a connection.
_LATE_S = 10.0

#: It only looks, so it may do so again when all is done.
_LOOKS = "poll_boot"

#: A stage that ends within so many seconds is told in one report instead of two.
TELL_AFTER_S = 0.2

#: What removes servers that may come back to this host: they are fenced as any newer run is.
_RETURNING = frozenset({OFFLOAD, VACATE})

Event = Literal["began", "progress", "finished", "failed"]


class ComputeLedger:
    """The ledger of tasks.runner, for the compute side. `process` names this life of the worker."""

    def __init__(self, celery: Celery, journal: Journal, process: str) -> None:
        self._celery, self._journal, self._process = celery, journal, process
        self._lock = threading.Lock()
        self._at_work: set[tuple[str, int, str]] = set()
        #: What waits in this process until its time comes: since when it would be late.
        self._waiting: dict[tuple[str, int, str], float] = {}
        #: Stages that have begun and of which nobody was told yet.
        self._untold: dict[tuple[str, int, str], threading.Timer] = {}

    @contextmanager
    def guard(self, job: Job, stage: str) -> Iterator[None]:
        """One stage at a time for each server. A delete or an unwinding closes the door first;
        then its turn comes after the stage that is inside. Raises StaleMessage, ServerHeld."""
        with self._only_copy((job.run_id, job.attempt, stage)), self._admitted(job, stage):
            yield

    def at_work(self) -> list[AttemptRef]:
        """Return what this process does now or holds until its time comes."""
        now = time.monotonic()
        with self._lock:
            self._waiting = {key: late for key, late in self._waiting.items() if late > now}
            keys = {key[:2] for key in (*self._at_work, *self._waiting)}
        return [AttemptRef(run_id=run_id, attempt=attempt) for run_id, attempt in sorted(keys)]

    def busy(self) -> int:
        """Return how many stages are at work now."""
        with self._lock:
            return len(self._at_work)

    @contextmanager
    def _only_copy(self, key: tuple[str, int, str]) -> Iterator[None]:
        """A broker that lost its connection hands the same message out again while the first copy
        is at work: that one carries the chain on."""
        with self._lock:
            if key in self._at_work:
                raise StaleMessage("Another copy of this message is at work.")
            self._at_work.add(key)
            self._waiting.pop(key, None)
        try:
            yield
        except TransientError as error:
            pause_s = error.again_s if isinstance(error, NotYet) else max(TRANSIENT_PAUSES_S)
            with self._lock:
                self._waiting[key] = time.monotonic() + pause_s + _LATE_S
            raise
        finally:
            with self._lock:
                self._at_work.discard(key)

    @contextmanager
    def _admitted(self, job: Job, stage: str) -> Iterator[None]:
        undone = job.undoes or AttemptRef(run_id=job.run_id, attempt=job.attempt)
        if job.pipeline in (UNWIND, DISCARD_SNAPSHOT):
            self._journal.bar_run(job.server_id, undone)
        elif job.pipeline in REMOVALS - _RETURNING:
            self._journal.bar_server(job)
        with self._journal.hold(job.server_id):
            if job.pipeline == UNWIND and self._journal.is_superseded(job.server_id, undone):
                raise StaleMessage("A newer attempt has been here; what is there is its own.")
            if job.pipeline not in REMOVALS - _RETURNING:
                self._journal.admit(job, only_looks=stage == _LOOKS)
            yield

    def has_completed(self, job: Job, stage: str) -> bool:
        """Say whether this host did it in an earlier attempt. What builds a server finds its work
        done, but for the stage that is done once only; and what removes finds nothing left."""
        if stage_named(job.pipeline, stage).once:
            return self._journal.was_done(job, stage)
        is_told = job.pipeline in (ACTIONS - REBUILDS - EVACUATIONS - PLACING) | RESIZES
        return is_told and self._journal.has_completed(job.server_id, job.run_id)

    def began(self, job: Job, stage: str, worker: str) -> None:
        """Tell that the stage is at work, unless it ends so soon that its end tells it too."""
        report = self._report(job, stage, worker, "began", time.time())
        timer = threading.Timer(TELL_AFTER_S, self._tell_began, args=(_key(report), report))
        timer.daemon = True
        with self._lock:
            self._untold[_key(report)] = timer
        timer.start()

    def _tell_began(self, key: tuple[str, int, str], report: StageReport) -> None:
        with self._lock:
            is_told = self._untold.pop(key, None) is None
        if is_told:
            return
        try:
            self._publish(report)
        except OperationalError as lost:
            # The stage's end tells its beginning too; heartbeats name it meanwhile.
            log.warning("report.lost", stage=report.stage, reason=str(lost))

    def progressed(self, job: Job, stage: str, worker: str, output: Value) -> None:
        """Tell what has been found so far."""
        given = output.model_dump()
        self._publish(self._report(job, stage, worker, "progress", time.time(), output=given))

    def finished(self, job: Job, stage: str, worker: str, started_at: float, output: Any) -> None:
        """Tell that the stage is done, and what it gave: the run goes on from there if all else
        is lost."""
        if stage_named(job.pipeline, stage).once:
            self._journal.note_once(job, stage)
        if job.pipeline not in REMOVALS and ends_on_host(job.pipeline, stage):
            self._journal.complete(job)
        kept = output.model_dump() if output is not None else None
        self._end(self._report(job, stage, worker, "finished", started_at, output=kept))

    def failed(
        self, job: Job, stage: str, worker: str, started_at: float, failure: Failure
    ) -> None:
        """Tell why the stage failed."""
        self._end(self._report(job, stage, worker, "failed", started_at, failure=failure))

    def _end(self, report: StageReport) -> None:
        with self._lock:
            timer = self._untold.pop(_key(report), None)
        if timer is not None:
            timer.cancel()
        self._publish(report)

    def _report(
        self, job: Job, stage: str, worker: str, event: Event, started_at: float, **more: Any
    ) -> StageReport:
        return StageReport(
            job=job,
            stage=stage,
            event=event,
            worker=worker,
            process=self._process,
            started_at=started_at,
            at=time.time(),
            **more,
        )

    @retry(
        retry=retry_if_exception_type(OperationalError),
        wait=wait_exponential(multiplier=0.5, max=10),
        stop=stop_after_delay(BROKER_PATIENCE_S),
        reraise=True,
    )
    def _publish(self, report: StageReport) -> None:
        self._celery.send_task("report", args=[report.model_dump()])


def _key(report: StageReport) -> tuple[str, int, str]:
    return (report.job.run_id, report.job.attempt, report.stage)
