"""Write down what became of a stage, if the run still is what the writer believes it to be.

Every function is one transaction's worth of work on a run that it locks first. A run that was
cancelled, that moved on to another attempt or that ended makes the writer stale, and nothing
is written. Reports of different stages may arrive out of order: each only ever moves its own
stage forward.
"""

from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from app.db.models import Fault, Run, Server, Stage
from app.db.models.base import now
from app.db.repo import runs
from app.runs.start import add_stages
from tasks.errors import StaleMessage
from tasks.messages import BootReport, Failure, Job
from tasks.pipelines import CREATE, DELETE, UNWIND, stages_of

#: Nova's numbers for `power_state`.
NO_STATE, RUNNING = 0, 1

#: Seconds after which a removal that failed is tried again.
OWED_PAUSE_S = 60.0

_LIVE_STATE = {UNWIND: "unwinding"}


def moment_of(unix_s: float) -> datetime:
    """Return the moment that a report's Unix time names."""
    return datetime.fromtimestamp(unix_s, UTC)


def fence(session: Session, job: Job) -> Run:
    """Return the job's run, locked, if the job may still act for it. Raises StaleMessage."""
    run = runs.lock(session, job.run_id)
    wanted = _LIVE_STATE.get(job.pipeline, "running")
    if run is None or run.attempt != job.attempt or run.state != wanted:
        state = "gone" if run is None else f"{run.state}, attempt {run.attempt}"
        raise StaleMessage(f"Run {job.run_id} is {state}; attempt {job.attempt} may not act.")
    return run


def begin(session: Session, job: Job, name: str, worker: str, moment: datetime) -> None:
    """Note that a stage is at work; its deadline counts from the first delivery. Raises
    StaleMessage."""
    run = fence(session, job)
    stage = _stage(session, run, name)
    if stage.state in ("waiting", "queued"):
        stage.state, stage.worker, stage.started_at = "running", worker, moment
        stage.queued_at = stage.queued_at or moment
        stage.deadline = now() + timedelta(seconds=stage.limit_s)
        _show(session, run, name)


def progress(session: Session, job: Job, name: str, report: BootReport) -> None:
    """Keep the proofs seen so far. Raises StaleMessage."""
    run = fence(session, job)
    stage = _stage(session, run, name)
    if stage.state == "running":
        stage.output = report.model_dump()
        _note_addresses(session, run, report)


def finish(
    session: Session,
    job: Job,
    name: str,
    worker: str,
    started: datetime,
    ended: datetime,
    output: BootReport | None = None,
) -> None:
    """Note that a stage is done, queue the next one, and end the run after its last one.

    Raises StaleMessage.
    """
    run = _fence_for_row(session, job)
    stage = _stage(session, run, name)
    if stage.state in ("done", "failed", "cancelled"):
        return
    stage.state, stage.worker = "done", worker
    stage.started_at, stage.finished_at = stage.started_at or started, ended
    # The report of the stage before it may still be on its way.
    stage.queued_at = stage.queued_at or stage.started_at
    if output is not None:
        stage.output = output.model_dump()
        _note_addresses(session, run, output)
    following = _after(session, run, stage)
    if following is not None:
        _queue(following, ended)
    elif run.state == "running":
        _complete(session, run, ended)
    elif run.state == "unwinding":
        end(session, run, "failed", ended)


def fail(
    session: Session, job: Job, name: str, worker: str, failure: Failure, moment: datetime
) -> Run | None:
    """Note that a stage failed, and decide what follows. Returns the run if its rows now say that
    something is to be sent. Raises StaleMessage."""
    run = fence(session, job)
    stage = _stage(session, run, name)
    if stage.state == "done":
        raise StaleMessage(f"Stage {name} is done; a late copy of it failed.")
    stage.worker, stage.started_at = worker, stage.started_at or moment
    stage.reason_code, stage.reason = failure.code, failure.public
    if run.pipeline == DELETE or run.state == "unwinding":
        _owe(run, stage, moment)
        return None
    stage.state, stage.finished_at = "failed", moment
    runs.cancel_open_stages(session, run, moment)
    run.reason_code, run.reason = failure.code, failure.public
    server = session.get_one(Server, run.server_id)
    blame(server, failure, moment)
    if server.hypervisor_id is not None:
        run.state, run.published_at = "unwinding", None
        position = len(runs.stages_of(session, run))
        add_stages(session, run, list(stages_of(UNWIND)), moment, position)
        return run
    end(session, run, "failed", moment)
    return None


def end(session: Session, run: Run, state: str, moment: datetime) -> None:
    """End a run and its present attempt."""
    run.state, run.finished_at = state, moment
    attempt = runs.get_attempt(session, run)
    attempt.state, attempt.finished_at = state, moment


def _owe(run: Run, stage: Stage, moment: datetime) -> None:
    """What has to go is never given up: the sweeper sends the run again at its new deadline."""
    stage.state, stage.queued_at = "queued", moment
    run.deadline = moment + timedelta(seconds=OWED_PAUSE_S)


def blame(server: Server, failure: Failure, moment: datetime) -> None:
    """Show the failure on the server: ERROR, with Nova's `fault`."""
    server.status, server.vm_state, server.task_state = "ERROR", "error", None
    server.power_state = NO_STATE
    fault = server.fault or Fault(server_id=server.id)
    # 500 is what Nova gives for everything that fails after the request was accepted.
    fault.code, fault.reason, fault.created_at = 500, failure.code, moment
    fault.message, fault.details = failure.public, failure.console
    server.fault = fault


def _fence_for_row(session: Session, job: Job) -> Run:
    """As `fence`, but a run that has just ended well may still have its rows completed: the last
    stage's report can overtake the one before it."""
    run = runs.lock(session, job.run_id)
    ended = "failed" if job.pipeline == UNWIND else "done"
    if run is not None and run.attempt == job.attempt and run.state == ended:
        return run
    return fence(session, job)


def _stage(session: Session, run: Run, name: str) -> Stage:
    stage = runs.get_stage(session, run, name)
    if stage is None:
        raise StaleMessage(f"Run {run.id} has no stage {name}.")
    return stage


def _after(session: Session, run: Run, stage: Stage) -> Stage | None:
    rows = runs.stages_of(session, run)
    return next((row for row in rows if row.position == stage.position + 1), None)


def _queue(stage: Stage, moment: datetime) -> None:
    if stage.state == "waiting":
        stage.state, stage.queued_at = "queued", moment


def _show(session: Session, run: Run, name: str) -> None:
    if run.pipeline == CREATE and run.state == "running":
        session.get_one(Server, run.server_id).task_state = name


def _complete(session: Session, run: Run, moment: datetime) -> None:
    end(session, run, "done", moment)
    if run.pipeline == CREATE:
        server = session.get_one(Server, run.server_id)
        server.status, server.vm_state, server.task_state = "ACTIVE", "active", None
        server.power_state, server.launched_at = RUNNING, moment


def _note_addresses(session: Session, run: Run, report: BootReport) -> None:
    seen = {p.detail for p in report.proofs if p.proof == "address" and p.state == "seen"}
    for port in session.get_one(Server, run.server_id).ports:
        if port.address in seen and port.seen_at is None:
            port.seen_at = now()
