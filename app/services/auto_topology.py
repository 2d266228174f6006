"""A network for a project that has none, with a subnet and a router to the world: made when it is
asked for, and for a server that is to be on any. In Neutron's words its auto-allocated topology."""

from ipaddress import IPv4Network, ip_address, ip_network

from sqlalchemy.orm import Session

from app.db.models import AutoTopology, Network, Subnet
from app.db.repo import identity, quota, routers, topologies
from app.db.repo import networks as repo
from app.db.session import reading
from app.runs.networks_spec import is_underlay
from app.services import cidrs, network_quotas
from app.services.cidrs import Block
from app.services.context import Context
from app.services.network_errors import AutoAllocationFailure
from app.services.networks import NewNetwork, add_network
from app.services.networks import remove as remove_network
from app.services.routers import NewRouter, add_router, lead_to, take_off
from app.services.routers import remove as remove_router
from app.services.subnets import NewSubnet, add_subnet
from config.settings import ControlSettings
from tasks.errors import NotFound

#: Neutron's names for what it makes.
NETWORK, SUBNET, ROUTER = (
    "auto_allocated_network",
    "auto_allocated_subnet_v4",
    "auto_allocated_router",
)
#: Prefix length of the subnet.
LENGTH = 24


def get(context: Context, project_id: str) -> str:
    """Return the id of the project's network, which is made now if it was not before.
    Raises NotFound, AutoAllocationFailure, OverQuota."""
    with context.sessions.begin() as session:
        return ensure(session, context.settings, project_id)


def check(context: Context, project_id: str) -> None:
    """Return if a network could be made for the project. Raises AutoAllocationFailure, NotFound."""
    with reading(context.sessions) as session:
        if identity.project_by_id(session, project_id) is None:
            raise NotFound(f"Project {project_id} could not be found.")
        _external(session)
        _room(context.settings)


def delete(context: Context, project_id: str) -> None:
    """Remove what was made for the project, if anything was. Raises NetworkInUse, RouterInUse,
    RouterInterfaceInUse: then all of it stays."""
    with context.sessions.begin() as session:
        topology = topologies.of_project(session, project_id)
        if topology is None:
            return
        network = repo.lock_network(session, topology.network_id)
        if topology.router_id is not None:
            _remove_router(session, topology.router_id, topology.network_id)
        if network is not None:
            remove_network(session, network)
    context.publisher.fabric_changed()


def ensure(session: Session, settings: ControlSettings, project_id: str) -> str:
    """Return the id of the project's network, which is made now if it was not before. The project
    is locked until the commit. Raises NotFound, AutoAllocationFailure, OverQuota."""
    quota.lock_project(session, project_id)
    topology = topologies.of_project(session, project_id)
    if topology is not None:
        return topology.network_id
    external = _external(session)
    room = _room(settings)
    for resource in ("network", "subnet", "router"):
        network_quotas.check(session, project_id, resource)
    network = add_network(session, settings, project_id, NewNetwork(name=NETWORK))
    session.flush()
    subnet = _add_subnet(session, settings, network, room)
    new_router = NewRouter(name=ROUTER, external_network_id=external.id)
    router = add_router(session, project_id, new_router)
    lead_to(session, settings, router, subnet)
    row = AutoTopology(project_id=project_id, network_id=network.id, router_id=router.id)
    session.add(row)
    session.flush()
    return network.id


def _external(session: Session) -> Network:
    external = topologies.default_external(session)
    if external is None:
        raise AutoAllocationFailure("No default router:external network")
    return external


def _room(settings: ControlSettings) -> IPv4Network:
    if not settings.auto_network_prefix:
        raise AutoAllocationFailure("No default subnetpools defined")
    return IPv4Network(settings.auto_network_prefix)


def _add_subnet(
    session: Session, settings: ControlSettings, network: Network, room: IPv4Network
) -> Subnet:
    repo.lock_plan(session)
    block = cidrs.first_free(room, LENGTH, _taken(session, settings))
    if block is None:
        raise AutoAllocationFailure(f"No /{LENGTH} of {room} is free")
    return add_subnet(session, settings, network, NewSubnet(network.id, 4, str(block), name=SUBNET))


def _taken(session: Session, settings: ControlSettings) -> list[Block]:
    """Return what the new subnet must keep clear of."""
    hosts = [ip_network(ip_address(one)) for one in repo.underlays(session) if is_underlay(one)]
    subnets = [ip_network(cidr) for cidr, _, _ in repo.blocks(session, 4)]
    kept_free = cidrs.read_blocks(settings.reserved_prefixes)
    return [*cidrs.RESERVED, *kept_free, *hosts, *subnets]


def _remove_router(session: Session, router_id: str, network_id: str) -> None:
    """Its owner may have put it on other networks, where it is needed."""
    router = routers.lock(session, router_id)
    if router is None:
        return
    for port in routers.interfaces(session, router_id):
        if port.network_id == network_id:
            take_off(session, router, port)
    remove_router(session, router)
