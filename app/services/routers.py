"""Routers: which subnets reach each other, and which reach the world. Each host is the router of
its own guests (docs/routers.md)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from app.db.models import FloatingIp, Network, Port, Router, RouterInterface, Subnet
from app.db.models.base import new_id
from app.db.repo import addresses, networks
from app.db.repo import routers as repo
from app.db.repo.networks import ROUTER_INTERFACE
from app.db.repo.paging import Facts
from app.db.session import added, reading
from app.runs import fabric
from app.runs.networks_spec import PROVIDER
from app.scheduling.addresses import Wish, new_mac, new_port
from app.services import network_quotas, port_groups
from app.services.context import Caller, Context
from app.services.network_errors import (
    InvalidInput,
    MacAddressInUse,
    NoInterfaceOnSubnet,
    PortInUse,
    PortNotFound,
    RouterGatewayInUse,
    RouterInterfaceInUse,
    RouterInterfaceNotFound,
    RouterInUse,
    RouterNotFound,
)
from app.services.networks import own_project, seen
from app.services.ports import MAC_TRIES, take
from app.services.router_views import RouterView, router_view
from app.services.subnets import owned_subnet
from config.settings import ControlSettings
from tasks.errors import NotSupported

#: Interfaces of one router.
MAX_INTERFACES = 32


@dataclass(frozen=True)
class NewRouter:
    """A router as it was asked for."""

    name: str = ""
    description: str = ""
    project_id: str | None = None
    admin_state_up: bool = True
    external_network_id: str | None = None


@dataclass(frozen=True)
class InterfaceView:
    """A router on a subnet."""

    router_id: str
    project_id: str
    port_id: str
    network_id: str
    subnet_ids: tuple[str, ...]


def list_routers(context: Context, caller: Caller, facts: Facts) -> list[RouterView]:
    """Return the routers of the caller's project that have one of the values for each fact."""
    with reading(context.sessions) as session:
        return [router_view(row) for row in repo.listed(session, caller.sees, facts)]


def get(context: Context, caller: Caller, router_id: str) -> RouterView:
    """Return a router. Raises RouterNotFound."""
    for view in list_routers(context, caller, {"id": [router_id]}):
        return view
    raise RouterNotFound(router_id)


def create(context: Context, caller: Caller, new: NewRouter) -> RouterView:
    """Make a router. Raises Forbidden, NetworkNotFound, InvalidInput, OverQuota."""
    project_id = own_project(caller, new.project_id)
    with context.sessions.begin() as session:
        network_quotas.check(session, project_id, "router")
        _check_external(session, caller, new.external_network_id)
        return router_view(add_router(session, project_id, new))


def add_router(session: Session, project_id: str, new: NewRouter) -> Router:
    """Write a router, whose way to the world is checked."""
    row = Router(
        id=new_id(),
        project_id=project_id,
        name=new.name,
        description=new.description,
        admin_state_up=new.admin_state_up,
        external_network_id=new.external_network_id,
    )
    session.add(row)
    session.flush()
    return row


def update(
    context: Context, caller: Caller, router_id: str, changes: Mapping[str, Any]
) -> RouterView:
    """Change a router; `changes` are columns. Raises RouterNotFound, NetworkNotFound, InvalidInput,
    RouterGatewayInUse."""
    with context.sessions.begin() as session:
        row = lock_owned(session, caller, router_id)
        external = changes.get("external_network_id", row.external_network_id)
        if external != row.external_network_id:
            _check_external(session, caller, external)
            _check_gateway_free(session, row)
        routed = (row.admin_state_up, row.external_network_id)
        for name, value in changes.items():
            setattr(row, name, value)
        row.revision += 1
        session.flush()
        if routed != (row.admin_state_up, row.external_network_id):
            fabric.note_router(session, router_id)
        view = router_view(row)
    context.publisher.fabric_changed()
    return view


def delete(context: Context, caller: Caller, router_id: str) -> None:
    """Remove a router that is on no subnet. Raises RouterNotFound, RouterInUse."""
    with context.sessions.begin() as session:
        remove(session, lock_owned(session, caller, router_id))


