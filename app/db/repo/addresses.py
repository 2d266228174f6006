"""Queries on subnets and ports for handing out addresses."""

from collections.abc import Sequence

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.db.models import Network, Port, Subnet


def lock_subnet(session: Session, network_id: str) -> Subnet | None:
    """Return the network's first subnet, locked until the transaction ends, or None."""
    query = select(Subnet).where(Subnet.network_id == network_id).order_by(Subnet.created_at)
    return session.scalars(query.limit(1).with_for_update()).one_or_none()


def taken(session: Session, subnet_id: str, among: Sequence[str] | None = None) -> set[str]:
    """Return the addresses of the subnet that ports hold; of those given, or all."""
    query = select(Port.address).where(Port.subnet_id == subnet_id)
    if among is not None:
        query = query.where(Port.address.in_(among))
    return set(session.scalars(query))


def ports_of(session: Session, server_id: str) -> list[Port]:
    """Return the server's ports in the order of its interfaces."""
    query = select(Port).where(Port.server_id == server_id).order_by(Port.position)
    return list(session.scalars(query))


def remove_ports(session: Session, server_id: str) -> None:
    """Remove the server's ports: their addresses are free."""
    session.execute(delete(Port).where(Port.server_id == server_id))


def networks(session: Session, network_ids: Sequence[str]) -> list[Network]:
    """Return the networks with these ids, in no order."""
    return list(session.scalars(select(Network).where(Network.id.in_(network_ids))))
