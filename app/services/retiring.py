"""Let go of a hypervisor that will not come back: an operator's word, not a guess."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.db.models import Hypervisor, Run, Server
from app.db.models.base import now
from app.db.repo import addresses, claims, drift, hypervisors, migrations, runs
from app.db.session import reading
from app.runs import resizes
from app.runs.checkpoint import blame, end
from app.runs.fabric import note_server
from app.services.context import Context
from tasks.errors import Conflict, NotFound
from tasks.messages import Failure
from tasks.pipelines import MOVES, OWED

_CODE = "host_forgotten"
_GONE = Failure(
    code=_CODE,
    fault="host",
    public="The hypervisor of this server is gone for good, and the server with it.",
)


@dataclass(frozen=True)
class Forgotten:
    """How many servers went to ERROR, and how many removals nobody owes any more."""

    servers: int
    owed: int


def forget_number(context: Context, number: int) -> Forgotten:
    """Remove a host by the number of its service, as `forget`. Raises NotFound, Conflict."""
    with reading(context.sessions) as session:
        host = hypervisors.by_number(session, number)
    if host is None:
        raise NotFound(f"Service {number} not found.")
    return forget(context, host.name)


def forget(context: Context, name: str) -> Forgotten:
    """Remove a host that was given up: its servers end in ERROR, but for those that have moved
    there and can go back; what was owed on it is void. If it comes back all the same, it registers
    anew, and what is on it is drift.

    Raises NotFound, and Conflict while it is heard of, or work is still on its way to it, or a
    server from it that would have to come back if its move fails.
    """
    with context.sessions.begin() as session:
        host = hypervisors.by_name(session, name)
        if host is None:
            raise NotFound(f"No hypervisor is named {name}.")
        if host.lost_at is None:
            raise Conflict(
                f"{name} was heard of at {host.last_seen_at:%Y-%m-%d %H:%M:%S} UTC and is not given"
                " up: stop its worker, and wait until it is."
            )
        owed = _end_owed(session, host)
        if migrations.is_needed(session, host.id):
            raise Conflict(f"A server is still moving from {host.name}: try again in a moment.")
        there = hypervisors.servers_there(session, host.id)
        home = {server.id: _take_home(session, context, server, host) for server in there}
        lost = [server for server in there if home[server.id] is None]
        for server in lost:
            _lose(session, server, host)
        for server_id in drift.holders(session, host.id):
            # Of those that have moved away, and might have come back.
            claims.give_back(session, server_id, host.id)
        hypervisors.remove(session, host)
    for run in home.values():
        if run is not None:
            context.publisher.publish(run.id)
    return Forgotten(len(lost), owed)


def _end_owed(session: Session, host: Hypervisor) -> int:
    found = [runs.lock(session, run.id) for run in runs.open_on(session, host.id)]
    open_runs = [run for run in found if run is not None and run.state == runs.OPEN]
    if any(run.pipeline not in OWED for run in open_runs):
        raise Conflict(f"A create or delete is still leaving {host.name}: try again in a moment.")
    for run in open_runs:
        _void(session, run, host)
    return len(open_runs)


def _void(session: Session, run: Run, host: Hypervisor) -> None:
    runs.cancel_open_stages(session, run, now())
    claims.give_back(session, run.server_id, host.id)
    run.reason_code, run.reason = _CODE, f"{host.name} is gone for good."
    end(session, run, "cancelled", now())


def _take_home(session: Session, context: Context, server: Server, host: Hypervisor) -> Run | None:
    """Begin to lead a server back that has moved to the host and is not confirmed there. Returns
    None if it is not so; else the run is to be sent."""
    migration = migrations.unsettled(session, server.id)
    if migration is None or migration.source_id in {None, host.id}:
        return None
    moved = runs.get(session, migration.run_id)
    if moved is None or moved.pipeline not in MOVES:
        return None
    claims.give_back(session, server.id, host.id)
    resizes.come_back(session, moved)
    return resizes.undo(session, server, moved, context.settings)


def _lose(session: Session, server: Server, host: Hypervisor) -> None:
    claims.give_back(session, server.id, host.id)
    note_server(session, server.id)
    addresses.remove_ports(session, server.id)
    migrations.give_up(session, server.id, now())
    server.hypervisor_id = None
    blame(server, _GONE, now())
