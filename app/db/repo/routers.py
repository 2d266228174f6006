"""Queries on routers and on the subnets that they lead to."""

from collections.abc import Collection

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session, aliased

from app.db.models import (
    FixedAddress,
    FloatingIp,
    Hypervisor,
    Port,
    Router,
    RouterInterface,
    Server,
    Subnet,
)
from app.db.repo.paging import NO_FACTS, Facts, having


def listed(session: Session, project_id: str | None, facts: Facts = NO_FACTS) -> list[Router]:
    """Return the project's routers (None: all) with these facts, by age."""
    query = having(select(Router), Router, facts)
    if project_id is not None:
        query = query.where(Router.project_id == project_id)
    return list(session.scalars(query.order_by(Router.created_at, Router.id)))


def lock(session: Session, router_id: str) -> Router | None:
    """Return a router, locked, or None."""
    query = select(Router).where(Router.id == router_id).with_for_update()
    return session.scalars(query.execution_options(populate_existing=True)).one_or_none()


def interfaces(session: Session, router_id: str) -> list[Port]:
    """Return the ports by which the router is on networks, by age."""
    query = select(Port).join(RouterInterface, RouterInterface.port_id == Port.id)
    query = query.where(RouterInterface.router_id == router_id)
    return list(session.scalars(query.order_by(Port.created_at, Port.id)))


def router_of_subnet(session: Session, subnet_id: str) -> Router | None:
    """Return the router that leads to a subnet, or None."""
    query = (
        select(Router)
        .join(RouterInterface, RouterInterface.router_id == Router.id)
        .join(FixedAddress, FixedAddress.port_id == RouterInterface.port_id)
        .where(FixedAddress.subnet_id == subnet_id)
    )
    return session.scalars(query).first()


def leads_to(session: Session, network_id: str) -> bool:
    """Say whether the network is some router's way to the world."""
    query = select(Router.id).where(Router.external_network_id == network_id)
    return session.scalars(query.limit(1)).first() is not None


def networks_of(session: Session, router_id: str) -> set[str]:
    """Return the ids of the networks that the router is on."""
    query = select(Port.network_id).join(RouterInterface, RouterInterface.port_id == Port.id)
    return set(session.scalars(query.where(RouterInterface.router_id == router_id)))


def sharing(session: Session, network_ids: Collection[str]) -> dict[str, set[str]]:
    """Return for each of these networks the networks that it shares a router with, and itself."""
    found = {network_id: {network_id} for network_id in network_ids}
    here, there = aliased(RouterInterface), aliased(RouterInterface)
    own, other = aliased(Port), aliased(Port)
    query = (
        select(own.network_id, other.network_id)
        .join(here, here.port_id == own.id)
        .join(there, there.router_id == here.router_id)
        .join(other, other.id == there.port_id)
        .where(own.network_id.in_(network_ids))
        .distinct()
    )
    for network_id, neighbour_id in session.execute(query):
        found[network_id].add(neighbour_id)
    return found


def of_networks(
    session: Session, network_ids: Collection[str]
) -> list[tuple[Router, list[tuple[str, str]]]]:
    """Return the routers that are on these networks, in the order of their ids, each with
    (network's id, cidr) of all the subnets that it leads to."""
    on = select(RouterInterface.router_id).join(Port, Port.id == RouterInterface.port_id)
    query = (
        select(Router, Subnet.network_id, Subnet.cidr)
        .join(RouterInterface, RouterInterface.router_id == Router.id)
        .join(FixedAddress, FixedAddress.port_id == RouterInterface.port_id)
        .join(Subnet, Subnet.id == FixedAddress.subnet_id)
        .where(Router.id.in_(on.where(Port.network_id.in_(network_ids))))
        .order_by(Router.id, Subnet.id)
    )
    found: dict[str, tuple[Router, list[tuple[str, str]]]] = {}
    for router, network_id, cidr in session.execute(query):
        found.setdefault(router.id, (router, []))[1].append((network_id, cidr))
    return list(found.values())


def remote_addresses(
    session: Session, network_ids: Collection[str], hypervisor_id: str | None
) -> list[tuple[str, str, str, str]]:
    """Return (network's id, address, MAC, host's address) of all ports on these networks whose
    servers are on other hosts than this one."""
    query = (
        select(Port.network_id, FixedAddress.address, Port.mac, Hypervisor.host_ip)
        .join(FixedAddress, FixedAddress.port_id == Port.id)
        .join(Server, Server.id == Port.server_id)
        .join(Hypervisor, Hypervisor.id == Server.hypervisor_id)
        .where(Port.network_id.in_(network_ids), Hypervisor.id != hypervisor_id)
        .order_by(Port.id, FixedAddress.address)
    )
    return [(network, address, mac, ip) for network, address, mac, ip in session.execute(query)]


