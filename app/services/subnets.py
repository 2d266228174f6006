"""Subnets as their owners make, see, change and remove them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from sqlalchemy.orm import Session

from app.db.models import Network, Subnet
from app.db.models.base import new_id
from app.db.repo import networks as repo
from app.db.repo.paging import NO_FACTS, Facts
from app.db.session import reading
from app.runs import fabric
from app.runs.networks_spec import PROVIDER, UPLINK, is_underlay
from app.services import cidrs, network_quotas
from app.services.cidrs import FIRST, Block
from app.services.context import Caller, Context
from app.services.network_errors import (
    GatewayInUse,
    InvalidInput,
    IpAddressInUse,
    Overlap,
    SubnetInUse,
    SubnetNotFound,
)
from app.services.network_views import SubnetView, subnet_view
from app.services.networks import owned, owns
from config.settings import ControlSettings
from tasks.errors import Conflict, Forbidden

#: The one way in which guests learn their addresses of IPv6 (RFC 8415).
STATEFUL = "dhcpv6-stateful"
MAX_SUBNETS = 8


@dataclass(frozen=True)
class NewSubnet:
    """A subnet as it was asked for. `gateway` FIRST is the block's first address, None is no way
    out; `pools` None is all that is left."""

    network_id: str
    version: int
    cidr: str
    name: str = ""
    description: str = ""
    gateway: str | None = FIRST
    enable_dhcp: bool = True
    dns: Sequence[str] = ()
    host_routes: Sequence[dict[str, Any]] = ()
    pools: Sequence[dict[str, Any]] | None = None
    ra_mode: str | None = None
    address_mode: str | None = None


def list_subnets(context: Context, caller: Caller, facts: Facts = NO_FACTS) -> list[SubnetView]:
    """Return the subnets with these facts of the networks that the caller's project may use."""
    with reading(context.sessions) as session:
        return [subnet_view(row) for row in repo.subnets(session, caller.sees, facts)]


def get(context: Context, caller: Caller, subnet_id: str) -> SubnetView:
    """Return a subnet. Raises SubnetNotFound."""
    with reading(context.sessions) as session:
        return subnet_view(_seen(repo.subnet(session, subnet_id), caller, subnet_id))


def create(context: Context, caller: Caller, new: NewSubnet) -> SubnetView:
    """Make a subnet. Raises NetworkNotFound, Forbidden, InvalidInput, Overlap, OverQuota."""
    with context.sessions.begin() as session:
        found = repo.lock_network(session, new.network_id, whole=False)
        network = owned(found, caller, new.network_id)
        network_quotas.check(session, network.project_id, "subnet")
        repo.lock_plan(session)
        row = add_subnet(session, context.settings, network, new)
        session.refresh(row, ["network"])
        fabric.note_network(session, network.id)
        view = subnet_view(row)
    context.publisher.fabric_changed()
    return view


def add_subnet(
    session: Session, settings: ControlSettings, network: Network, new: NewSubnet
) -> Subnet:
    """Write a subnet. Others are kept from it until the commit (repo.lock_plan).
    Raises InvalidInput, Overlap, GatewayInPool, Conflict."""
    block = cidrs.read_block(new.cidr, new.version)
    _check_modes(new)
    _check_room(session, settings, network, block)
    _check_company(network, new)
    hosted = network.kind not in (PROVIDER, UPLINK)
    layout = cidrs.lay_out(block, new.gateway, new.pools, hosted=hosted)
    row = Subnet(
        id=new_id(),
        network_id=network.id,
        name=new.name,
        description=new.description,
        version=new.version,
        cidr=str(block),
        gateway=layout.gateway,
        host_address=layout.host,
        dns=cidrs.read_dns(new.dns, new.version),
        host_routes=cidrs.read_routes(new.host_routes, new.version),
        enable_dhcp=new.enable_dhcp,
        pools=layout.pools,
    )
    session.add(row)
    session.flush()
    return row


def update(
    context: Context, caller: Caller, subnet_id: str, changes: Mapping[str, Any]
) -> SubnetView:
    """Change a subnet; `changes` are columns, and `pools` may be there without the gateway.
    Raises SubnetNotFound, Forbidden, InvalidInput, GatewayInPool, IpAddressInUse."""
    with context.sessions.begin() as session:
        seen = owned_subnet(repo.subnet(session, subnet_id), caller, subnet_id)
        repo.lock_network(session, seen.network_id, whole=False)
        row = owned_subnet(repo.lock_subnet(session, subnet_id), caller, subnet_id)
        facts = dict(changes)
        if "dns" in facts:
            facts["dns"] = cidrs.read_dns(facts["dns"] or (), row.version)
        if "host_routes" in facts:
            facts["host_routes"] = cidrs.read_routes(facts["host_routes"] or (), row.version)
        if "gateway" in facts or "pools" in facts:
            facts |= _laid_out_anew(session, row, facts)
        if facts.get("enable_dhcp") and not row.enable_dhcp:
            _check_dhcp(row.network, row.version)
        for name, value in facts.items():
            setattr(row, name, value)
        row.revision += 1
        session.flush()
        fabric.note_network(session, row.network_id)
        view = subnet_view(row)
    context.publisher.fabric_changed()
    return view


