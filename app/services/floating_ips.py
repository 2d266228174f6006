"""Floating IPs: addresses of external networks that stand for those of ports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from sqlalchemy.orm import Session

from app.db.models import FixedAddress, FloatingIp, Network, Port, Router
from app.db.models.base import new_id
from app.db.repo import addresses, networks
from app.db.repo import routers as repo
from app.db.repo.networks import FLOATING_IP
from app.db.repo.paging import NO_FACTS, Facts
from app.db.session import added, reading
from app.runs import fabric
from app.scheduling.addresses import Wish, new_mac, new_port
from app.services import cidrs, network_quotas
from app.services.context import Caller, Context
from app.services.network_errors import (
    FloatingIpNotFound,
    FloatingIpTaken,
    InvalidInput,
    MacAddressInUse,
    NoAddressLeft,
    NoWayToFloatingIp,
    PortNotFound,
)
from app.services.networks import own_project, seen
from app.services.ports import MAC_TRIES, take
from app.services.router_views import FloatingIpView, floating_ip_view
from config.settings import ControlSettings


@dataclass(frozen=True)
class NewFloatingIp:
    """A floating IP as it was asked for. `address` None is any of the network."""

    network_id: str
    description: str = ""
    project_id: str | None = None
    subnet_id: str | None = None
    address: str | None = None
    port_id: str | None = None
    fixed_address: str | None = None


def list_floating_ips(
    context: Context, caller: Caller, facts: Facts = NO_FACTS
) -> list[FloatingIpView]:
    """Return the floating IPs of the caller's project that have one of the values for each fact."""
    with reading(context.sessions) as session:
        return _views(session, caller.sees, facts)


def get(context: Context, caller: Caller, floating_id: str) -> FloatingIpView:
    """Return a floating IP. Raises FloatingIpNotFound."""
    for view in list_floating_ips(context, caller, {"id": [floating_id]}):
        return view
    raise FloatingIpNotFound(floating_id)


def create(context: Context, caller: Caller, new: NewFloatingIp) -> FloatingIpView:
    """Take an address of an external network, for a port if one is named. Raises NetworkNotFound,
    PortNotFound, Forbidden, InvalidInput, OverQuota, IpAddressInUse, NoAddressLeft,
    FloatingIpTaken, NoWayToFloatingIp."""
    project_id = own_project(caller, new.project_id)
    if new.address is not None:
        caller.check("network:floatingips:create:address")
    if new.fixed_address is not None and new.port_id is None:
        raise InvalidInput("fixed_ip_address cannot be specified without a port_id")
    with context.sessions.begin() as session:
        found = networks.network(session, new.network_id, lock=True)
        network = seen(found, caller, new.network_id)
        if not network.external:
            raise InvalidInput(f"Network {network.id} is not a valid external network")
        network_quotas.check(session, project_id, "floatingip")
        end = _end(session, caller, project_id, network.id, new.port_id, new.fixed_address)
        holder = _hold_address(session, context.settings, network, new)
        row = FloatingIp(
            id=new_id(),
            project_id=project_id,
            network_id=network.id,
            holder_id=holder.id,
            address=holder.addresses[0].address,
            description=new.description,
        )
        holder.device_id = row.id
        session.add(row)
        session.flush()
        _associate(session, row, end)
        (view,) = _views(session, None, {"id": [row.id]})
    context.publisher.fabric_changed()
    return view


