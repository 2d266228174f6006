"""Begin a run: its row, its first attempt and its stages, in the caller's transaction."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from app.db.models import Attempt, Hypervisor, Run, Server
from app.db.models import Stage as StageRow
from app.db.models.base import new_id, now
from app.db.repo import addresses, images, migrations, runs
from app.runs import actions
from app.runs.snapshots import give_images_up, images_of
from app.runs.values import port_spec
from config.settings import ControlSettings
from tasks.messages import AttemptRef
from tasks.pipelines import (
    ACTIONS,
    BUILDING,
    CREATE,
    DELETE,
    DISCARD_SNAPSHOT,
    OFFLOAD,
    PLACING,
    PURGE,
    REMOVALS,
    RESIZES,
    SNAPSHOTS,
    UNWIND,
    VACATE,
    Side,
    Stage,
    stages_of,
)

#: Seconds that the process which wrote a run has for sending it itself.
PUBLISH_GRACE_S = 2.0


@dataclass(frozen=True)
class Asker:
    """Whose wish it is."""

    request_id: str
    user_id: str


def start_run(  # noqa: PLR0913 - all but three by name
    session: Session,
    server: Server,
    pipeline: str,
    *,
    asker: Asker,
    settings: ControlSettings,
    hypervisor_id: str | None = None,
    undoes: AttemptRef | None = None,
    without: Collection[str] = (),
) -> Run:
    """Add the run. Its chain is sent after the commit, by app.runs.publish. A removal without a
    hypervisor is the control side's alone. `without`: stages that this server has no need of."""
    moment = now()
    run = Run(
        id=new_id(),
        server_id=server.id,
        pipeline=pipeline,
        hypervisor_id=hypervisor_id,
        undoes_run_id=undoes.run_id if undoes else None,
        undoes_attempt=undoes.attempt if undoes else None,
        request_id=asker.request_id,
        user_id=asker.user_id,
        created_at=moment,
        deadline=moment + timedelta(seconds=limit_s(pipeline, settings)),
        lease_until=moment + timedelta(seconds=PUBLISH_GRACE_S),
    )
    if hypervisor_id is not None:
        ports = addresses.ports_of(session, server.id)
        run.ports = [port_spec(port).model_dump() for port in ports]
    session.add(run)
    session.flush()
    session.add(Attempt(run_id=run.id, number=1, started_at=moment, host=_name(session, run)))
    needed = [stage for stage in _stages_needed(run) if stage.name not in without]
    for position, stage in enumerate(needed):
        session.add(_stage_row(run, stage, position, moment))
    if pipeline == CREATE:
        server.task_state = stages_of(pipeline)[0].name
    if pipeline in actions.ACTIONS:
        actions.show_begun(server, pipeline)
    return run


def limit_s(pipeline: str, settings: ControlSettings) -> float:
    """Return how long a run may take in all, in seconds. An action that comes late is not what its
    owner wants any more; but one that makes or copies disks takes as long as a create."""
    is_short = pipeline in ACTIONS - BUILDING - SNAPSHOTS - PLACING
    return settings.action_limit_s if is_short else settings.run_limit_s


def request_delete(
    session: Session, server: Server, *, asker: Asker, settings: ControlSettings
) -> list[Run]:
    """Set the wish to be rid of the server: what is done to it is cancelled, and a delete begun.
    Returns the runs to be sent; none if a delete is under way already."""
    open_runs = runs.open_of_server(session, server.id)
    if any(run.pipeline == DELETE for run in open_runs):
        return []
    moment = now()
    for run in open_runs:
        if run.pipeline not in REMOVALS or run.pipeline == OFFLOAD:
            # The delete does what an offload has not done yet.
            _cancel(session, run, moment, "The server was deleted.")
    # A schedule that committed just before us has put the host there; we hold its run's lock now.
    session.refresh(server)
    if any(run.pipeline in ACTIONS | RESIZES for run in open_runs):
        actions.show_failed(server)
    migration = migrations.give_up(session, server.id, moment)
    images.give_up(session, [server.shelved_image_id] if server.shelved_image_id else [], moment)
    server.delete_requested_at = server.delete_requested_at or moment
    server.task_state = "deleting"
    host = server.hypervisor
    here = host.id if host is not None and host.lost_at is None else None
    # Where it is on its way from or to, and where nobody answers, its traces are owed.
    places = {migration.source_id, migration.dest_id} if migration else set()
    away = sorted(each for each in (places | {server.hypervisor_id}) - {here} if each is not None)
    owed = [owe_purge(session, server, each, asker, settings) for each in away]
    delete = start_run(session, server, DELETE, asker=asker, settings=settings, hypervisor_id=here)
    return [*owed, delete]