def remove(session: Session, row: Router) -> None:
    """Remove a router, which is locked. Raises RouterInUse."""
    if repo.interfaces(session, row.id):
        raise RouterInUse(f"Router {row.id} still has ports")
    session.delete(row)
    session.flush()


def lock_owned(session: Session, caller: Caller, router_id: str) -> Router:
    """Return a router of the caller's, locked. Raises RouterNotFound."""
    row = repo.lock(session, router_id)
    if row is None or not (caller.is_admin or row.project_id == caller.project_id):
        raise RouterNotFound(router_id)
    return row


# --- interfaces ----------------------------------------------------------------------------------


def add_interface(
    context: Context,
    caller: Caller,
    router_id: str,
    *,
    subnet_id: str | None = None,
    port_id: str | None = None,
) -> InterfaceView:
    """Have a router lead to a subnet, or to those of which a port has the gateways' addresses.
    Raises RouterNotFound, SubnetNotFound, PortNotFound, Forbidden, InvalidInput, IpAddressInUse,
    PortInUse, OverQuota, NotSupported."""
    if subnet_id is not None and port_id is not None:
        raise InvalidInput("Cannot specify both subnet-id and port-id")
    with context.sessions.begin() as session:
        row = lock_owned(session, caller, router_id)
        if len(repo.interfaces(session, router_id)) >= MAX_INTERFACES:
            raise RouterInUse(f"Router {router_id} has {MAX_INTERFACES} interfaces: the most.")
        if subnet_id is not None:
            subnet = owned_subnet(networks.subnet(session, subnet_id), caller, subnet_id)
            port = _port_on(session, context.settings, row, subnet)
        elif port_id is not None:
            port = _owners_port(session, caller, row, port_id)
        else:
            raise InvalidInput("Either subnet_id or port_id must be specified")
        _put_on(session, row, port)
        view = _interface(row, port)
    context.publisher.fabric_changed()
    return view


def lead_to(session: Session, settings: ControlSettings, row: Router, subnet: Subnet) -> None:
    """Have a router lead to a subnet of its own project's. Raises OverQuota, IpAddressInUse."""
    _put_on(session, row, _port_on(session, settings, row, subnet))


def _put_on(session: Session, row: Router, port: Port) -> None:
    session.add(RouterInterface(port_id=port.id, router_id=row.id))
    row.revision += 1
    session.flush()
    fabric.note_router(session, row.id)


def remove_interface(
    context: Context,
    caller: Caller,
    router_id: str,
    *,
    subnet_id: str | None = None,
    port_id: str | None = None,
) -> InterfaceView:
    """Have a router lead to a subnet no more; its port there is removed. Raises RouterNotFound,
    InvalidInput, NoInterfaceOnSubnet, RouterInterfaceNotFound, RouterInterfaceInUse."""
    if subnet_id is None and port_id is None:
        raise InvalidInput("Either subnet_id or port_id must be specified")
    with context.sessions.begin() as session:
        row = lock_owned(session, caller, router_id)
        port = _found(repo.interfaces(session, router_id), router_id, subnet_id, port_id)
        view = _interface(row, port)
        take_off(session, row, port)
    context.publisher.fabric_changed()
    return view


def take_off(session: Session, row: Router, port: Port) -> None:
    """Remove one of a router's ports; the router is locked. Raises RouterInterfaceInUse."""
    subnet_ids = [held.subnet_id for held in port.addresses]
    if repo.floating_of_subnet(session, row.id, subnet_ids):
        raise RouterInterfaceInUse(
            f"Router interface for subnet {subnet_ids[0]} on router {row.id} cannot be deleted, as"
            " it is required by one or more floating IPs."
        )
    # Before it goes: hosts that it leads to must learn that it does not any more.
    fabric.note_router(session, row.id)
    session.delete(session.get_one(RouterInterface, port.id))
    session.flush()
    addresses.delete_ports(session, [port.id])
    row.revision += 1


