"""Networks, subnets and ports, as those who may use them see them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.db.models import Network, Port, Subnet
from app.db.repo import networks
from app.db.session import reading
from app.services.context import Caller, Context


@dataclass(frozen=True)
class NetworkView:
    """A network that servers can be on."""

    id: str
    name: str
    project_id: str
    shared: bool
    mtu: int
    subnet_ids: tuple[str, ...]
    created_at: datetime
    updated_at: datetime | None


@dataclass(frozen=True)
class SubnetView:
    """A network's block of addresses."""

    id: str
    name: str
    project_id: str
    network_id: str
    version: int
    cidr: str
    gateway: str | None
    dns: tuple[str, ...]
    pools: tuple[dict[str, Any], ...]
    created_at: datetime
    updated_at: datetime | None


@dataclass(frozen=True)
class PortView:
    """A server's interface. `seen` says whether its guest was seen to use the address."""

    id: str
    project_id: str
    network_id: str
    server_id: str | None
    mac: str
    #: (subnet's id, address) each
    addresses: tuple[tuple[str, str], ...]
    seen: bool
    created_at: datetime
    updated_at: datetime | None


def list_networks(context: Context, caller: Caller) -> list[NetworkView]:
    """Return the networks that the caller's project may use."""
    with reading(context.sessions) as session:
        return [_network(row) for row in networks.networks(session, caller.sees)]


def list_subnets(context: Context, caller: Caller) -> list[SubnetView]:
    """Return the subnets of those networks."""
    with reading(context.sessions) as session:
        return [_subnet(row) for row in networks.subnets(session, caller.sees)]


def list_ports(
    context: Context, caller: Caller, facts: Mapping[str, Sequence[str]]
) -> list[PortView]:
    """Return the ports of the caller's project that have one of the values for each fact."""
    with reading(context.sessions) as session:
        return [_port(row) for row in networks.ports(session, caller.sees, facts)]


def _network(row: Network) -> NetworkView:
    return NetworkView(
        id=row.id,
        name=row.name,
        project_id=row.project_id,
        shared=row.shared,
        mtu=row.mtu,
        subnet_ids=tuple(subnet.id for subnet in row.subnets),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _subnet(row: Subnet) -> SubnetView:
    return SubnetView(
        id=row.id,
        name=row.name,
        project_id=row.network.project_id,
        network_id=row.network_id,
        version=row.version,
        cidr=row.cidr,
        gateway=row.gateway,
        dns=tuple(row.dns),
        pools=tuple(row.pools),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _port(row: Port) -> PortView:
    return PortView(
        id=row.id,
        project_id=row.project_id,
        network_id=row.network_id,
        server_id=row.server_id,
        mac=row.mac,
        addresses=tuple((held.subnet_id, held.address) for held in row.addresses),
        seen=row.seen_at is not None,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
