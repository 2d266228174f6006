"""What a resize, or a move to another host, makes of a server: its stages, its size and its place
meanwhile, and how it is shown.

Until it is settled (app.services.resizing), the server can be led back: what it was is kept in the
migration's row, in its claim, and on its host.
"""

from datetime import datetime

from sqlalchemy.orm import Session

from app.db.models import Migration, RequestSpec, Run, Server
from app.db.repo import addresses, claims, images, migrations
from app.runs import actions
from app.runs.actions import ACTIVE, RESIZED, STOPPED
from app.runs.build_spec import image_source, shape_spec
from app.runs.fabric import note_placed, specs
from app.runs.sizes import Size
from app.runs.start import Asker, owe_vacate, start_run
from config.settings import ControlSettings
from tasks.errors import ImageUnusable
from tasks.messages import AttemptRef, CarriedDisk, ShapeSpec
from tasks.pipelines import CONFIRM_RESIZE, MOVES, RESIZE, REVERT_RESIZE, UNDO_RESIZE

#: Of what the run of a move is told: the host that it is to be, and no other one.
HOST = "host"


def under_way(session: Session, server_id: str) -> Migration:
    """Return the server's migration that is not settled, locked. Raises LookupError: a run that
    needs it has one."""
    migration = migrations.unsettled(session, server_id)
    if migration is None:
        raise LookupError(f"server {server_id} is not being resized or moved")
    return migration


def planned(server: Server, user_id: str, kind: str, old: Size, new: Size) -> Migration:
    """Return the record of a migration from one size to another that is about to begin; between
    which hosts, with which claims and by which run is for the caller to add."""
    return Migration(
        server_id=server.id,
        user_id=user_id,
        kind=kind,
        old_size=old.kept(),
        new_size=new.kept(),
        vcpus_held=max(old.vcpus, new.vcpus),
        memory_mib_held=max(old.memory_mib, new.memory_mib),
        was_running=server.vm_state == "active",
    )


def unneeded(pipeline: str, migration: Migration) -> set[str]:
    """Return the stages that this part of the migration has no need of."""
    found = set() if migration.was_running else {"power_on"}
    if pipeline == CONFIRM_RESIZE and migration.is_move:
        # What it was is on another host, and goes with all else that is there.
        found.add("drop_disks")
    if pipeline == REVERT_RESIZE:
        found |= {"restore_disks"} if migration.is_move else {"teardown", "move_back"}
    return found


def has_moved(session: Session, run: Run) -> bool:
    """Say whether the server that the run moves is where it is to go."""
    migration = migrations.look(session, run.server_id)
    return migration is not None and run.hypervisor_id == migration.dest_id is not None


def is_bound(run: Run) -> bool:
    """Say whether the server may go to no other host than the one that was named."""
    return HOST in (run.parameters or {})


def give_up(session: Session, server: Server, moment: datetime) -> None:
    """End a journey of a server that is where it was before. What it was to have is free."""
    migration = under_way(session, server.id)
    _leave_out(session, server, migration)
    migration.status, migration.settled_at = "error", moment


def arrive(
    session: Session, server: Server, run: Run, settings: ControlSettings, moment: datetime
) -> list[str]:
    """End an evacuation: what the server's former host still has of it is owed. Returns ids of the
    runs that are to be sent."""
    migration = under_way(session, server.id)
    migration.status, migration.settled_at = "done", moment
    return vacate(session, server, run, migration, settings)


def vacate(
    session: Session, server: Server, run: Run, migration: Migration, settings: ControlSettings
) -> list[str]:
    """Have all that is left of the server on its former host removed, and its room there free
    after that. Returns ids of the runs that are to be sent."""
    if not migration.is_move or migration.source_id is None:
        return []
    asker = Asker(run.request_id, run.user_id)
    return [owe_vacate(session, server, migration.source_id, asker, settings).id]


def _leave_out(session: Session, server: Server, migration: Migration) -> None:
    """Free the room on a host where the server never came."""
    if migration.dest_id is not None:
        claims.give_back(session, server.id, migration.dest_id)
        migration.dest_id = None


