"""Pure arithmetic on a subnet's allocation pools."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

Address = IPv4Address | IPv6Address
Pools = Sequence[dict[str, Any]]


def bounds(pools: Pools) -> list[tuple[Address, Address]]:
    """Return first and last address of each pool."""
    return [(ip_address(pool["start"]), ip_address(pool["end"])) for pool in pools]


def holds(pools: Pools, address: str) -> bool:
    """Say whether an address is in a pool."""
    wanted = int(ip_address(address))
    return any(int(first) <= wanted <= int(last) for first, last in bounds(pools))


def before(pools: Pools, frontier: str | None) -> int:
    """Count the pools' addresses before the frontier; None is their beginning."""
    if frontier is None:
        return 0
    edge = int(ip_address(frontier))
    return sum(max(0, min(int(last) + 1, edge) - int(first)) for first, last in bounds(pools))


def size(pools: Pools) -> int:
    """Count the pools' addresses."""
    return sum(int(last) - int(first) + 1 for first, last in bounds(pools))


def beyond(pools: Pools, frontier: str | None) -> Iterator[Address]:
    """Yield the pools' addresses from the frontier on, without an end that one would wait for."""
    edge = 0 if frontier is None else int(ip_address(frontier))
    for first, last in bounds(pools):
        kind = type(first)
        for number in range(max(int(first), edge), int(last) + 1):
            yield kind(number)
