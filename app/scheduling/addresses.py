"""Give ports their MACs and addresses, before a host makes anything.

An address that was given back rests for a while, so that no stale lease or ARP entry answers for it
(`address_rest_s`). What was never handed out comes first, from the subnet's frontier on; then what
rested longest. Neither search looks at more than a few rows, however large the subnet is, since all
that lies before the frontier and is free has a row that says so. In a subnet as large as IPv6's a
rested address is taken again as soon as the frontier has come `ROOMY` far, or rows would gather for
ever.

That no two ports get one address is the primary key's doing; the lock on the subnet only saves
the losers' second tries.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address, ip_network
from itertools import islice

from sqlalchemy.orm import Session

from app.db.models import Network, Port, Server, Subnet
from app.db.models.base import new_id, now
from app.db.repo import addresses
from app.scheduling import pools
from app.scheduling.membership import join_groups
from config.settings import ControlSettings
from tasks.errors import NoFreeAddress, NotFound

#: How many addresses are looked up at once; doubled with each look that finds none.
WINDOW, WIDEST = 32, 4096
#: How far the frontier goes before rested addresses come first.
ROOMY = 65_536
#: How often one that another port took first is looked for again.
TRIES = 50


@dataclass(frozen=True)
class Wish:
    """An address that a port is to have: a certain one, or any of the subnet. The gateway's is for
    ports of routers only."""

    subnet_id: str
    address: str | None = None
    as_gateway: bool = False


def ensure_ports(
    session: Session,
    server: Server,
    network_ids: Sequence[str] | Mapping[int, str],
    group_ids: Sequence[str],
    settings: ControlSettings,
    fixed: Mapping[int, str] | None = None,
) -> list[Port]:
    """Return the server's ports, one for each network, which may be given by their positions; those
    that are not there are made now, in these security groups, with the address that is `fixed` for
    their position, or any. Raises NoFreeAddress, NotFound."""
    there = {port.position: port for port in addresses.ports_of(session, server.id)}
    wanted = network_ids if isinstance(network_ids, Mapping) else dict(enumerate(network_ids))
    missing = {at: each for at, each in wanted.items() if at not in there}
    if not missing:
        return [there[at] for at in sorted(there)]
    networks = {row.id: row for row in addresses.keep_networks(session, set(missing.values()))}
    subnets = addresses.lock_subnets(session, set(missing.values()))
    made = []
    for position, network_id in missing.items():
        if network_id not in networks:
            raise NotFound(f"Network {network_id} is gone.")
        port = new_port(networks[network_id], server.project_id, server=server, position=position)
        wishes = _wishes(network_id, subnets[network_id], (fixed or {}).get(position))
        give_addresses(session, port, wishes, subnets, settings)
        made.append(port)
    join_groups(session, server.project_id, group_ids, made)
    return addresses.ports_of(session, server.id)


def _wishes(network_id: str, subnets: Sequence[Subnet], address: str | None) -> list[Wish]:
    if not subnets:
        raise NoFreeAddress(f"Network {network_id} has no subnet.")
    if address is None:
        return default_wishes(subnets)
    for subnet in subnets:
        if ip_address(address) in ip_network(subnet.cidr):
            return [Wish(subnet.id, address)]
    raise NoFreeAddress(f"Network {network_id} has no subnet with the address {address}.")


def new_port(
    network: Network, project_id: str, *, server: Server | None = None, position: int = 0
) -> Port:
    """Return a port without addresses, with a MAC of its own."""
    return Port(
        id=new_id(),
        project_id=project_id,
        network_id=network.id,
        server_id=server.id if server else None,
        position=position,
        mac=new_mac(),
        port_security=network.port_security,
    )


def default_wishes(subnets: Sequence[Subnet]) -> list[Wish]:
    """Return what a port gets that asks for nothing: an address of the first subnet of each IP
    version."""
    first: dict[int, Subnet] = {}
    for subnet in subnets:
        first.setdefault(subnet.version, subnet)
    return [Wish(first[version].id) for version in sorted(first)]


def give_addresses(
    session: Session,
    port: Port,
    wishes: Sequence[Wish],
    locked: dict[str, list[Subnet]],
    settings: ControlSettings,
) -> None:
    """Write the port with the addresses that it is to have, of subnets that are locked.
    Raises NoFreeAddress, AddressTaken."""
    at = 1 + max((held.position for held in port.addresses), default=-1)
    session.add(port)
    session.flush()
    subnets = {subnet.id: subnet for each in locked.values() for subnet in each}
    # The certain ones first, or one of them could be given away as "any".
    for position, wish in sorted(enumerate(wishes, at), key=lambda each: each[1].address is None):
        subnet = subnets[wish.subnet_id]
        if wish.address is not None:
            _take_certain(session, subnet, wish, port, position)
        else:
            _take_any(session, subnet, port, position, settings)
    session.expire(port, ["addresses"])


def new_mac() -> str:
    """Return a random unicast MAC with the locally administered bit set, in OpenStack's block."""
    return "fa:16:3e:" + ":".join(f"{byte:02x}" for byte in secrets.token_bytes(3))


