"""The runs of a server: every stage with its times, its worker, its proofs and its reason."""

from dataclasses import dataclass
from datetime import datetime

from app.db.models import Attempt, Run, Stage
from app.db.repo import servers
from app.db.session import reading
from app.services.boot_views import ProofView, proof_view
from app.services.context import Caller, Context
from app.services.server_views import host_id
from app.services.servers import found
from tasks.messages import BootReport
from tasks.pipelines import COMPUTE_STAGES, OWED, UNDO_RESIZE, Side

#: What nobody asked for: it follows from what failed, or is still owed to what was asked.
_FOLLOWING = OWED | {UNDO_RESIZE}


@dataclass(frozen=True)
class StageView:
    """One stage of one attempt."""

    name: str
    side: Side
    attempt: int
    state: str
    queued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    worker: str | None
    reason_code: str | None
    reason: str | None
    #: The proofs of boot that were looked for, as far as they were seen.
    proofs: tuple[ProofView, ...]


@dataclass(frozen=True)
class AttemptView:
    """One try of a run, and why it ended unless it ended well. `host` is for operators."""

    number: int
    host: str | None
    host_id: str
    state: str
    started_at: datetime
    finished_at: datetime | None
    reason_code: str | None
    reason: str | None


@dataclass(frozen=True)
class RunView:
    """A run with its stages. `host` is for operators, `host_id` for owners."""

    id: str
    pipeline: str
    state: str
    attempt: int
    host: str | None
    host_id: str
    request_id: str
    #: Who asked for it, and for which project.
    user_id: str
    project_id: str
    reason_code: str | None
    reason: str | None
    created_at: datetime
    published_at: datetime | None
    finished_at: datetime | None
    deadline: datetime
    attempts: tuple[AttemptView, ...]
    stages: tuple[StageView, ...]

    @property
    def changed_at(self) -> datetime:
        """When something of it was heard of last."""
        times = [self.created_at, self.finished_at]
        times += [time for stage in self.stages for time in (stage.started_at, stage.finished_at)]
        return max(time for time in times if time is not None)


@dataclass(frozen=True)
class RunsView:
    """What was wished for a server, newest first, and what is or was owed on hosts for it: the
    undoing of failed attempts, and removals from hosts that were away."""

    wishes: tuple[RunView, ...]
    owed: tuple[RunView, ...]


def of_server(
    context: Context, caller: Caller, server_id: str, *, also_deleted: bool = False
) -> RunsView:
    """Return the server's runs. Raises NotFound."""
    with reading(context.sessions) as session:
        row = servers.get(session, server_id, also_deleted=also_deleted)
        server = found(row, caller, server_id)
        views = [_run(run, server.project_id) for run in servers.runs_of(session, server.id)]
    return RunsView(
        wishes=tuple(view for view in views if view.pipeline not in _FOLLOWING),
        owed=tuple(view for view in views if view.pipeline in _FOLLOWING),
    )


def _run(run: Run, project_id: str) -> RunView:
    host = next((row.host for row in run.attempts if row.number == run.attempt), None)
    return RunView(
        id=run.id,
        pipeline=run.pipeline,
        state=run.state,
        attempt=run.attempt,
        host=host,
        host_id=host_id(project_id, host),
        request_id=run.request_id,
        user_id=run.user_id,
        project_id=project_id,
        reason_code=run.reason_code,
        reason=run.reason,
        created_at=run.created_at,
        published_at=run.published_at,
        finished_at=run.finished_at,
        deadline=run.deadline,
        attempts=tuple(_attempt(row, project_id) for row in run.attempts),
        stages=tuple(_stage(stage) for stage in run.stages),
    )


def _attempt(row: Attempt, project_id: str) -> AttemptView:
    return AttemptView(
        number=row.number,
        host=row.host,
        host_id=host_id(project_id, row.host),
        state=row.state,
        started_at=row.started_at,
        finished_at=row.finished_at,
        reason_code=row.reason_code,
        reason=row.reason,
    )


def _stage(stage: Stage) -> StageView:
    return StageView(
        name=stage.name,
        side=Side.COMPUTE if stage.name in COMPUTE_STAGES else Side.CONTROL,
        attempt=stage.attempt,
        state=stage.state,
        queued_at=stage.queued_at,
        started_at=stage.started_at,
        finished_at=stage.finished_at,
        worker=stage.worker,
        reason_code=stage.reason_code,
        reason=stage.reason,
        proofs=_proofs(stage),
    )


def _proofs(stage: Stage) -> tuple[ProofView, ...]:
    if stage.name != "poll_boot" or not stage.output:
        return ()
    return tuple(proof_view(proof) for proof in BootReport.parse(stage.output).proofs)
