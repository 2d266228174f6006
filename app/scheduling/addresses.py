"""Give a server its ports: a MAC and an address for each network, before a host makes anything.

Addresses are handed out round the pool: one that a server gave back rests until all the others
have been used, so that no stale lease answers for it.
"""

import secrets
from collections.abc import Iterator
from ipaddress import IPv4Address
from itertools import chain, islice

from sqlalchemy.orm import Session

from app.db.models import Port, Server, Subnet
from app.db.repo import addresses
from tasks.errors import NoFreeAddress

#: How many addresses are looked up at once before the whole subnet is.
WINDOW = 32


def ensure_ports(session: Session, server: Server, network_ids: list[str]) -> list[Port]:
    """Return the server's ports, made now unless they are there. Raises NoFreeAddress."""
    ports = addresses.ports_of(session, server.id)
    if ports:
        return ports
    # Always in the same order, whatever order the owner asked in: no two can wait for each other.
    for network_id in sorted(set(network_ids)):
        addresses.lock_subnet(session, network_id)
    made = [
        _make_port(session, server, network_id, position)
        for position, network_id in enumerate(network_ids)
    ]
    session.add_all(made)
    session.flush()
    return made


def _make_port(session: Session, server: Server, network_id: str, position: int) -> Port:
    subnet = addresses.lock_subnet(session, network_id)
    if subnet is None:
        raise NoFreeAddress(f"Network {network_id} has no subnet.")
    return Port(
        project_id=server.project_id,
        network_id=network_id,
        subnet_id=subnet.id,
        server_id=server.id,
        position=position,
        mac=new_mac(),
        address=_next_free(session, subnet),
    )


def new_mac() -> str:
    """Return a random unicast MAC with the locally administered bit set, in OpenStack's block."""
    return "fa:16:3e:" + ":".join(f"{byte:02x}" for byte in secrets.token_bytes(3))


def _next_free(session: Session, subnet: Subnet) -> str:
    free = _first_free(session, subnet, list(islice(_round(subnet), WINDOW)))
    if free is None:
        free = _first_free(session, subnet, list(_round(subnet)))
    if free is None:
        raise NoFreeAddress(f"Subnet {subnet.cidr} has no free address left.")
    subnet.next_address = int(IPv4Address(free)) + 1
    return free


def _first_free(session: Session, subnet: Subnet, candidates: list[str]) -> str | None:
    among = candidates if len(candidates) <= WINDOW else None
    used = addresses.taken(session, subnet.id, among)
    return next((address for address in candidates if address not in used), None)


def _round(subnet: Subnet) -> Iterator[str]:
    """Yield every address of the pool once, beginning where the last search ended."""
    first, last = int(IPv4Address(subnet.first_address)), int(IPv4Address(subnet.last_address))
    begin = subnet.next_address if first <= subnet.next_address <= last else first
    for number in chain(range(begin, last + 1), range(first, begin)):
        yield str(IPv4Address(number))
