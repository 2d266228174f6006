"""Queries on subnets, ports and their addresses for handing out and giving back."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, delete, func, select, update
from sqlalchemy.orm import Session, joinedload, selectinload

from app.db.models import FixedAddress, FloatingIp, Network, Port, Subnet
from app.db.models.base import now
from app.db.repo import routers
from app.db.session import added


def lock_subnets(session: Session, network_ids: Collection[str]) -> dict[str, list[Subnet]]:
    """Return the subnets of these networks, by network and age, locked until the transaction ends.
    Always in the same order, whoever asks: no two can wait for each other."""
    query = select(Subnet).where(Subnet.network_id.in_(network_ids)).order_by(Subnet.id)
    found: dict[str, list[Subnet]] = {network_id: [] for network_id in network_ids}
    locked = session.scalars(query.with_for_update().execution_options(populate_existing=True))
    for subnet in sorted(locked, key=lambda subnet: (subnet.created_at, subnet.id)):
        found[subnet.network_id].append(subnet)
    return found


def keep_networks(session: Session, network_ids: Collection[str]) -> list[Network]:
    """Return those of the networks that are there, and will be until the transaction ends. Before
    their subnets are locked: who removes a network locks it, and then its subnets."""
    query = select(Network).where(Network.id.in_(network_ids)).order_by(Network.id)
    return list(session.scalars(query.with_for_update(read=True, key_share=True)))


def known(session: Session, subnet_id: str, among: Sequence[str]) -> set[str]:
    """Return those of the addresses that a port has, or has given back."""
    query = select(FixedAddress.address).where(
        FixedAddress.subnet_id == subnet_id, FixedAddress.address.in_(among)
    )
    return set(session.scalars(query))


def rested(session: Session, subnet_id: str, since: datetime, limit: int) -> list[str]:
    """Return addresses that were given back before `since`, those that rested longest first."""
    query = (
        select(FixedAddress.address)
        .where(
            FixedAddress.subnet_id == subnet_id,
            FixedAddress.port_id.is_(None),
            FixedAddress.released_at <= since,
        )
        .order_by(FixedAddress.released_at, FixedAddress.address)
    )
    return list(session.scalars(query.limit(limit)))


def resting(session: Session, subnet_id: str) -> int:
    """Count the subnet's addresses that were given back and not taken again."""
    query = select(func.count()).where(
        FixedAddress.subnet_id == subnet_id, FixedAddress.port_id.is_(None)
    )
    return session.scalars(query).one()


def take_new(session: Session, subnet_id: str, address: str, port_id: str, position: int) -> bool:
    """Write an address that has no row; False if another port wrote it first."""
    row = FixedAddress(subnet_id=subnet_id, address=address, port_id=port_id, position=position)
    return added(session, row)


def take_rested(
    session: Session, subnet_id: str, address: str, port_id: str, position: int
) -> bool:
    """Take over an address that was given back; False if another port was faster."""
    changed = session.execute(
        update(FixedAddress)
        .where(
            FixedAddress.subnet_id == subnet_id,
            FixedAddress.address == address,
            FixedAddress.port_id.is_(None),
        )
        .values(port_id=port_id, position=position, released_at=None)
        .execution_options(synchronize_session=False)
    )
    return cast("CursorResult[Any]", changed).rowcount == 1


def forget(session: Session, subnet_id: str, among: Sequence[str]) -> None:
    """Remove the rows of addresses that were given back."""
    session.execute(
        delete(FixedAddress)
        .where(
            FixedAddress.subnet_id == subnet_id,
            FixedAddress.address.in_(among),
            FixedAddress.port_id.is_(None),
        )
        .execution_options(synchronize_session=False)
    )


def give_back(
    session: Session, port_ids: Sequence[str], one: tuple[str, str] | None = None
) -> None:
    """Take the ports' addresses from them, all or one (subnet's id, address): from now on they
    rest."""
    session.flush()
    change = update(FixedAddress).where(FixedAddress.port_id.in_(port_ids))
    if one is not None:
        change = change.where(FixedAddress.subnet_id == one[0], FixedAddress.address == one[1])
    session.execute(
        change.values(port_id=None, released_at=now()).execution_options(synchronize_session=False)
    )


def ports_of(session: Session, server_id: str) -> list[Port]:
    """Return the server's ports in the order of its interfaces."""
    query = select(Port).where(Port.server_id == server_id).order_by(Port.position)
    return list(session.scalars(query))


def remove_ports(session: Session, server_id: str) -> None:
    """Remove the ports that were made for the server: their addresses rest. Those that its owner
    made are free for another one."""
    # Ports before their floating IPs, as whoever changes one of these.
    ports = lock_ports(session, server_id)
    delete_ports(session, [port.id for port in ports if not port.is_owners])
    left = [port.id for port in ports if port.is_owners]
    routers.tell_anew(session, FloatingIp.port_id.in_(left))
    session.execute(
        update(Port)
        .where(Port.server_id == server_id)
        .values(server_id=None, position=0, seen_at=None, revision=Port.revision + 1)
    )


def let_go(session: Session, server_id: str, port_id: str) -> None:
    """Take one port from the server: it is removed, or free for another one. Absent is done."""
    port = session.get(Port, port_id, with_for_update={"key_share": True})
    if port is None or port.server_id != server_id:
        return
    if port.is_owners:
        port.server_id, port.position, port.seen_at = None, 0, None
        port.revision += 1
    else:
        delete_ports(session, [port_id])


def delete_ports(session: Session, port_ids: Sequence[str]) -> None:
    """Remove ports: their addresses rest."""
    if not port_ids:
        return
    routers.let_go(session, port_ids)
    give_back(session, port_ids)
    session.execute(delete(Port).where(Port.id.in_(port_ids)))


def networks(session: Session, network_ids: Collection[str]) -> list[Network]:
    """Return the networks with these ids and their subnets, in no order."""
    query = select(Network).where(Network.id.in_(network_ids))
    return list(session.scalars(query.options(selectinload(Network.subnets))))


def subnets_of(session: Session, subnet_ids: Collection[str]) -> list[Subnet]:
    """Return the subnets with these ids and their networks, in no order."""
    query = select(Subnet).where(Subnet.id.in_(subnet_ids)).options(joinedload(Subnet.network))
    return list(session.scalars(query))


def lock_ports(session: Session, server_id: str) -> list[Port]:
    """Return the server's ports, locked in the order of their ids."""
    query = select(Port).where(Port.server_id == server_id).order_by(Port.id)
    return list(session.scalars(query.with_for_update(key_share=True)))