def come_back(session: Session, run: Run) -> None:
    """Have the server on its former host again: the one that it was to go to has failed."""
    migration = under_way(session, run.server_id)
    migration.dest_id = None
    put(session, session.get_one(Server, run.server_id), migration.source_id)


def put(session: Session, server: Server, hypervisor_id: str | None) -> None:
    """Have the server on this host; all who reach it will learn of it."""
    server.hypervisor_id = hypervisor_id
    session.flush()
    session.expire(server, ["hypervisor"])
    note_placed(session, specs(session, addresses.ports_of(session, server.id)))


def shape(session: Session, run: Run, settings: ControlSettings) -> ShapeSpec:
    """Return what the server is to be like on its host by this run, and what it brings with it.
    Raises ImageUnusable."""
    server = session.get_one(Server, run.server_id)
    spec = session.get_one(RequestSpec, server.id)
    ports = addresses.ports_of(session, server.id)
    attempt = AttemptRef(run_id=run.id, attempt=run.attempt)
    size = size_for(session, run)
    found = shape_spec(session, server, spec, ports, settings, attempt, size)
    if not (run.pipeline in MOVES and has_moved(session, run)):
        return found
    return found.model_copy(update={"carried": _carried(session, run, server, settings)})


def _carried(
    session: Session, run: Run, server: Server, settings: ControlSettings
) -> list[CarriedDisk]:
    migration = migrations.of_run(session, run.id)
    deadline = run.deadline.timestamp()
    found = []
    for disk in migration.carried if migration else []:
        image = images.get(session, disk["image_id"])
        if image is None or image.status != "active":
            raise ImageUnusable("A disk of the server was lost on its way.")
        source = image_source(image, settings, deadline)
        found.append(CarriedDisk.parse({"role": disk["role"], "source": source}))
    disc = images.get(session, server.image_id)
    if disc is not None and (disc.disk_format, disc.status) == ("iso", "active"):
        # What it was installed from, as far as it is there still.
        source = image_source(disc, settings, deadline)
        found.append(CarriedDisk(role="cdrom", source=source))
    return found


def size_for(session: Session, run: Run) -> Size:
    """Return the size that the run gives its server: the new one, or what it was before. When all
    is settled it has been given."""
    migration = migrations.look(session, run.server_id)
    if migration is None:
        server = session.get_one(Server, run.server_id)
        return Size.of_server(server, session.get_one(RequestSpec, server.id))
    is_new = run.pipeline in MOVES | {RESIZE}
    return Size.of_row(migration.new_size if is_new else migration.old_size)


def undo(session: Session, server: Server, failed: Run, settings: ControlSettings) -> Run:
    """Begin to lead a server back whose resize has failed. The run is to be sent."""
    migration = under_way(session, server.id)
    migration.status = "error"
    if failed.pipeline in MOVES:
        _leave_out(session, server, migration)
    return start_run(
        session,
        server,
        UNDO_RESIZE,
        asker=Asker(failed.request_id, failed.user_id),
        settings=settings,
        hypervisor_id=server.hypervisor_id,
        without=unneeded(UNDO_RESIZE, migration),
    )


def show_done(session: Session, server: Server, run: Run, moment: datetime) -> None:
    """Show what has become of the server."""
    if run.pipeline in MOVES | {RESIZE}:
        _finish(session, server, moment)
        return
    shown = ACTIVE if server.power_state == ACTIVE.power_state else STOPPED
    server.status, server.vm_state, server.task_state = shown.status, shown.vm_state, None
    actions.forget_fault(session, server)


def _finish(session: Session, server: Server, moment: datetime) -> None:
    """The guest has its new size; whether it may keep it is for its owner to say."""
    migration = under_way(session, server.id)
    migration.status, migration.waits_since = "finished", moment
    Size.of_row(migration.new_size).give(server, session.get_one(RequestSpec, server.id))
    server.status, server.vm_state, server.task_state = RESIZED.status, RESIZED.vm_state, None
    server.power_state = power_state_of(migration)


def power_state_of(migration: Migration) -> int:
    """Return the power state of its server, which is after it what it was before."""
    return (ACTIVE if migration.was_running else STOPPED).power_state