# --- floating IPs --------------------------------------------------------------------------------


def floating_ips(
    session: Session, project_id: str | None, facts: Facts = NO_FACTS
) -> list[tuple[FloatingIp, Hypervisor | None, bool]]:
    """Return the project's floating IPs (None: all) with these facts, by age; each with the host
    of its port, and whether its router is up."""
    query = (
        select(FloatingIp, Hypervisor, Router.admin_state_up)
        .outerjoin(Port, Port.id == FloatingIp.port_id)
        .outerjoin(Server, Server.id == Port.server_id)
        .outerjoin(Hypervisor, Hypervisor.id == Server.hypervisor_id)
        .outerjoin(Router, Router.id == FloatingIp.router_id)
    )
    query = having(query, FloatingIp, facts)
    if project_id is not None:
        query = query.where(FloatingIp.project_id == project_id)
    rows = session.execute(query.order_by(FloatingIp.created_at, FloatingIp.id))
    return [(row, host, bool(up)) for row, host, up in rows]


def lock_floating_ip(session: Session, floating_id: str) -> FloatingIp | None:
    """Return a floating IP, locked, or None."""
    query = select(FloatingIp).where(FloatingIp.id == floating_id)
    query = query.with_for_update(of=FloatingIp).execution_options(populate_existing=True)
    return session.scalars(query).one_or_none()


def any_floating(session: Session, *conditions: ColumnElement[bool]) -> bool:
    """Say whether there is a floating IP that fits."""
    return session.scalars(select(FloatingIp.id).where(*conditions).limit(1)).first() is not None


def floating_of_subnet(session: Session, router_id: str, subnet_ids: Collection[str]) -> bool:
    """Say whether floating IPs stand for addresses of these subnets by this router."""
    query = (
        select(FloatingIp.id)
        .join(FixedAddress, FixedAddress.port_id == FloatingIp.port_id)
        .where(
            FloatingIp.router_id == router_id,
            FixedAddress.address == FloatingIp.fixed_address,
            FixedAddress.subnet_id.in_(subnet_ids),
        )
    )
    return session.scalars(query.limit(1)).first() is not None


def floating_of_ports(
    session: Session, port_ids: Collection[str]
) -> list[tuple[FloatingIp, Subnet, Router]]:
    """Return the floating IPs that stand for addresses of these ports, in the order of their ids,
    each with the subnet that it is of, and its router."""
    query = (
        select(FloatingIp, Subnet, Router)
        .join(FixedAddress, FixedAddress.port_id == FloatingIp.holder_id)
        .join(Subnet, Subnet.id == FixedAddress.subnet_id)
        .join(Router, Router.id == FloatingIp.router_id)
        .where(FloatingIp.port_id.in_(port_ids))
        .order_by(FloatingIp.id)
    )
    return [(row, subnet, router) for row, subnet, router in session.execute(query)]


def addresses_of_ports(session: Session, port_ids: Collection[str]) -> dict[str, list[FloatingIp]]:
    """Return the ports' floating IPs, by port, in the order of their age."""
    query = select(FloatingIp).where(FloatingIp.port_id.in_(port_ids))
    found: dict[str, list[FloatingIp]] = {}
    for row in session.scalars(query.order_by(FloatingIp.created_at, FloatingIp.id)):
        found.setdefault(str(row.port_id), []).append(row)
    return found


def let_go(session: Session, port_ids: Collection[str]) -> None:
    """Take the floating IPs of these ports from them: the ports are about to be removed."""
    session.execute(
        update(FloatingIp)
        .where(FloatingIp.port_id.in_(port_ids))
        .values(port_id=None, fixed_address=None, router_id=None, told_revision=None)
        .execution_options(synchronize_session=False)
    )


def tell_anew(session: Session, *conditions: ColumnElement[bool]) -> None:
    """The hosts of these floating IPs have to learn of them: until then they are not active."""
    session.execute(
        update(FloatingIp)
        .where(*conditions)
        .values(told_revision=None)
        .execution_options(synchronize_session=False)
    )


def stamp(session: Session, revisions: dict[str, int]) -> None:
    """Note by which revision of its host (hypervisor's id -> revision) each floating IP is told
    that is still to be told."""
    query = (
        select(FloatingIp, Server.hypervisor_id)
        .join(Port, Port.id == FloatingIp.port_id)
        .join(Server, Server.id == Port.server_id)
        .where(FloatingIp.told_revision.is_(None), Server.hypervisor_id.in_(revisions))
        .order_by(FloatingIp.id)
    )
    for row, hypervisor_id in session.execute(query.with_for_update(of=FloatingIp)):
        row.told_revision = revisions[str(hypervisor_id)]
