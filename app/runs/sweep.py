"""Find runs that nobody is carrying on, and see to them. Beat asks for it every few seconds.

Two sweepers at once do no harm: each run is locked and judged by its rows, and whoever comes second
finds it gone on with, under a new fence.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

import structlog
from celery.exceptions import SoftTimeLimitExceeded
from sqlalchemy.orm import Session

from app.db.models import Run, Server
from app.db.models.base import now
from app.db.repo import runs, watch
from app.db.session import Sessions, reading
from app.runs import hosts, shelving
from app.runs.attempts import resume
from app.runs.checkpoint import OWED_PAUSE_S, fail
from app.runs.confirming import confirm_overdue
from app.runs.envelope import job_of
from app.runs.publish import Publisher
from app.runs.start import limit_s
from config.settings import ControlSettings
from tasks.errors import ByreError, ImageUnusable, StageExpired, StaleMessage, WorkerKilled
from tasks.messages import Failure, StageReport
from tasks.pipelines import REMOVALS

log = structlog.get_logger(__name__)

#: Runs seen to in one sweep; the next one goes on.
BATCH = 200

#: Who signs what the sweep writes.
SWEEPER = "sweeper"


def sweep(sessions: Sessions, publisher: Publisher, settings: ControlSettings) -> None:
    """Fail what is overdue, give lost hosts up, go on with what nobody carries on, send what was
    never sent, and ask each queue whether somebody takes from it."""
    moment = now()
    with sessions.begin() as session:
        watch.note(session, moment, timedelta(seconds=settings.host_silence_limit_s))
    _end_overdue(sessions, settings, moment)
    for run_id in shelving.offload_due(sessions, settings, moment):
        publisher.publish(run_id)
    for run_id, failure in hosts.review(sessions, publisher, settings, moment):
        _alone(run_id, partial(_leave_host, sessions, settings, run_id, failure))
    _go_on(sessions, settings, moment)
    confirm_overdue(sessions, publisher, settings, moment)
    with reading(sessions) as session:
        unsent = runs.unpublished(session, now(), BATCH)
        suspicious = runs.suspicious_hosts(session, moment)
    for run_id in unsent:
        _alone(run_id, partial(_send, sessions, publisher, settings, run_id))
    for host in (None, *suspicious):
        publisher.canary(host, moment)


def take_over(
    sessions: Sessions, publisher: Publisher, settings: ControlSettings, worker: str, process: str
) -> None:
    """A worker has started: go on at once with what it had in hand in its former life."""
    with reading(sessions) as session:
        left = runs.left_by(session, worker, process)
    for run_id, attempt in left:
        _alone(run_id, partial(_resume, sessions, settings, run_id, attempt))
        _alone(run_id, partial(_send, sessions, publisher, settings, run_id))


def _go_on(sessions: Sessions, settings: ControlSettings, moment: datetime) -> None:
    with reading(sessions) as session:
        row = watch.get(session)
        reports_until = row.canary_answered_at if row else None
        if reports_until is None:
            return
        orphans = runs.orphaned(session, moment, reports_until, BATCH)
    for run_id, attempt in orphans:
        _alone(run_id, partial(_resume, sessions, settings, run_id, attempt))


def _send(sessions: Sessions, publisher: Publisher, settings: ControlSettings, run_id: str) -> None:
    """Send a run. One of which no message can be made any more, since an image is gone, fails now
    and not when its time is up."""
    try:
        publisher.publish(run_id)
    except ImageUnusable as unsendable:
        with sessions.begin() as session:
            run = runs.lock(session, run_id)
            if run is None or run.state != runs.OPEN:
                return
            standing = _standing(session, run)
            if standing is None:
                return
            fail(session, settings, _report(session, run, standing[0], unsendable))
        log.warning("run.unsendable", run_id=run_id, reason=unsendable.public)


def _end_overdue(sessions: Sessions, settings: ControlSettings, moment: datetime) -> None:
    with reading(sessions) as session:
        stages = runs.overdue_stages(session, moment, BATCH)
        late = runs.overdue_runs(session, moment, BATCH)
    for run_id, attempt, name in stages:
        _alone(run_id, partial(_expire, sessions, settings, run_id, attempt, name))
    for run_id in late:
        _alone(run_id, partial(_give_up_or_extend, sessions, settings, run_id))


def _alone(run_id: str, see_to: Callable[[], None]) -> None:
    """See to one run; whatever is wrong with it must not keep the others waiting."""
    try:
        see_to()
    except SoftTimeLimitExceeded:
        raise
    except StaleMessage as stale:
        log.info("sweep.overtaken", run_id=run_id, reason=stale.public)
    except Exception:
        log.exception("sweep.failed", run_id=run_id)


def _resume(sessions: Sessions, settings: ControlSettings, run_id: str, attempt: int) -> None:
    """Go on with a run whose worker is gone, or whose message is."""
    with sessions.begin() as session:
        run = runs.lock(session, run_id)
        if run is None or run.attempt != attempt or run.state != runs.OPEN:
            return
        standing = _standing(session, run)
        if standing is None:
            return
        name, was_running, worker = standing
        begun = runs.unfinished_begins(session, run, name)
        if was_running and run.pipeline not in REMOVALS and begun > settings.max_resumes:
            reason = f"Its worker ended {begun} times at stage {name}."
            fail(session, settings, _report(session, run, name, WorkerKilled(reason)))
            return
        why = f"{worker} ended at it" if was_running else "its message was lost"
        code = "worker_ended" if was_running else "message_lost"
        resume(session, run, now(), code, f"Stage {name}: {why}.")
        if was_running and begun > settings.max_resumes:
            # A removal is never given up, but it need not kill its worker without a pause.
            run.lease_until = now() + timedelta(seconds=OWED_PAUSE_S)
    log.warning("run.resumed", run_id=run_id, attempt=attempt + 1, stage=name, reason=code)


def _standing(session: Session, run: Run) -> tuple[str, bool, str | None] | None:
    """Return the stage at which the run stands, whether it was begun, and by whom."""
    for stage in runs.stages_of(session, run):
        if stage.state in ("queued", "running"):
            return stage.name, stage.state == "running", stage.worker
    return None


def _expire(
    sessions: Sessions, settings: ControlSettings, run_id: str, attempt: int, name: str
) -> None:
    """A create whose stage is past its deadline leaves its host, an action fails; a removal is sent
    again."""
    with sessions.begin() as session:
        run = runs.lock(session, run_id)
        if run is None or run.attempt != attempt or run.state != runs.OPEN:
            return
        stage = runs.get_stage(session, run, name)
        if stage is None or stage.state != "running":
            return
        reason = f"Stage {name} did not end within {stage.limit_s:.0f} s."
        if run.pipeline in REMOVALS:
            resume(session, run, now(), "stage_expired", reason)
        else:
            fail(session, settings, _report(session, run, name, StageExpired(reason)))
    log.warning("stage.expired", run_id=run_id, stage=name, worker=stage.worker)


def _give_up_or_extend(sessions: Sessions, settings: ControlSettings, run_id: str) -> None:
    with sessions.begin() as session:
        run = runs.lock(session, run_id)
        if run is None or run.state != runs.OPEN or run.deadline >= now():
            return
        if run.pipeline in REMOVALS:
            run.deadline = now() + timedelta(seconds=settings.run_limit_s)
            return
        rows = runs.stages_of(session, run)
        standing = next((row for row in rows if row.state in runs.OPEN_STAGE), rows[-1])
        late = StageExpired(
            f"It did not come to its end within {limit_s(run.pipeline, settings):.0f} s in"
            f" all; it was {standing.state} at stage {standing.name}."
        )
        fail(session, settings, _report(session, run, standing.name, late), final=True)
    log.warning("run.expired", run_id=run_id, stage=standing.name)


def _leave_host(
    sessions: Sessions, settings: ControlSettings, run_id: str, failure: ByreError
) -> None:
    """A create goes elsewhere, a delete leaves the host's part to be done when it is back, an
    action fails."""
    with sessions.begin() as session:
        run = runs.lock(session, run_id)
        if run is None or run.state != runs.OPEN or run.hypervisor_id is None:
            return
        hosts.leave(session, settings, run, lambda stage: _report(session, run, stage, failure))
    log.warning("run.left_host", run_id=run_id, reason=failure.code)


def _report(session: Session, run: Run, stage: str, error: ByreError) -> StageReport:
    moment = now().timestamp()
    return StageReport(
        job=job_of(session, run, session.get_one(Server, run.server_id)),
        stage=stage,
        event="failed",
        worker=SWEEPER,
        started_at=moment,
        at=moment,
        failure=Failure(code=error.code, fault=error.fault.value, public=error.public),
    )
