"""Pure rules for subnets: which blocks there may be, and how their addresses are laid out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from itertools import pairwise
from typing import Any

from app.services.network_errors import GatewayInPool, InvalidInput

Block = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address
Pool = tuple[Address, Address]

#: Shortest and longest prefix of a subnet, by IP version. DHCPv6 needs a /64 or less of it.
PREFIXES = {4: (16, 30), 6: (64, 126)}
MAX_POOLS, MAX_DNS, MAX_ROUTES = 16, 5, 20
#: Stands for the gateway that is not named: the first address of the block.
FIRST = ""

#: What every host takes for something else than a network of ours.
RESERVED = tuple(
    ip_network(text)
    for text in (
        *("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4"),
        *("::/96", "::ffff:0:0/96", "fe80::/10", "ff00::/8"),
    )
)


@dataclass(frozen=True)
class Layout:
    """Who has which addresses of a block. `host`: the hosts' own; None if they have none."""

    gateway: str | None
    host: str | None
    pools: list[dict[str, str]]


def read_block(text: str, version: int) -> Block:
    """Return the block that a CIDR spells. Raises InvalidInput."""
    if version not in PREFIXES:
        raise InvalidInput(f"ip_version: {version} is neither 4 nor 6.")
    try:
        block = ip_network(text.replace("%", "?"), strict=False)
    except ValueError as error:
        raise InvalidInput(f"cidr: {text!r} is no block of addresses.") from error
    if block.version != version:
        raise InvalidInput(f"cidr: {text} is not of ip_version {version}.")
    if "/" not in text or str(block.network_address) != _plain(text.partition("/")[0]):
        raise InvalidInput(f"cidr: {text} has bits set behind its prefix; {block} is meant?")
    shortest, longest = PREFIXES[version]
    if not shortest <= block.prefixlen <= longest:
        raise InvalidInput(f"cidr: {block} must be between a /{shortest} and a /{longest}.")
    return block


def reserved(block: Block, more: Iterable[Block] = ()) -> Block | None:
    """Return what the block overlaps of that which no network may be."""
    return next((other for other in (*RESERVED, *more) if overlap(block, other)), None)


def overlap(one: Block, other: Block) -> bool:
    """Say whether two blocks share an address."""
    return one.version == other.version and one.overlaps(other)


def read_blocks(text: str) -> list[Block]:
    """Return the blocks that a setting names, separated by commas. Raises ValueError."""
    return [ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip()]