class AddressTaken(NoFreeAddress):
    """Somebody has the address that was asked for."""

    code = "ip_address_in_use"


def _take_certain(session: Session, subnet: Subnet, wish: Wish, port: Port, position: int) -> None:
    """Who asks for a certain address may have one that rests: it knows what it had there."""
    address = str(wish.address)
    is_gateway = wish.as_gateway and address == subnet.gateway
    if not is_gateway and address in (subnet.gateway, subnet.host_address):
        raise AddressTaken(f"IP address {address} is in use by the network itself.")
    key = (session, subnet.id, address, port.id, position)
    if not (addresses.take_rested(*key) or addresses.take_new(*key)):
        raise AddressTaken(f"IP address {address} already allocated in subnet {subnet.id}.")


def _take_any(
    session: Session, subnet: Subnet, port: Port, position: int, settings: ControlSettings
) -> None:
    searches = [_from_the_frontier, _from_the_rested]
    if pools.before(subnet.pools, subnet.frontier) >= ROOMY:
        searches.reverse()
    for search in searches:
        if search(session, subnet, port, position, settings):
            return
    resting = addresses.resting(session, subnet.id)
    waits = f"; {resting} rest for {settings.address_rest_s:g} s after use" if resting else ""
    raise NoFreeAddress(f"Subnet {subnet.cidr} has no free address left{waits}.")


def _from_the_frontier(
    session: Session, subnet: Subnet, port: Port, position: int, _: ControlSettings
) -> bool:
    window = WINDOW
    while True:
        candidates = list(islice(pools.beyond(subnet.pools, subnet.frontier), window))
        if not candidates:
            return False
        texts = [str(address) for address in candidates]
        used = addresses.known(session, subnet.id, texts)
        used |= {text for text in (subnet.gateway, subnet.host_address) if text is not None}
        for address, text in zip(candidates, texts, strict=True):
            if text not in used and addresses.take_new(session, subnet.id, text, port.id, position):
                subnet.frontier = _after(address)
                return True
        subnet.frontier = _after(candidates[-1])
        window = min(window * 2, WIDEST)


def _after(address: pools.Address) -> str:
    # The last address of all there are has none after it: no pool ends there (app.services.cidrs).
    return str(address + 1)


def _from_the_rested(
    session: Session, subnet: Subnet, port: Port, position: int, settings: ControlSettings
) -> bool:
    since = now() - timedelta(seconds=settings.address_rest_s)
    reserved = (subnet.gateway, subnet.host_address)
    for _ in range(TRIES):
        found = addresses.rested(session, subnet.id, since, WINDOW)
        if not found:
            return False
        usable = [
            text for text in found if text not in reserved and pools.holds(subnet.pools, text)
        ]
        for text in usable:
            if addresses.take_rested(session, subnet.id, text, port.id, position):
                return True
        # Given by wish, or from pools that were changed: nobody gets them from here.
        addresses.forget(session, subnet.id, sorted(set(found) - set(usable)))
    return False
