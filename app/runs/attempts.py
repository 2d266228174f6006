"""Go on with a run under a new fence: on the same host from where it stood, or on another host.

The attempt before it is over: whatever of it is still under way somewhere is stale, on the control
side by the run's row, on a host by its journal.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from app.db.models import Attempt, Run, Server, Stage
from app.db.repo import runs
from app.runs.start import PUBLISH_GRACE_S
from tasks.messages import Failure
from tasks.pipelines import CREATE, PLACING

#: The stages that choose a host.
_CHOOSES = ("schedule", "move", "rehost")


def resume(session: Session, run: Run, moment: datetime, code: str, reason: str) -> None:
    """Begin the next attempt where this one stood. The run is to be sent."""
    host = _close(session, run, moment, "resumed", code, reason)
    _begin_next(session, run, moment, host, lambda stage: stage.state in ("done", "cancelled"))


def move_on(session: Session, run: Run, moment: datetime, failure: Failure) -> None:
    """Begin the next attempt of what chooses a host, with another choice. The run is to be sent."""
    _close(session, run, moment, "failed", failure.code, failure.public)
    chosen_at = next(s.position for s in runs.stages_of(session, run) if s.name in _CHOOSES)
    run.hypervisor_id = None
    server = session.get_one(Server, run.server_id)
    if run.pipeline in PLACING:
        server.hypervisor_id = None
    if run.pipeline == CREATE:
        server.task_state = "schedule"
    _begin_next(session, run, moment, None, lambda stage: stage.position < chosen_at)


def skip_host(session: Session, run: Run, moment: datetime, failure: Failure) -> None:
    """Go on with a removal without its host, whose part another run owes now. It is to be sent."""
    _close(session, run, moment, "resumed", failure.code, failure.public)
    for stage in runs.stages_of(session, run):
        if stage.state in runs.OPEN_STAGE and stage.position == 0:
            stage.state, stage.finished_at = "cancelled", moment
            stage.reason_code, stage.reason = failure.code, failure.public
    run.hypervisor_id = None
    _begin_next(session, run, moment, None, lambda stage: stage.state in ("done", "cancelled"))


def hosts_tried(session: Session, run: Run) -> list[Attempt]:
    """Return the attempts that failed on a host: each of these is excluded, with its reason."""
    return [a for a in runs.attempts_of(session, run) if a.state == "failed" and a.host]


def _close(
    session: Session, run: Run, moment: datetime, state: str, code: str, reason: str
) -> str | None:
    attempt = runs.get_attempt(session, run)
    attempt.state, attempt.finished_at = state, moment
    attempt.reason_code, attempt.reason = code, reason
    return attempt.host


def _begin_next(
    session: Session,
    run: Run,
    moment: datetime,
    host: str | None,
    kept: Callable[[Stage], bool],
) -> None:
    rows = []
    is_first = True
    for stage in runs.stages_of(session, run):
        if kept(stage):
            rows.append(_copied(stage, run.attempt + 1))
            continue
        rows.append(_anew(stage, run, moment if is_first else None))
        is_first = False
    runs.cancel_open_stages(session, run, moment)
    run.attempt += 1
    run.published_at = None
    run.lease_until = moment + timedelta(seconds=PUBLISH_GRACE_S)
    session.add(Attempt(run_id=run.id, number=run.attempt, host=host, started_at=moment))
    session.add_all(rows)


def _copied(stage: Stage, attempt: int) -> Stage:
    """A stage that is done stays done, with its times, its worker and what it gave."""
    columns = Stage.__table__.columns.keys()
    return Stage(**{**{name: getattr(stage, name) for name in columns}, "attempt": attempt})


def _anew(stage: Stage, run: Run, queued_at: datetime | None) -> Stage:
    """A stage to be run again. What poll_boot has seen stays seen, as long as the host stays."""
    stays = run.hypervisor_id is not None and stage.name == "poll_boot"
    return Stage(
        run_id=stage.run_id,
        attempt=run.attempt + 1,
        name=stage.name,
        position=stage.position,
        limit_s=stage.limit_s,
        state="queued" if queued_at else "waiting",
        queued_at=queued_at,
        output=stage.output if stays else None,
    )
