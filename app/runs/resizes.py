"""What a resize makes of a server: its stages, its size meanwhile, and how it is shown.

Until it is settled (app.services.resizing), the server can be led back: what it was is kept in the
migration's row, in its claim, and on its host.
"""

from datetime import datetime

from sqlalchemy.orm import Session

from app.db.models import Migration, RequestSpec, Run, Server
from app.db.repo import migrations
from app.runs import actions
from app.runs.actions import ACTIVE, RESIZED, STOPPED
from app.runs.sizes import Size
from app.runs.start import Asker, start_run
from config.settings import ControlSettings
from tasks.pipelines import RESIZE, UNDO_RESIZE


def unneeded(was_running: bool) -> tuple[str, ...]:  # noqa: FBT001 - the one thing that is asked
    """Return the stages that a resize of such a server, or its way back, has no need of."""
    return () if was_running else ("power_on",)


def size_for(session: Session, run: Run) -> Size:
    """Return the size that the run gives its server: the new one, or what it was before. When all
    is settled it has been given."""
    migration = migrations.look(session, run.server_id)
    if migration is None:
        server = session.get_one(Server, run.server_id)
        return Size.of_server(server, session.get_one(RequestSpec, server.id))
    return Size.of_row(migration.new_size if run.pipeline == RESIZE else migration.old_size)


def undo(session: Session, server: Server, failed: Run, settings: ControlSettings) -> Run:
    """Begin to lead a server back whose resize has failed. The run is to be sent."""
    migration = migrations.unsettled(session, server.id)
    if migration is None:
        raise LookupError(f"server {server.id} is not being resized")
    migration.status = "error"
    return start_run(
        session,
        server,
        UNDO_RESIZE,
        asker=Asker(failed.request_id, failed.user_id),
        settings=settings,
        hypervisor_id=server.hypervisor_id,
        without=unneeded(migration.was_running),
    )


def show_done(session: Session, server: Server, run: Run, moment: datetime) -> None:
    """Show what has become of the server."""
    if run.pipeline == RESIZE:
        _finish(session, server, moment)
        return
    shown = ACTIVE if server.power_state == ACTIVE.power_state else STOPPED
    server.status, server.vm_state, server.task_state = shown.status, shown.vm_state, None
    actions.forget_fault(session, server)


def _finish(session: Session, server: Server, moment: datetime) -> None:
    """The guest has its new size; whether it may keep it is for its owner to say."""
    migration = migrations.unsettled(session, server.id)
    if migration is None:
        raise LookupError(f"server {server.id} is not being resized")
    migration.status, migration.waits_since = "finished", moment
    Size.of_row(migration.new_size).give(server, session.get_one(RequestSpec, server.id))
    server.status, server.vm_state, server.task_state = RESIZED.status, RESIZED.vm_state, None
    server.power_state = power_state_of(migration)


def power_state_of(migration: Migration) -> int:
    """Return the power state of its server, which is after it what it was before."""
    return (ACTIVE if migration.was_running else STOPPED).power_state
