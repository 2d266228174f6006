"""What is shown of networks, subnets and ports, as frozen values made from their rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.db.models import FloatingIp, Network, Port, Router, Subnet
from app.db.repo.networks import FLOATING_IP, ROUTER_INTERFACE
from app.runs.networks_spec import PROVIDER

__all__ = ["FLOATING_IP", "ROUTER_INTERFACE"]


@dataclass(frozen=True, kw_only=True)
class ThingView:
    """What everything of the network API has."""

    id: str
    project_id: str
    name: str
    description: str
    tags: tuple[str, ...]
    revision: int
    created_at: datetime
    updated_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class NetworkView(ThingView):
    """A network that servers can be on. What begins with `provider_` is for operators."""

    shared: bool
    mtu: int
    admin_state_up: bool
    port_security: bool
    subnet_ids: tuple[str, ...]
    external: bool
    is_default: bool
    provider_type: str
    provider_physical: str | None
    provider_segment: int | None


@dataclass(frozen=True, kw_only=True)
class SubnetView(ThingView):
    """A network's block of addresses."""

    network_id: str
    version: int
    cidr: str
    gateway: str | None
    dns: tuple[str, ...]
    host_routes: tuple[dict[str, Any], ...]
    enable_dhcp: bool
    pools: tuple[dict[str, Any], ...]
    #: Whether hosts tell guests by router advertisements to ask for their address (RFC 8415).
    advertised: bool


@dataclass(frozen=True, kw_only=True)
class PortView(ThingView):
    """An interface. `seen` says whether its guest was seen to use an address of it."""

    network_id: str
    server_id: str | None
    mac: str
    #: (subnet's id, address) each
    addresses: tuple[tuple[str, str], ...]
    admin_state_up: bool
    port_security: bool
    address_pairs: tuple[dict[str, Any], ...]
    device_id: str
    device_owner: str
    dns_name: str
    seen: bool
    #: The hypervisor's name, for operators; empty while it is on none.
    host: str = ""
    security_groups: tuple[str, ...] = ()


def network_type(row: Network) -> str:
    """Return Neutron's word for how the network is carried out."""
    if row.kind == PROVIDER:
        return "vlan" if row.vlan else "flat"
    return "local" if row.vni is None else "vxlan"


def network_view(row: Network) -> NetworkView:
    """Return what is shown of a network; its subnets are read with it."""
    return NetworkView(
        **_common(row),
        project_id=row.project_id,
        shared=row.shared,
        mtu=row.mtu,
        admin_state_up=row.admin_state_up,
        port_security=row.port_security,
        external=row.external,
        is_default=row.is_default,
        subnet_ids=tuple(subnet.id for subnet in row.subnets),
        provider_type=network_type(row),
        provider_physical=row.physical_network,
        provider_segment=row.vlan or row.vni,
    )


def subnet_view(row: Subnet) -> SubnetView:
    """Return what is shown of a subnet; its network is read with it."""
    return SubnetView(
        **_common(row),
        project_id=row.network.project_id,
        network_id=row.network_id,
        version=row.version,
        cidr=row.cidr,
        gateway=row.gateway,
        dns=tuple(row.dns),
        host_routes=tuple(row.host_routes),
        enable_dhcp=row.enable_dhcp,
        pools=tuple(row.pools),
        advertised=row.version == 6 and row.enable_dhcp and row.host_address is not None,
    )


def port_view(row: Port, host: str = "", groups: Sequence[str] = ()) -> PortView:
    """Return what is shown of a port; its addresses are read with it."""
    return PortView(
        **_common(row),
        project_id=row.project_id,
        network_id=row.network_id,
        server_id=row.server_id,
        mac=row.mac,
        addresses=tuple((held.subnet_id, held.address) for held in row.addresses),
        admin_state_up=row.admin_state_up,
        port_security=row.port_security,
        address_pairs=tuple(row.address_pairs),
        device_id=row.server_id or row.device_id,
        device_owner=row.device_owner,
        dns_name=row.dns_name,
        seen=row.seen_at is not None,
        host=host,
        security_groups=tuple(groups),
    )


def _common(row: Network | Subnet | Port) -> dict[str, Any]:
    return {"name": row.name, **notes(row)}


def notes(row: Network | Subnet | Port | Router | FloatingIp) -> dict[str, Any]:
    """Return what everything of the network API has but a name."""
    return {
        "id": row.id,
        "description": row.description,
        "tags": tuple(row.tags),
        "revision": row.revision,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }
