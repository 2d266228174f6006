"""What owners do with a server that is there: turn it on and off, let it stand still, lock it."""

from collections.abc import Callable, Collection
from typing import Any

from sqlalchemy.orm import Session

from app.db.models import Hypervisor, Run, Server
from app.db.repo import runs, servers
from app.db.session import reading
from app.runs import actions
from app.runs.start import Asker, start_run
from app.scheduling.rules import alive_since
from app.services.context import Caller, Context
from app.services.server_views import is_heard
from app.services.servers import for_action, found
from tasks.errors import Conflict
from tasks.pipelines import OWED, REBUILDS, SNAPSHOTS, UNSHELVE

OWNER, ADMIN = "owner", "admin"


#: Of what a run of SNAPSHOTS is told: the image that is to come of it, which goes if the run fails.
IMAGE = "image_id"

#: Changes a server's rows for an action that may begin, and returns what its run is told.
Prepare = Callable[[Session, Server], dict[str, Any]]


def begin(
    context: Context,
    caller: Caller,
    server_id: str,
    pipeline: str,
    prepare: Prepare | None = None,
) -> Run:
    """Begin an action; return its run. Raises NotFound, and Conflict while the server is locked, is
    in a state in which the action makes no sense, has something done to it, or has a host that does
    not answer; and what `prepare` raises.
    """
    with context.sessions.begin() as session:
        server = for_action(session, caller, server_id)
        refuse_state(session, server, pipeline)
        if pipeline != UNSHELVE or server.hypervisor_id is not None:
            refuse_silent_host(context, server, pipeline)
        parameters = prepare(session, server) if prepare else None
        run = start_run(
            session,
            server,
            actions.pipeline_for(pipeline, server.vm_state),
            asker=Asker(caller.request_id, caller.user_id),
            settings=context.settings,
            hypervisor_id=server.hypervisor_id,
        )
        run.parameters = parameters
        if parameters and pipeline in SNAPSHOTS:
            run.image_id = parameters[IMAGE]
    context.publisher.publish(run.id)
    return run


def lock(context: Context, caller: Caller, server_id: str) -> None:
    """Refuse changes of the server from now on, but an administrator's. Raises NotFound."""
    with context.sessions.begin() as session:
        server = _locked_row(session, caller, server_id)
        by_owner = server.project_id == caller.project_id and not caller.is_admin
        # An administrator's lock is not made an owner's by the owner's.
        if server.locked_by != ADMIN:
            server.locked_by = OWNER if by_owner else ADMIN


def unlock(context: Context, caller: Caller, server_id: str) -> None:
    """Allow changes again. Raises NotFound, and Forbidden for an owner if an administrator has
    locked it."""
    with context.sessions.begin() as session:
        server = _locked_row(session, caller, server_id)
        if server.locked_by == ADMIN:
            caller.check("compute:servers:unlock:admins")
        server.locked_by = None


def reset_state(context: Context, caller: Caller, server_id: str, state: str) -> None:
    """Show the server as `active` or in `error`, whatever it is; the next survey of its host shows
    what it really does. Raises NotFound, and Conflict while something is being done to it, or if
    it never came to a host."""
    with context.sessions.begin() as session:
        servers.lock_runs(session, server_id)
        server = found(servers.get(session, server_id), caller, server_id)
        if runs.open_of_server(session, server_id):
            raise _conflict(server, "resetState", "task_state", str(server.task_state))
        if state == "active" and server.hypervisor_id is None:
            raise _conflict(server, "resetState", "vm_state", server.vm_state)
        server.task_state = None
        server.status, server.vm_state = actions.shown_as(state)


def refuse_restore(context: Context, caller: Caller, server_id: str) -> None:
    """Deletions are at once: there is never a server to be had again. Raises NotFound, Conflict."""
    with reading(context.sessions) as session:
        server = found(servers.get(session, server_id), caller, server_id)
        raise _conflict(server, "restore", "vm_state", server.vm_state)


def _locked_row(session: Session, caller: Caller, server_id: str) -> Server:
    servers.lock(session, server_id)
    return found(servers.get(session, server_id), caller, server_id)


def refuse_state(
    session: Session, server: Server, pipeline: str, also: Collection[str] = ()
) -> None:
    """Refuse an action on a server that is in none of its vm_states, nor in one of these, or has
    something done to it. Raises Conflict."""
    allowed = {*actions.ACTIONS[pipeline].allowed, *also}
    if pipeline in REBUILDS and server.launched_at is None and server.vm_state in allowed:
        raise Conflict(
            f"Cannot '{actions.word(pipeline)}' instance {server.id} while it has never been active"
        )
    is_away = server.hypervisor_id is None and pipeline != UNSHELVE
    if server.vm_state not in allowed or is_away:
        raise _conflict(server, pipeline, "vm_state", server.vm_state)
    busy = any(run.pipeline not in OWED for run in runs.open_of_server(session, server.id))
    if server.task_state is not None or busy:
        raise _conflict(server, pipeline, "task_state", str(server.task_state))


def refuse_silent_host(context: Context, server: Server, pipeline: str) -> Hypervisor:
    """Return the server's host. What nobody is there to do would be done at some later time,
    unwanted. Raises Conflict."""
    host = server.hypervisor
    if host is None or not is_heard(host, alive_since(context.settings)) or host.lost_at:
        raise Conflict(
            f"Cannot '{actions.word(pipeline)}' instance {server.id} while its host does not answer"
        )
    return host


def _conflict(server: Server, pipeline: str, kind: str, state: str) -> Conflict:
    return Conflict(
        f"Cannot '{actions.word(pipeline)}' instance {server.id} while it is in {kind} {state}"
    )
