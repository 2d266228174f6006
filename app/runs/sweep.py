"""Find runs that nobody is carrying on, and see to them. Beat asks for it every few seconds.

Two sweepers at once do no harm: each run is locked and judged by its rows, and to send a chain
twice is no worse than a broker that delivers it twice.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import structlog
from celery.exceptions import SoftTimeLimitExceeded
from sqlalchemy.orm import Session

from app.db.models import Run
from app.db.models.base import now
from app.db.repo import runs
from app.db.session import Sessions, reading
from app.runs.checkpoint import fail
from app.runs.publish import Publisher
from config.settings import ControlSettings
from tasks.messages import Failure, Job
from tasks.pipelines import CREATE, UNWIND

log = structlog.get_logger(__name__)

#: Runs seen to in one sweep; the next one goes on.
BATCH = 100

#: Seconds that the process which wrote a run has for sending it itself.
PUBLISH_GRACE_S = 2.0


def sweep(sessions: Sessions, publisher: Publisher, settings: ControlSettings) -> None:
    """Fail what is overdue, then send what was never sent."""
    moment = now()
    with reading(sessions) as session:
        stages = runs.overdue_stages(session, moment, BATCH)
        late = runs.overdue_runs(session, moment, BATCH)
    for run_id, attempt, name in stages:
        _alone(run_id, partial(_expire, sessions, run_id, attempt, name))
    for run_id in late:
        _alone(run_id, partial(_give_up_or_extend, sessions, run_id, settings))
    with reading(sessions) as session:
        unsent = runs.unpublished(session, moment - timedelta(seconds=PUBLISH_GRACE_S), BATCH)
    for run_id in unsent:
        _alone(run_id, partial(publisher.publish, run_id))


def _alone(run_id: str, see_to: Callable[[], None]) -> None:
    """See to one run; whatever is wrong with it must not keep the others waiting."""
    try:
        see_to()
    except SoftTimeLimitExceeded:
        raise
    except Exception:
        log.exception("sweep.failed", run_id=run_id)


def _expire(sessions: Sessions, run_id: str, attempt: int, name: str) -> None:
    """A create whose stage is past its deadline fails; a removal is sent again, for it is owed."""
    with sessions.begin() as session:
        run = runs.lock(session, run_id)
        if run is None or run.attempt != attempt or run.state not in runs.OPEN:
            return
        stage = runs.get_stage(session, run, name)
        if stage is None or stage.state != "running":
            return
        if run.state == "running" and run.pipeline == CREATE:
            reason = f"Stage {name} did not end within {stage.limit_s:.0f} s on {stage.worker}."
            _fail(session, run, name, reason)
            return
        stage.state, run.published_at = "queued", None
        log.warning("stage.sent_again", run_id=run_id, stage=name)


def _give_up_or_extend(sessions: Sessions, run_id: str, settings: ControlSettings) -> None:
    with sessions.begin() as session:
        run = runs.lock(session, run_id)
        if run is None or run.state not in runs.OPEN or run.deadline >= now():
            return
        if run.state == "running" and run.pipeline == CREATE:
            open_stage = next(
                stage
                for stage in runs.stages_of(session, run)
                if stage.state in ("waiting", "queued", "running")
            )
            reason = (
                f"The server was not up within {settings.run_limit_s:.0f} s in all; it was"
                f" {open_stage.state} at stage {open_stage.name}."
            )
            _fail(session, run, open_stage.name, reason)
            return
        run.deadline = now() + timedelta(seconds=settings.run_limit_s)
        run.published_at = None
        log.warning("run.sent_again", run_id=run_id, pipeline=run.pipeline, state=run.state)


def _fail(session: Session, run: Run, stage: str, reason: str) -> None:
    failure = Failure(code="stage_expired", fault="host", public=reason)
    fail(session, job_of(run), stage, "sweeper", failure, now())
    log.warning("run.expired", run_id=run.id, stage=stage, reason=reason)


def job_of(run: Run) -> Job:
    """Return the fence of the run as it is now."""
    return Job(
        pipeline=UNWIND if run.state == "unwinding" else run.pipeline,
        run_id=run.id,
        attempt=run.attempt,
        server_id=run.server_id,
        project_id="",
        request_id=run.request_id,
        deadline=run.deadline.timestamp(),
    )