def delete(context: Context, caller: Caller, subnet_id: str) -> None:
    """Remove a subnet. Raises SubnetNotFound, Forbidden, SubnetInUse."""
    with context.sessions.begin() as session:
        row = owned_subnet(repo.lock_subnet(session, subnet_id), caller, subnet_id)
        if repo.held(session, subnet_id):
            raise SubnetInUse(
                f"Unable to complete operation on subnet {subnet_id}: One or more ports have an IP"
                " allocation from this subnet."
            )
        fabric.note_network(session, row.network_id)
        session.delete(row)
    context.publisher.fabric_changed()


def _seen(row: Subnet | None, caller: Caller, subnet_id: str) -> Subnet:
    network = None if row is None else row.network
    if row is None or network is None:
        raise SubnetNotFound(subnet_id)
    if not (network.shared or network.external or owns(caller, network)):
        raise SubnetNotFound(subnet_id)
    return row


def owned_subnet(row: Subnet | None, caller: Caller, subnet_id: str) -> Subnet:
    """Return the subnet if the caller may change it. Raises SubnetNotFound, Forbidden."""
    row = _seen(row, caller, subnet_id)
    if not owns(caller, row.network):
        raise Forbidden("Policy doesn't allow to change a subnet of another project.")
    return row


# --- rules ---------------------------------------------------------------------------------------


def _check_modes(new: NewSubnet) -> None:
    modes = {"ipv6_ra_mode": new.ra_mode, "ipv6_address_mode": new.address_mode}
    for field, mode in modes.items():
        if mode is None:
            continue
        if new.version == 4:
            raise InvalidInput(f"{field}: has no meaning with ip_version 4.")
        if mode != STATEFUL:
            raise InvalidInput(f"{field}: {mode} is not supported; {STATEFUL} is.")
        if not new.enable_dhcp:
            raise InvalidInput(f"{field}: has no meaning with enable_dhcp false.")


def _check_room(
    session: Session, settings: ControlSettings, network: Network, block: Block
) -> None:
    """Hosts route all networks but the provider's in one table. An external network is theirs, or
    their neighbour's: its floating IPs only must not be taken for a guest's."""
    routed = network.external or network.kind != PROVIDER
    hosted = network.kind not in (PROVIDER, UPLINK)
    kept_free = cidrs.read_blocks(settings.reserved_prefixes) if hosted else []
    reserved = cidrs.reserved(block, kept_free)
    if reserved is not None:
        raise Overlap(f"cidr: {block} overlaps {reserved}, which is reserved.")
    if hosted and any(
        is_underlay(address) and ip_address(address) in block for address in repo.underlays(session)
    ):
        raise Overlap(f"cidr: {block} holds an address of the hosts' own network.")
    for cidr, network_id, is_routed in repo.blocks(session, block.version):
        if not cidrs.overlap(block, ip_network(cidr)):
            continue
        if network_id == network.id:
            raise Overlap(f"cidr: {block} overlaps {cidr}, another subnet of the network.")
        if routed and is_routed:
            # Whose it is, and where it lies, is no business of another project.
            raise Overlap(f"cidr: {block} overlaps a subnet of another network: choose another.")


def _check_company(network: Network, new: NewSubnet) -> None:
    if len(network.subnets) >= MAX_SUBNETS:
        raise Conflict(f"Network {network.id} has {MAX_SUBNETS} subnets, which is the most.")
    if new.enable_dhcp:
        _check_dhcp(network, new.version)


def _check_dhcp(network: Network, version: int) -> None:
    """libvirt's networks answer DHCP for one subnet of each IP version."""
    if network.kind == PROVIDER:
        return
    if network.kind == UPLINK:
        raise InvalidInput(
            "enable_dhcp: nobody on the hosts' own uplinks asks Byre for an address; set it to"
            " false."
        )
    if any(other.version == version and other.enable_dhcp for other in network.subnets):
        raise Conflict(
            f"Network {network.id} has a subnet with DHCP of IP version {version}, which is the"
            " most: set enable_dhcp to false."
        )


def _laid_out_anew(session: Session, row: Subnet, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Pools without a gateway of theirs keep it, and the other way round. The hosts' address stays
    if the way out is taken away: guests ask it for their leases."""
    block = ip_network(row.cidr)
    gateway = facts.get("gateway", row.gateway)
    layout = cidrs.lay_out(
        block,
        gateway,
        facts.get("pools", row.pools),
        hosted=row.host_address is not None,
        host=row.host_address,
    )
    if layout.gateway != row.gateway and row.gateway and repo.held(session, row.id, [row.gateway]):
        raise GatewayInUse(
            f"Current gateway ip {row.gateway} already in use by a router's port. Unable to update."
        )
    own = {layout.gateway, layout.host} - {row.gateway, row.host_address, None}
    taken = repo.held(session, row.id, [address for address in own if address is not None])
    if taken:
        raise IpAddressInUse(f"gateway_ip: a port has the address {taken[0]}.")
    return {
        "gateway": layout.gateway,
        "host_address": layout.host,
        "pools": layout.pools,
        # Whatever is in the pools and free is found again from their beginning.
        "frontier": row.frontier if layout.pools == row.pools else None,
    }
