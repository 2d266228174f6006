"""Interfaces that come to a server that is there, leave it, or change their addresses."""

import time

from sqlalchemy.orm import Session

from app.db.models import Port, Server
from app.db.repo import addresses, quota, runs
from app.db.session import reading
from app.runs import fabric
from app.scheduling.addresses import default_wishes, ensure_ports
from app.services import ports, server_actions
from app.services.context import Caller, Context
from app.services.network_views import PortView
from app.services.security_groups import see_to_default
from app.services.server_networks import Interface, Interfaces, fitting, resolve, take
from tasks.errors import Conflict, Forbidden, NotFound, RequestError
from tasks.pipelines import ATTACH_INTERFACE, CHANGE_ADDRESSES, DETACH_INTERFACE, PLUGGING

#: As many as a create may ask for.
MAX_INTERFACES = 16
#: Seconds for which another change of the server's interfaces is waited for: Nova's clients ask for
#: several in a row, and its answers come when each is done.
PATIENCE_S, _LOOK_EVERY_S = 15.0, 0.1


def attach(context: Context, caller: Caller, server_id: str, wanted: Interface) -> PortView:
    """Hang a port on the server, its owner's or a new one, and begin to plug it in. Raises as
    `server_actions.begin`, and RequestError, Forbidden, QuotaExceeded, NoFreeAddress."""
    asked = (wanted,) if wanted.network_id or wanted.port_id else ()
    group_id = see_to_default(context, caller.project_id)

    def prepare(session: Session, server: Server) -> dict[str, object]:
        there = addresses.ports_of(session, server.id)
        if len(there) >= MAX_INTERFACES:
            raise Forbidden(f"Instance {server.id} has {MAX_INTERFACES} interfaces already.")
        found = resolve(session, caller, asked)
        if not found.network_ids:
            raise RequestError("net_id: the project has no network to attach.")
        fitting(session, quota.lock_project(session, server.project_id), found, least=1, most=1)
        port = _hang(session, context, server, there, found, group_id, wanted.tag)
        fabric.note_placed(session, fabric.specs(session, [port]))
        return {"port_id": port.id}

    return _begin(context, caller, server_id, ATTACH_INTERFACE, prepare)


def detach(context: Context, caller: Caller, server_id: str, port_id: str) -> None:
    """Begin to take an interface from the server. Raises as `server_actions.begin`, and NotFound
    if it has no such port."""

    def prepare(session: Session, server: Server) -> dict[str, object]:
        if port_id not in [port.id for port in addresses.ports_of(session, server.id)]:
            raise NotFound(f"Port id {port_id} could not be found.")
        return {"port_id": port_id}

    _begin(context, caller, server_id, DETACH_INTERFACE, prepare)


def add_address(context: Context, caller: Caller, server_id: str, network_id: str) -> None:
    """Give the server's interface on the network one more address. Raises as
    `server_actions.begin`, and RequestError if it is not on it, Conflict, NoAddressLeft."""

    def prepare(session: Session, server: Server) -> dict[str, object]:
        on_it = [p for p in addresses.ports_of(session, server.id) if p.network_id == network_id]
        if not on_it:
            raise RequestError(f"addFixedIp.networkId: the server is not on network {network_id}.")
        port = on_it[0]
        if len(port.addresses) >= ports.MAX_ADDRESSES:
            raise Conflict(f"Port {port.id} has {ports.MAX_ADDRESSES} addresses already.")
        locked = addresses.lock_subnets(session, {network_id})
        wish = default_wishes(locked[network_id])[0]
        ports.take(session, port, [wish], locked, context.settings)
        return _changed(session, port)

    _begin(context, caller, server_id, CHANGE_ADDRESSES, prepare)


def remove_address(context: Context, caller: Caller, server_id: str, address: str) -> None:
    """Take an address from the server; the only one of an interface goes with it, as it came with
    it by `openstack server add fixed ip`. Raises as `server_actions.begin`, and RequestError if the
    server does not have it."""
    for view in ports.of_server(context, server_id):
        if [held for _, held in view.addresses] == [address]:
            detach(context, caller, server_id, view.id)
            return

    def prepare(session: Session, server: Server) -> dict[str, object]:
        held = {
            each.address: (port, each)
            for port in addresses.ports_of(session, server.id)
            for each in port.addresses
        }
        if address not in held:
            raise RequestError(f"removeFixedIp.address: the server does not have {address}.")
        port, one = held[address]
        addresses.give_back(session, [port.id], (one.subnet_id, one.address))
        return _changed(session, port)

    _begin(context, caller, server_id, CHANGE_ADDRESSES, prepare)


def _hang(
    session: Session,
    context: Context,
    server: Server,
    there: list[Port],
    found: Interfaces,
    group_id: str,
    tag: str,
) -> Port:
    """Return the one port that was found, or is made now, as the server's last interface."""
    position = 1 + max((port.position for port in there), default=-1)
    for port in found.ports.values():
        take(port, server, position, tag)
        session.flush()
        return port
    wanted = {position: found.network_ids[0]}
    fixed = dict.fromkeys([position], *found.fixed.values()) if found.fixed else {}
    rows = ensure_ports(session, server, wanted, [group_id], context.settings, fixed)
    port = next(port for port in rows if port.position == position)
    port.tag = tag
    return port


def _changed(session: Session, port: Port) -> dict[str, object]:
    session.flush()
    session.refresh(port, ["addresses"])
    port.revision += 1
    fabric.note_placed(session, fabric.specs(session, [port]))
    return {"port_id": port.id}


def _begin(
    context: Context,
    caller: Caller,
    server_id: str,
    pipeline: str,
    prepare: server_actions.Prepare,
) -> PortView:
    _await_others(context, server_id)
    run = server_actions.begin(context, caller, server_id, pipeline, prepare)
    context.publisher.fabric_changed()
    port_id = str((run.parameters or {})["port_id"])
    return next(view for view in ports.of_server(context, server_id) if view.id == port_id)


def _await_others(context: Context, server_id: str) -> None:
    """One interface is changed after the other. Who waits too long is refused like everybody."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        with reading(context.sessions) as session:
            if not runs.under_way(session, server_id, PLUGGING):
                return
        time.sleep(_LOOK_EVERY_S)
