"""Queries on networks, subnets and ports, as owners see them."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session, joinedload, selectinload

from app.db.models import Network, Port, Subnet


def _visible(query: Select[Network], project_id: str | None) -> Select[Network]:
    if project_id is None:
        return query
    return query.where(or_(Network.shared.is_(True), Network.project_id == project_id))


def networks(session: Session, project_id: str | None) -> list[Network]:
    """Return the networks that a project may use (None: all), with their subnets, by age."""
    query = _visible(select(Network), project_id).options(selectinload(Network.subnets))
    return list(session.scalars(query.order_by(Network.created_at, Network.id)))


def usable_ids(session: Session, project_id: str, among: Sequence[str] | None) -> list[str]:
    """Return ids of the networks that the project may put servers on; of those given, or all."""
    query = _visible(select(Network), project_id)
    if among is not None:
        query = query.where(Network.id.in_(among))
    return list(session.scalars(query.with_only_columns(Network.id)))


def by_name(session: Session, name: str) -> Network | None:
    """Return the oldest network of this name, or None."""
    query = select(Network).where(Network.name == name).order_by(Network.created_at, Network.id)
    return session.scalars(query.limit(1)).one_or_none()


def subnets(session: Session, project_id: str | None) -> list[Subnet]:
    """Return the subnets of the networks that a project sees (None: all), by age."""
    query = select(Subnet).options(joinedload(Subnet.network))
    if project_id is not None:
        ids = _visible(select(Network), project_id).with_only_columns(Network.id)
        query = query.where(Subnet.network_id.in_(ids))
    return list(session.scalars(query.order_by(Subnet.created_at, Subnet.id)))


def ports(
    session: Session, project_id: str | None, facts: Mapping[str, Sequence[str]]
) -> list[Port]:
    """Return a project's ports (None: all), by age, with facts: column -> values."""
    query = select(Port).options(joinedload(Port.network))
    if project_id is not None:
        query = query.where(Port.project_id == project_id)
    for name, values in facts.items():
        query = query.where(getattr(Port, name).in_(values))
    return list(session.scalars(query.order_by(Port.created_at, Port.id)))