def update(
    context: Context, caller: Caller, floating_id: str, changes: Mapping[str, Any]
) -> FloatingIpView:
    """Change a floating IP: its description, or with `port_id` and `fixed_address` what it stands
    for. Raises FloatingIpNotFound, PortNotFound, InvalidInput, FloatingIpTaken,
    NoWayToFloatingIp."""
    with context.sessions.begin() as session:
        before = _owned(session, caller, floating_id)
        is_moved = "port_id" in changes or "fixed_address" in changes
        port_id = changes.get("port_id", before.port_id)
        fixed = changes.get("fixed_address")
        if fixed is not None and port_id is None:
            raise InvalidInput("fixed_ip_address cannot be specified without a port_id")
        # Routers, ports and floating IPs are locked in this order, whoever changes them.
        end = None
        if is_moved:
            args = (before.project_id, before.network_id, port_id, fixed)
            end = _end(session, caller, *args, also=before.port_id)
        row = lock_owned(session, caller, floating_id)
        row.description = changes.get("description", row.description)
        if is_moved:
            _associate(session, row, end)
        row.revision += 1
        session.flush()
        (view,) = _views(session, None, {"id": [row.id]})
    context.publisher.fabric_changed()
    return view


def delete(context: Context, caller: Caller, floating_id: str) -> None:
    """Give an address back. Raises FloatingIpNotFound."""
    with context.sessions.begin() as session:
        _lock_port(session, _owned(session, caller, floating_id).port_id)
        row = lock_owned(session, caller, floating_id)
        _note_old_host(session, row)
        session.delete(row)
        session.flush()
        addresses.delete_ports(session, [row.holder_id])
    context.publisher.fabric_changed()


def lock_owned(session: Session, caller: Caller, floating_id: str) -> FloatingIp:
    """Return a floating IP of the caller's, locked. Raises FloatingIpNotFound."""
    row = repo.lock_floating_ip(session, floating_id)
    if row is None or not (caller.is_admin or row.project_id == caller.project_id):
        raise FloatingIpNotFound(floating_id)
    return row


def _owned(session: Session, caller: Caller, floating_id: str) -> FloatingIp:
    row = session.get(FloatingIp, floating_id)
    if row is None or not (caller.is_admin or row.project_id == caller.project_id):
        raise FloatingIpNotFound(floating_id)
    return row


def _views(session: Session, project_id: str | None, facts: Facts) -> list[FloatingIpView]:
    return [
        floating_ip_view(row, host, is_router_up=up)
        for row, host, up in repo.floating_ips(session, project_id, facts)
    ]


# --- the address ---------------------------------------------------------------------------------


def _hold_address(
    session: Session, settings: ControlSettings, network: Network, new: NewFloatingIp
) -> Port:
    """Make the port that holds the address, of the external network's own project."""
    locked = addresses.lock_subnets(session, {network.id})
    wishes = _wishes(network, new)
    holder = new_port(network, network.project_id)
    holder.is_owners, holder.port_security = True, False
    holder.device_owner = FLOATING_IP
    for _ in range(MAC_TRIES):
        if added(session, holder):
            break
        holder.mac = new_mac()
    else:
        raise MacAddressInUse(f"Another port has the MAC {holder.mac}.")
    for wish in wishes:
        try:
            take(session, holder, [wish], locked, settings)
        except NoAddressLeft:
            if wish is wishes[-1]:
                raise
            continue
        break
    session.refresh(holder, ["addresses"])
    return holder


def _wishes(network: Network, new: NewFloatingIp) -> list[Wish]:
    """Return the subnets of which the address may be, in order."""
    subnets = [subnet for subnet in network.subnets if subnet.version == 4]
    if not subnets:
        raise InvalidInput(f"Network {network.id} does not contain any IPv4 subnet")
    if new.subnet_id is not None:
        subnets = [subnet for subnet in subnets if subnet.id == new.subnet_id]
        if not subnets:
            raise InvalidInput(
                f"subnet_id: {new.subnet_id} is no IPv4 subnet of network {network.id}."
            )
    if new.address is None:
        return [Wish(subnet.id) for subnet in subnets]
    wanted = cidrs.read_address(new.address, "floating_ip_address", 4)
    for subnet in subnets:
        block = ip_network(subnet.cidr)
        if wanted in block:
            cidrs.check_inside(wanted, block, "floating_ip_address")
            return [Wish(subnet.id, str(wanted))]
    raise InvalidInput(f"floating_ip_address: {wanted} is not a valid IP for network {network.id}.")


