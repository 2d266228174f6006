"""Networks as one host is to carry them out: what a build brings, and what the fabric of a host
says again when something has changed."""

from collections.abc import Collection
from ipaddress import ip_address

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.models import Hypervisor, Network, Port, Server, Subnet
from app.db.repo import addresses, routers
from tasks.messages import NetworkSpec, Overlay, Route, SubnetSpec

PROVIDER = "provider"
#: Kind of external networks that no bridge carries.
UPLINK = "uplink"


def network_specs(
    session: Session, network_ids: Collection[str], hypervisor_id: str | None
) -> list[NetworkSpec]:
    """Return the networks with these ids as this host carries them out. Its peers are the other
    hosts that have a port there now, or behind a router there, by their underlay addresses."""
    wanted = sorted(set(network_ids))
    rows = sorted(addresses.networks(session, wanted), key=lambda row: row.id)
    spanning = [row.id for row in rows if row.vni is not None]
    peers = _peers(session, spanning, hypervisor_id)
    return [network_spec(row, peers.get(row.id, [])) for row in rows]


def network_spec(network: Network, peers: Collection[str] = ()) -> NetworkSpec:
    """Return a network as a host carries it out whose tunnel leads to these others."""
    kind = _kind(network)
    return NetworkSpec.parse(
        {
            "network_id": network.id,
            "name": network.name,
            "kind": kind,
            "mtu": network.mtu,
            "subnets": [_subnet_spec(subnet, kind) for subnet in network.subnets],
            "overlay": None
            if network.vni is None
            else Overlay(vni=network.vni, peers=sorted(peers)),
            "physical_network": network.physical_network,
            "vlan": network.vlan or None,
        }
    )


def _kind(network: Network) -> str:
    if network.kind == PROVIDER:
        return PROVIDER
    has_way_out = any(subnet.gateway is not None for subnet in network.subnets)
    return "nat" if has_way_out else "isolated"


def _subnet_spec(subnet: Subnet, kind: str) -> SubnetSpec:
    host_address = None if kind == PROVIDER else subnet.host_address
    return SubnetSpec.parse(
        {
            "subnet_id": subnet.id,
            "version": subnet.version,
            "cidr": subnet.cidr,
            "gateway": subnet.gateway,
            "host_address": host_address,
            "dns": list(subnet.dns),
            "routes": [Route(**route) for route in subnet.host_routes],
            # Where the host has no address, it has none to answer from.
            "dhcp": subnet.enable_dhcp and host_address is not None,
        }
    )


def _peers(
    session: Session, network_ids: Collection[str], hypervisor_id: str | None
) -> dict[str, list[str]]:
    """Return the underlay addresses of the hosts with ports on these networks, or on others that
    a router leads to from there, but this one's."""
    if not network_ids:
        return {}
    sharing = routers.sharing(session, network_ids)
    query = (
        select(Port.network_id, Hypervisor.host_ip)
        .join(Server, Server.id == Port.server_id)
        .join(Hypervisor, Hypervisor.id == Server.hypervisor_id)
        .where(Port.network_id.in_(set().union(*sharing.values())))
        .distinct()
    )
    if hypervisor_id is not None:
        query = query.where(Hypervisor.id != hypervisor_id)
    hosts: dict[str, set[str]] = {}
    for network_id, host_ip in session.execute(query):
        if is_underlay(host_ip):
            hosts.setdefault(network_id, set()).add(host_ip)
    return {
        network_id: sorted(set().union(*(hosts.get(one, set()) for one in others)))
        for network_id, others in sharing.items()
    }


def is_underlay(host_ip: str) -> bool:
    """Say whether other hosts can reach a host by this address: a tunnel can end there."""
    try:
        address = ip_address(host_ip)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified or address.is_multicast)
