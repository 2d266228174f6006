"""Queries on networks, subnets and ports, as owners see them."""

from collections.abc import Callable, Collection
from typing import Any

from sqlalchemy import Select, and_, func, or_, select, text
from sqlalchemy.orm import Session, joinedload, selectinload

from app.db.models import (
    FixedAddress,
    FloatingIp,
    Hypervisor,
    Network,
    Port,
    RequestSpec,
    Router,
    SecurityGroup,
    SecurityGroupRule,
    Server,
    Subnet,
)
from app.db.repo.paging import NO_FACTS, Facts, having

#: What ports are for that are the network's own (Port.device_owner): a router's, and the holders
#: of floating IPs' addresses.
ROUTER_INTERFACE, FLOATING_IP = "network:router_interface", "network:floatingip"

#: Held by those who look for room among all subnets and then write one.
_PLAN_LOCK = 0x62797266


def _visible(
    query: Select[Network], project_id: str | None, *, external: bool = True
) -> Select[Network]:
    if project_id is None:
        return query
    shown = [Network.shared.is_(True), Network.project_id == project_id]
    return query.where(or_(*shown, Network.external.is_(True)) if external else or_(*shown))


def networks(session: Session, project_id: str | None, facts: Facts = NO_FACTS) -> list[Network]:
    """Return the networks that a project may use (None: all), with their subnets, by age, with
    these facts."""
    query = _visible(select(Network), project_id).options(selectinload(Network.subnets))
    query = having(query, Network, facts)
    return list(session.scalars(query.order_by(Network.created_at, Network.id)))


def network(session: Session, network_id: str, *, lock: bool = False) -> Network | None:
    """Return a network with its subnets, locked against removal by `lock`, or None."""
    query = select(Network).where(Network.id == network_id).options(selectinload(Network.subnets))
    if lock:
        query = query.with_for_update(read=True, key_share=True)
    return session.scalars(query).one_or_none()


def lock_network(session: Session, network_id: str, *, whole: bool = True) -> Network | None:
    """Return a network with its subnets as they are now, locked: nothing comes onto it until the
    commit; if it is not locked as a `whole`, ports may, but no subnet is made or changed.

    Whoever locks subnets too does so afterwards."""
    query = select(Network).where(Network.id == network_id).options(selectinload(Network.subnets))
    query = query.with_for_update(of=Network, key_share=not whole)
    return session.scalars(query.execution_options(populate_existing=True)).one_or_none()


def usable_ids(session: Session, project_id: str, limit: int) -> list[tuple[str, bool]]:
    """Return some networks that the project may put servers on: id, and whether it has a subnet."""
    has_subnet = select(Subnet.id).where(Subnet.network_id == Network.id).exists()
    found = _visible(select(Network), project_id, external=False)
    query = found.where(Network.external.is_(False)).with_only_columns(Network.id, has_subnet)
    return [(network_id, bool(has)) for network_id, has in session.execute(query.limit(limit))]


def by_name(session: Session, name: str) -> Network | None:
    """Return the oldest network of this name, or None."""
    query = select(Network).where(Network.name == name).order_by(Network.created_at, Network.id)
    return session.scalars(query.limit(1)).one_or_none()


def physical_names(session: Session, among: Collection[str]) -> list[str]:
    """Return the names of the physical networks that these networks are on, in order."""
    query = select(Network.physical_network).where(
        Network.id.in_(among), Network.physical_network.is_not(None)
    )
    return sorted({str(name) for name in session.scalars(query)})


def vnis(session: Session, among: Collection[int]) -> set[int]:
    """Return those of the tunnels' numbers that networks have."""
    query = select(Network.vni).where(Network.vni.in_(among))
    return {vni for vni in session.scalars(query) if vni is not None}


def users(session: Session, network_id: str) -> set[str]:
    """Return the projects that have ports on the network."""
    query = select(Port.project_id).where(Port.network_id == network_id).distinct()
    return set(session.scalars(query))


def delete_network(session: Session, row: Network) -> None:
    """Remove a network; its subnets go with it."""
    session.delete(row)
    session.flush()


# --- subnets -------------------------------------------------------------------------------------


def subnets(session: Session, project_id: str | None, facts: Facts = NO_FACTS) -> list[Subnet]:
    """Return the subnets of the networks that a project sees (None: all), by age, with these
    facts."""
    query = having(select(Subnet).options(joinedload(Subnet.network)), Subnet, facts)
    if project_id is not None:
        ids = _visible(select(Network), project_id).with_only_columns(Network.id)
        query = query.where(Subnet.network_id.in_(ids))
    return list(session.scalars(query.order_by(Subnet.created_at, Subnet.id)))


def subnet(session: Session, subnet_id: str) -> Subnet | None:
    """Return a subnet with its network, or None."""
    query = select(Subnet).where(Subnet.id == subnet_id).options(joinedload(Subnet.network))
    return session.scalars(query).one_or_none()


