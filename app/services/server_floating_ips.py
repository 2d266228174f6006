"""Floating IPs of servers, as the compute API gives and takes them: by their addresses."""

from ipaddress import ip_address

from app.db.repo import servers
from app.db.session import reading
from app.services import floating_ips
from app.services.context import Caller, Context
from app.services.network_errors import NoWayToFloatingIp
from app.services.servers import found
from tasks.errors import Conflict, NotFound, RequestError


def add(
    context: Context, caller: Caller, server_id: str, address: str, fixed: str | None = None
) -> None:
    """Let a floating IP stand for a fixed address of the server; if none is named, for its first
    one. Raises NotFound, RequestError, Conflict."""
    with reading(context.sessions) as session:
        server = found(servers.get(session, server_id), caller, server_id)
        held = {
            one.address: port.id
            for port in server.ports
            for one in port.addresses
            if ip_address(one.address).version == 4
        }
    if not held:
        raise RequestError(f"Instance {server_id} has no fixed IPv4 address for a floating IP.")
    if fixed is not None and fixed not in held:
        raise RequestError(f"Specified fixed address {fixed} is not one of instance {server_id}.")
    wanted = fixed or next(iter(held))
    changes = {"port_id": held[wanted], "fixed_address": wanted}
    floating_id = _id_of(context, caller, address)
    try:
        floating_ips.update(context, caller, floating_id, changes)
    except NoWayToFloatingIp as error:
        # Nova's answer: the server and the floating IP are both there.
        raise RequestError(error.public) from error


def remove(context: Context, caller: Caller, server_id: str, address: str) -> None:
    """Take a floating IP from the server. Raises NotFound; Conflict if it is another one's."""
    with reading(context.sessions) as session:
        server = found(servers.get(session, server_id), caller, server_id)
        own = {one.id for port in server.ports for one in port.floating_ips}
    floating_id = _id_of(context, caller, address)
    if floating_id not in own:
        raise Conflict(f"Floating IP {address} is not associated with instance {server_id}.")
    floating_ips.update(context, caller, floating_id, {"port_id": None})


def _id_of(context: Context, caller: Caller, address: str) -> str:
    for view in floating_ips.list_floating_ips(context, caller, {"address": [address]}):
        return view.id
    raise NotFound(f"Floating IP not found for address {address}.")