# --- what it stands for --------------------------------------------------------------------------


@dataclass(frozen=True)
class _End:
    """A port's address, and the router that leads from there to the external network."""

    port: Port
    fixed: str
    router: Router


def _end(
    session: Session,
    caller: Caller,
    project_id: str,
    external_id: str,
    port_id: str | None,
    fixed: str | None,
    also: str | None = None,
) -> _End | None:
    """Return what a floating IP of this network is to stand for; router and port are locked, and
    the port that it stood for before (`also`)."""
    if port_id is None:
        _lock_port(session, also)
        return None
    port = session.get(Port, port_id)
    if port is None or not (caller.is_admin or port.project_id == caller.project_id):
        raise PortNotFound(port_id)
    if port.project_id != project_id and not caller.is_admin:
        raise InvalidInput(
            f"Port {port_id} is associated with a different tenant than the floating IP and"
            " therefore cannot be bound."
        )
    held = _fixed(port, fixed)
    router = _way(session, port, held, external_id)
    for each in sorted({port_id, also} - {None}, key=str):
        _lock_port(session, each)
    session.refresh(port, ["addresses"])
    if held.address not in [other.address for other in port.addresses]:
        raise InvalidInput(f"Port {port_id} does not have fixed ip {held.address}")
    return _End(port, held.address, router)


def _fixed(port: Port, wanted: str | None) -> FixedAddress:
    v4: Sequence[FixedAddress] = [
        held for held in port.addresses if ip_address(held.address).version == 4
    ]
    if not v4:
        raise InvalidInput(
            f"Cannot add floating IP to port {port.id} that has no fixed IPv4 addresses"
        )
    if wanted is None:
        if len(v4) > 1:
            raise InvalidInput(
                f"Port {port.id} has multiple fixed IPv4 addresses.  Must provide a specific IPv4"
                " address when assigning a floating IP"
            )
        return v4[0]
    for held in v4:
        if held.address == wanted:
            return held
    raise InvalidInput(f"Port {port.id} does not have fixed ip {wanted}")


def _way(session: Session, port: Port, held: FixedAddress, external_id: str) -> Router:
    found = repo.router_of_subnet(session, held.subnet_id)
    router = None if found is None else repo.lock(session, found.id)
    on_it = repo.router_of_subnet(session, held.subnet_id)
    if router is None or on_it is None or router.external_network_id != external_id:
        raise NoWayToFloatingIp(
            f"External network {external_id} is not reachable from subnet {held.subnet_id}. "
            f" Therefore, cannot associate Port {port.id} with a Floating IP."
        )
    return router


def _lock_port(session: Session, port_id: str | None) -> None:
    if port_id is not None:
        networks.lock_port(session, port_id)


def _associate(session: Session, row: FloatingIp, end: _End | None) -> None:
    _note_old_host(session, row)
    row.told_revision = None
    if end is None:
        row.port_id, row.fixed_address, row.router_id = None, None, None
        session.flush()
        return
    others = repo.addresses_of_ports(session, [end.port.id]).get(end.port.id, [])
    if any(one.fixed_address == end.fixed and one.id != row.id for one in others):
        raise FloatingIpTaken(
            f"Cannot associate floating IP {row.address} ({row.id}) with port {end.port.id} using"
            f" fixed IP {end.fixed}, as that fixed IP already has a floating IP on external network"
            f" {row.network_id}."
        )
    row.port_id, row.fixed_address, row.router_id = end.port.id, end.fixed, end.router.id
    session.flush()
    fabric.note_port(session, end.port)


def _note_old_host(session: Session, row: FloatingIp) -> None:
    port = session.get(Port, row.port_id) if row.port_id else None
    if port is not None:
        fabric.note_port(session, port)