def _port_on(session: Session, settings: ControlSettings, row: Router, subnet: Subnet) -> Port:
    """Make the port by which the router is on a subnet."""
    network = networks.network(session, subnet.network_id, lock=True)
    assert network is not None  # noqa: S101 - its subnet refers to it
    _check_routable(session, network, subnet, row)
    network_quotas.check(session, row.project_id, "port")
    port = new_port(network, row.project_id)
    port.mac = _hosts_mac(network.id)
    port.is_owners, port.port_security = True, False
    port.device_owner, port.device_id = ROUTER_INTERFACE, row.id
    for _ in range(MAC_TRIES):
        if added(session, port):
            break
        port.mac = new_mac()
    else:
        raise MacAddressInUse(f"Another port has the MAC {port.mac}.")
    locked = addresses.lock_subnets(session, {network.id})
    wish = Wish(subnet.id, subnet.gateway, as_gateway=True)
    take(session, port, [wish], locked, settings)
    return port


def _owners_port(session: Session, caller: Caller, row: Router, port_id: str) -> Port:
    """Take a port that its owner made with the gateway's address."""
    port = networks.lock_port(session, port_id)
    if port is None or not (caller.is_admin or port.project_id == caller.project_id):
        raise PortNotFound(port_id)
    if port.server_id is not None or port.device_id:
        raise PortInUse(f"Port {port_id} is in use by {port.server_id or port.device_id}.")
    if not port.addresses:
        raise InvalidInput("Router port must have at least one fixed IP")
    for held in port.addresses:
        subnet = owned_subnet(networks.subnet(session, held.subnet_id), caller, held.subnet_id)
        if held.address != subnet.gateway:
            raise NotSupported(
                f"Port {port_id} does not have the gateway address of subnet {subnet.id}: hosts are"
                " routers at that address only."
            )
        _check_routable(session, subnet.network, subnet, row)
    port.device_owner, port.device_id, port.port_security = ROUTER_INTERFACE, row.id, False
    port.address_pairs = []
    port.revision += 1
    port_groups.leave_all(session, port)
    return port


def _check_routable(session: Session, network: Network, subnet: Subnet, row: Router) -> None:
    if network.external or network.kind == PROVIDER:
        raise NotSupported(
            f"Hosts are no routers of network {network.id}: it is on a bridge of the operator's, or"
            " external."
        )
    if subnet.gateway is None:
        raise InvalidInput("Subnet for router interface must have a gateway IP")
    other = repo.router_of_subnet(session, subnet.id)
    if other is not None and other.id == row.id:
        raise InvalidInput(f"Router already has a port on subnet {subnet.id}")


def _found(
    ports: Sequence[Port], router_id: str, subnet_id: str | None, port_id: str | None
) -> Port:
    for port in ports:
        subnet_ids = [held.subnet_id for held in port.addresses]
        if port_id in (None, port.id) and (subnet_id is None or subnet_id in subnet_ids):
            return port
    if port_id is not None:
        raise RouterInterfaceNotFound(
            f"Router {router_id} does not have an interface with id {port_id}"
        )
    raise NoInterfaceOnSubnet(f"Router {router_id} has no interface on subnet {subnet_id}")


def _interface(row: Router, port: Port) -> InterfaceView:
    return InterfaceView(
        router_id=row.id,
        project_id=row.project_id,
        port_id=port.id,
        network_id=port.network_id,
        subnet_ids=tuple(held.subnet_id for held in port.addresses),
    )


def _hosts_mac(network_id: str) -> str:
    """Return the MAC that hosts have on the network, and so the router."""
    digits = network_id.replace("-", "")
    return ":".join(["02", *(digits[at : at + 2] for at in range(0, 10, 2))])


# --- the way to the world ------------------------------------------------------------------------


def _check_external(session: Session, caller: Caller, network_id: str | None) -> None:
    if network_id is None:
        return
    network = seen(networks.network(session, network_id, lock=True), caller, network_id)
    if not network.external:
        raise InvalidInput(f"Bad router request: Network {network_id} is not an external network.")


def _check_gateway_free(session: Session, row: Router) -> None:
    if repo.any_floating(session, FloatingIp.router_id == row.id):
        raise RouterGatewayInUse(
            f"Gateway cannot be updated for router {row.id}, since a gateway to external network"
            f" {row.external_network_id} is required by one or more floating IPs."
        )