def lock_subnet(session: Session, subnet_id: str) -> Subnet | None:
    """Return a subnet, locked: nobody takes an address of it until the commit."""
    query = select(Subnet).where(Subnet.id == subnet_id).with_for_update(of=Subnet)
    return session.scalars(query.execution_options(populate_existing=True)).one_or_none()


def lock_plan(session: Session) -> None:
    """Keep others from adding subnets until the commit. SQLite has one writer anyway."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _PLAN_LOCK})


def blocks(session: Session, version: int) -> list[tuple[str, str, bool]]:
    """Return (cidr, network's id, whether hosts route it) of all subnets of an IP version."""
    routed = or_(Network.kind != "provider", Network.external.is_(True))
    query = select(Subnet.cidr, Subnet.network_id, routed)
    query = query.join(Network, Network.id == Subnet.network_id).where(Subnet.version == version)
    return [(cidr, owner, bool(is_routed)) for cidr, owner, is_routed in session.execute(query)]


def held(session: Session, subnet_id: str, among: Collection[str] | None = None) -> list[str]:
    """Return some addresses of the subnet that ports have; of those given, or any."""
    query = select(FixedAddress.address).where(
        FixedAddress.subnet_id == subnet_id, FixedAddress.port_id.is_not(None)
    )
    if among is not None:
        query = query.where(FixedAddress.address.in_(among))
    return list(session.scalars(query.limit(10)))


def underlays(session: Session) -> list[str]:
    """Return the hosts' own addresses."""
    return list(session.scalars(select(Hypervisor.host_ip).distinct()))


# --- ports ---------------------------------------------------------------------------------------


def ports(session: Session, project_id: str | None, facts: Facts) -> list[tuple[Port, str]]:
    """Return a project's ports (None: all) with their hosts' names, by age, with these facts."""
    query = (
        select(Port, func.coalesce(Hypervisor.name, ""))
        .outerjoin(Server, Server.id == Port.server_id)
        .outerjoin(Hypervisor, Hypervisor.id == Server.hypervisor_id)
    )
    if project_id is not None:
        query = query.where(Port.project_id == project_id)
    device = func.coalesce(Port.server_id, Port.device_id)
    if "device_id" in facts:
        query = query.where(device.in_(facts["device_id"]))
    others = {name: values for name, values in facts.items() if name != "device_id"}
    query = having(query, Port, others)
    found = session.execute(query.order_by(Port.created_at, Port.id))
    return [(port, host) for port, host in found]


def lock_port(session: Session, port_id: str) -> Port | None:
    """Return a port, locked, or None."""
    query = select(Port).where(Port.id == port_id).with_for_update(of=Port)
    return session.scalars(query.execution_options(populate_existing=True)).one_or_none()


def on_network(session: Session, network_id: str) -> int:
    """Count the ports of a network."""
    return session.scalars(select(func.count()).where(Port.network_id == network_id)).one()


def has_mac(session: Session, mac: str) -> bool:
    """Say whether a port has the MAC."""
    return session.scalars(select(Port.id).where(Port.mac == mac)).first() is not None


# --- quota ---------------------------------------------------------------------------------------


def used(session: Session, project_id: str, resource: str) -> int:
    """Count what the project has of a resource, one of COUNTS."""
    return int(session.scalars(COUNTS[resource](project_id)).one())


def _owned(table: Any) -> Callable[[str], Select[Any]]:
    return lambda project_id: select(func.count()).where(table.project_id == project_id)


def _subnets_of(project_id: str) -> Select[Any]:
    query = select(func.count()).select_from(Subnet)
    query = query.join(Network, Network.id == Subnet.network_id)
    return query.where(Network.project_id == project_id)


def _ports_of(project_id: str) -> Select[Any]:
    """Servers that are being built have a port for each of their networks as soon as they are
    placed: these are counted from the request on, or a burst of requests would pass any limit."""
    building = and_(
        Server.project_id == project_id,
        Server.deleted_at.is_(None),
        Server.vm_state == "building",
    )
    wanted = func.sum(func.json_array_length(RequestSpec.network_ids))
    promised = select(func.coalesce(wanted, 0)).select_from(RequestSpec)
    promised = promised.join(Server, Server.id == RequestSpec.server_id).where(building)
    there = select(func.count()).select_from(Port)
    there = there.join(Server, Server.id == Port.server_id).where(building)
    # The holder of a floating IP's address is counted as that floating IP.
    made = _owned(Port)(project_id).where(Port.device_owner != FLOATING_IP)
    return select(made.scalar_subquery() + promised.scalar_subquery() - there.scalar_subquery())


COUNTS: dict[str, Callable[[str], Select[Any]]] = {
    "network": _owned(Network),
    "subnet": _subnets_of,
    "port": _ports_of,
    "router": _owned(Router),
    "floatingip": _owned(FloatingIp),
    "security_group": _owned(SecurityGroup),
    "security_group_rule": _owned(SecurityGroupRule),
}