def owe_unwind(session: Session, run: Run, settings: ControlSettings) -> Run:
    """Begin the removal of what the run's present attempt has on its host."""
    return start_run(
        session,
        session.get_one(Server, run.server_id),
        UNWIND,
        asker=Asker(run.request_id, run.user_id),
        settings=settings,
        hypervisor_id=run.hypervisor_id,
        undoes=AttemptRef(run_id=run.id, attempt=run.attempt),
    )


def owe_discards(session: Session, run: Run, settings: ControlSettings) -> list[Run]:
    """Begin the removal of what a run that failed may have left on its host of copies of disks; of
    one that moves its server, only if it has not sent them all."""
    sent = runs.get_stage(session, run, "send_disks")
    if sent is not None and sent.state == "done":
        return []
    return [_owe_discard(session, run, image_id, settings) for image_id in images_of(session, run)]


def _owe_discard(session: Session, run: Run, image_id: str, settings: ControlSettings) -> Run:
    discard = start_run(
        session,
        session.get_one(Server, run.server_id),
        DISCARD_SNAPSHOT,
        asker=Asker(run.request_id, run.user_id),
        settings=settings,
        hypervisor_id=run.hypervisor_id,
        undoes=AttemptRef(run_id=run.id, attempt=run.attempt),
    )
    discard.image_id = image_id
    return discard


def begin_offload(session: Session, server: Server, asker: Asker, settings: ControlSettings) -> Run:
    """Begin to take a shelved server off its host."""
    return start_run(
        session, server, OFFLOAD, asker=asker, settings=settings, hypervisor_id=server.hypervisor_id
    )


def owe_purge(
    session: Session, server: Server, hypervisor_id: str, asker: Asker, settings: ControlSettings
) -> Run:
    """Begin the removal of a server from a host that is away: it is done when the host is back."""
    return start_run(
        session, server, PURGE, asker=asker, settings=settings, hypervisor_id=hypervisor_id
    )


def owe_vacate(
    session: Session, server: Server, hypervisor_id: str, asker: Asker, settings: ControlSettings
) -> Run:
    """Begin the removal of what is left of a server on a host that it has moved away from."""
    return start_run(
        session, server, VACATE, asker=asker, settings=settings, hypervisor_id=hypervisor_id
    )


def _cancel(session: Session, run: Run, moment: datetime, reason: str) -> None:
    """End a run that something else overtakes. Its stages that still arrive are stale."""
    give_images_up(session, run, moment)
    run.state, run.finished_at, run.parameters = "cancelled", moment, None
    run.reason_code, run.reason = "cancelled", reason
    attempt = runs.get_attempt(session, run)
    attempt.state, attempt.finished_at = "cancelled", moment
    runs.cancel_open_stages(session, run, moment)


def _stage_row(run: Run, stage: Stage, position: int, moment: datetime) -> StageRow:
    return StageRow(
        run_id=run.id,
        attempt=run.attempt,
        name=stage.name,
        position=position,
        limit_s=stage.limit_s,
        state="waiting" if position else "queued",
        queued_at=None if position else moment,
    )


def _name(session: Session, run: Run) -> str | None:
    return session.get_one(Hypervisor, run.hypervisor_id).name if run.hypervisor_id else None


def _stages_needed(run: Run) -> list[Stage]:
    """What never reached a host has nothing to tear down on one."""
    stages = stages_of(run.pipeline)
    if run.pipeline == DELETE and run.hypervisor_id is None:
        return [stage for stage in stages if stage.side is Side.CONTROL]
    return list(stages)
