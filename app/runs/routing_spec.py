"""What a host is told of routers and floating IPs: those of the networks and ports that it has."""

from collections.abc import Collection, Sequence

from sqlalchemy.orm import Session

from app.db.models import FloatingIp, Hypervisor, Network, Router, Subnet
from app.db.repo import routers as repo
from app.runs.networks_spec import PROVIDER, is_underlay
from tasks.messages import (
    ExternalSpec,
    FloatingSpec,
    PortSpec,
    RemoteAddress,
    RoutedSubnet,
    RouterSpec,
    RoutingSpec,
)


def routing_of(
    session: Session,
    hypervisor_id: str | None,
    ports: Sequence[PortSpec],
    *,
    with_remotes: bool,
) -> RoutingSpec:
    """Return what a host has to know of the routers on its ports' networks, and of the ports'
    floating IPs. `with_remotes`: also how its guests reach those of other hosts through a router.
    """
    if not ports:
        return RoutingSpec()
    found = repo.of_networks(session, {port.network_id for port in ports})
    return RoutingSpec(
        routers=[_router(router, subnets) for router, subnets in found],
        remotes=_remotes(session, found, hypervisor_id) if with_remotes else [],
        floating=_floating(session, hypervisor_id, ports),
    )


def is_carried(network: Network, host: Hypervisor) -> bool:
    """Say whether the host can have floating IPs of an external network."""
    return network.kind != PROVIDER or network.physical_network in host.physical_networks


def _router(router: Router, subnets: Sequence[tuple[str, str]]) -> RouterSpec:
    return RouterSpec(
        router_id=router.id,
        subnets=[RoutedSubnet(network_id=network, cidr=cidr) for network, cidr in subnets],
        world=router.admin_state_up and router.external_network_id is not None,
        up=router.admin_state_up,
    )


def _remotes(
    session: Session,
    routers: Sequence[tuple[Router, Sequence[tuple[str, str]]]],
    hypervisor_id: str | None,
) -> list[RemoteAddress]:
    """Only where there is something to route: a router of one subnet leads nowhere else."""
    routed: Collection[str] = {
        network
        for router, subnets in routers
        if router.admin_state_up and len(subnets) > 1
        for network, _ in subnets
    }
    if not routed:
        return []
    return [
        RemoteAddress(network_id=network, address=address, mac=mac, host_ip=host_ip)
        for network, address, mac, host_ip in repo.remote_addresses(session, routed, hypervisor_id)
        if is_underlay(host_ip)
    ]


def _floating(
    session: Session, hypervisor_id: str | None, ports: Sequence[PortSpec]
) -> list[FloatingSpec]:
    host = session.get(Hypervisor, hypervisor_id) if hypervisor_id else None
    if host is None:
        return []
    of_port = {port.port_id: port for port in ports}
    return [
        _floating_spec(row, subnet, of_port[str(row.port_id)])
        for row, subnet, router in repo.floating_of_ports(session, of_port)
        if router.admin_state_up and is_carried(row.network, host)
    ]


def _floating_spec(row: FloatingIp, subnet: Subnet, port: PortSpec) -> FloatingSpec:
    return FloatingSpec(
        floating_id=row.id,
        address=row.address,
        port_id=port.port_id,
        network_id=port.network_id,
        fixed=str(row.fixed_address),
        external=ExternalSpec(
            network_id=row.network_id,
            physical_network=row.network.physical_network,
            vlan=row.network.vlan or None,
            cidr=subnet.cidr,
            gateway=subnet.gateway,
        ),
    )
