"""Begin a run: its row, its first attempt and its stages, in the caller's transaction."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from app.db.models import Attempt, Run, Server
from app.db.models import Stage as StageRow
from app.db.models.base import new_id, now
from app.db.repo import runs
from config.settings import ControlSettings
from tasks.pipelines import CREATE, DELETE, Side, Stage, stages_of


def start_run(
    session: Session,
    server: Server,
    pipeline: str,
    *,
    request_id: str,
    user_id: str,
    settings: ControlSettings,
) -> Run:
    """Add the run. Its chain is sent after the commit, by app.runs.publish."""
    moment = now()
    run = Run(
        id=new_id(),
        server_id=server.id,
        pipeline=pipeline,
        request_id=request_id,
        user_id=user_id,
        created_at=moment,
        deadline=moment + timedelta(seconds=settings.run_limit_s),
    )
    session.add(run)
    session.flush()
    session.add(Attempt(run_id=run.id, number=1, started_at=moment, host=_host_of(server)))
    add_stages(session, run, _stages_needed(server, pipeline), moment, position=0)
    if pipeline == CREATE:
        server.task_state = stages_of(pipeline)[0].name
    return run


def request_delete(
    session: Session,
    server: Server,
    *,
    request_id: str,
    user_id: str,
    settings: ControlSettings,
) -> Run | None:
    """Set the wish to be rid of the server: whatever run is in flight is cancelled, and a delete
    run begun. None if one is under way already."""
    open_runs = runs.open_of_server(session, server.id)
    if any(run.pipeline == DELETE for run in open_runs):
        return None
    moment = now()
    for run in open_runs:
        cancel(session, run, moment, "The server was deleted.")
    # A schedule that committed just before us has put the host there; we hold its run's lock now.
    session.refresh(server)
    server.delete_requested_at = server.delete_requested_at or moment
    server.task_state = "deleting"
    return start_run(
        session, server, DELETE, request_id=request_id, user_id=user_id, settings=settings
    )


def cancel(session: Session, run: Run, moment: datetime, reason: str) -> None:
    """End a run that something else overtakes. Its stages that still arrive are stale."""
    run.state, run.finished_at = "cancelled", moment
    run.reason_code, run.reason = "cancelled", reason
    attempt = runs.get_attempt(session, run)
    attempt.state, attempt.finished_at = "cancelled", moment
    runs.cancel_open_stages(session, run, moment)


def add_stages(
    session: Session, run: Run, stages: list[Stage], moment: datetime, position: int
) -> None:
    """Add rows for the stages to the run's present attempt, from a position on; the first of them
    is queued."""
    for offset, stage in enumerate(stages):
        session.add(
            StageRow(
                run_id=run.id,
                attempt=run.attempt,
                name=stage.name,
                position=position + offset,
                limit_s=stage.limit_s,
                state="waiting" if offset else "queued",
                queued_at=None if offset else moment,
            )
        )


def _host_of(server: Server) -> str | None:
    return server.hypervisor.name if server.hypervisor else None


def _stages_needed(server: Server, pipeline: str) -> list[Stage]:
    """A server that never reached a host has nothing to tear down on one."""
    stages = stages_of(pipeline)
    if pipeline == DELETE and server.hypervisor is None:
        return [stage for stage in stages if stage.side is Side.CONTROL]
    return list(stages)