def first_free(room: IPv4Network, length: int, taken: Iterable[Block]) -> IPv4Network | None:
    """Return the first block of that prefix length in the room which overlaps nothing taken; None
    if there is none."""
    size = 1 << (32 - length)
    candidate = int(room.network_address)
    near = [block for block in taken if overlap(block, room)]
    for block in sorted(near, key=lambda block: int(block.network_address)):
        if candidate + size <= int(block.network_address):
            break
        behind = int(block.broadcast_address) + 1
        candidate = max(candidate, -(-behind // size) * size)
    if candidate + size - 1 > int(room.broadcast_address):
        return None
    return IPv4Network((candidate, length))


def read_address(text: Any, field: str, version: int | None = None) -> Address:
    """Return the address that a text spells, of a version if one is given. Raises InvalidInput."""
    try:
        # A zone is a host's own matter (RFC 4007).
        address = ip_address(str(text).replace("%", "?"))
    except ValueError as error:
        raise InvalidInput(f"{field}: {text!r} is no IP address.") from error
    if version is not None and address.version != version:
        raise InvalidInput(f"{field}: {address} is not of IP version {version}.")
    return address


def usable(block: Block) -> Pool:
    """Return the first and the last address that anything may have: not the network's own, and not
    the broadcast address of IPv4."""
    return block[1], block[-2] if block.version == 4 else block[-1]


def check_inside(address: Address, block: Block, field: str) -> None:
    """Raises InvalidInput unless something of the block may have the address."""
    first, last = usable(block)
    if address not in block or not int(first) <= int(address) <= int(last):
        raise InvalidInput(f"{field}: {address} is not a usable address of {block}.")


def lay_out(
    block: Block,
    gateway: str | None,
    pools: Sequence[dict[str, Any]] | None,
    *,
    hosted: bool,
    host: str | None = None,
) -> Layout:
    """Return the layout of a block. `gateway` may be FIRST. `hosted`: the hosts have an address
    there, which is the gateway's, or else `host` if it is given, or else one that is free.

    Raises InvalidInput, GatewayInPool.
    """
    way_out = _gateway(block, gateway)
    given = None if pools is None else read_pools(pools, block)
    own = way_out
    if own is None and hosted:
        own = read_address(host, "host_address") if host else _free_for_host(block, given)
    if given is None:
        given = _all_but(block, {address for address in (way_out, own) if address is not None})
    elif way_out is not None and _holds(given, way_out):
        raise GatewayInPool(f"gateway_ip: {way_out} is inside of an allocation pool.")
    return Layout(
        gateway=None if way_out is None else str(way_out),
        host=str(own) if hosted and own is not None else None,
        pools=[{"start": str(first), "end": str(last)} for first, last in given],
    )


def read_pools(pools: Sequence[dict[str, Any]], block: Block) -> list[Pool]:
    """Return the pools in ascending order. Raises InvalidInput."""
    if len(pools) > MAX_POOLS:
        raise InvalidInput(f"allocation_pools: more than {MAX_POOLS} of them.")
    found: list[Pool] = []
    for pool in pools:
        first = read_address(pool["start"], "allocation_pools", block.version)
        last = read_address(pool["end"], "allocation_pools", block.version)
        check_inside(first, block, "allocation_pools")
        check_inside(last, block, "allocation_pools")
        if int(first) > int(last):
            raise InvalidInput(f"allocation_pools: {first} comes after {last}.")
        found.append((first, last))
    found.sort(key=lambda pool: int(pool[0]))
    for before, after in pairwise(found):
        if int(after[0]) <= int(before[1]):
            raise InvalidInput(
                f"allocation_pools: {before[0]}-{before[1]} and {after[0]}-{after[1]} overlap."
            )
    return found


def read_dns(servers: Sequence[str], version: int) -> list[str]:
    """Return the name servers. Raises InvalidInput."""
    if len(servers) > MAX_DNS:
        raise InvalidInput(f"dns_nameservers: more than {MAX_DNS} of them.")
    found = [str(read_address(text, "dns_nameservers", version)) for text in servers]
    if len(set(found)) < len(found):
        raise InvalidInput("dns_nameservers: one is named twice.")
    return found


def read_routes(routes: Sequence[dict[str, Any]], version: int) -> list[dict[str, str]]:
    """Return the routes that guests are given. Raises InvalidInput."""
    if len(routes) > MAX_ROUTES:
        raise InvalidInput(f"host_routes: more than {MAX_ROUTES} of them.")
    found = []
    for route in routes:
        destination = read_prefix(route["destination"], "host_routes", version)
        nexthop = read_address(route["nexthop"], "host_routes", version)
        found.append({"destination": str(destination), "nexthop": str(nexthop)})
    if len({route["destination"] for route in found}) < len(found):
        raise InvalidInput("host_routes: one destination is named twice.")
    return found


def read_prefix(text: Any, field: str, version: int | None = None) -> Block:
    """Return a prefix, or one of a single address. Raises InvalidInput."""
    try:
        block = ip_network(str(text).replace("%", "?"))
    except ValueError as error:
        raise InvalidInput(f"{field}: {text!r} is no IP address or prefix.") from error
    if version is not None and block.version != version:
        raise InvalidInput(f"{field}: {block} is not of IP version {version}.")
    return block


def _plain(text: str) -> str:
    return str(ip_address(text))


def _gateway(block: Block, gateway: str | None) -> Address | None:
    if gateway is None:
        return None
    if gateway == FIRST:
        return usable(block)[0]
    address = read_address(gateway, "gateway_ip", block.version)
    check_inside(address, block, "gateway_ip")
    return address


def _holds(pools: Iterable[Pool], address: Address) -> bool:
    return any(int(first) <= int(address) <= int(last) for first, last in pools)


def _free_for_host(block: Block, pools: Sequence[Pool] | None) -> Address:
    """The first address that is in no pool; if they hold all, the last of the last pool, which is
    then no port's (app.scheduling.addresses)."""
    first, last = usable(block)
    candidate = int(first)
    for begin, end in pools or ():
        if candidate < int(begin):
            break
        candidate = int(end) + 1
    if candidate <= int(last):
        return type(first)(candidate)
    return (pools or [(first, last)])[-1][1]


def _all_but(block: Block, taken: set[Address]) -> list[Pool]:
    first, last = usable(block)
    kind, pools, begin = type(first), [], int(first)
    for hole in sorted(int(address) for address in taken):
        if begin < hole:
            pools.append((kind(begin), kind(hole - 1)))
        begin = hole + 1
    if begin <= int(last):
        pools.append((kind(begin), kind(int(last))))
    return pools
