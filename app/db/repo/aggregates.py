"""Queries on host aggregates."""

from collections.abc import Collection, Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db.models import Aggregate, AggregateHost, Hypervisor


def listed(session: Session) -> Sequence[Aggregate]:
    """Return all aggregates, oldest first."""
    return session.scalars(select(Aggregate).order_by(Aggregate.number)).all()


def by_number(session: Session, number: int) -> Aggregate | None:
    """Return the aggregate with this number, or None."""
    return session.scalars(select(Aggregate).filter_by(number=number)).one_or_none()


def lock(session: Session, number: int) -> Aggregate | None:
    """Return the aggregate with this number, locked until the commit, or None."""
    query = select(Aggregate).filter_by(number=number).with_for_update()
    return session.scalars(query.execution_options(populate_existing=True)).one_or_none()


def next_number(session: Session) -> int:
    """Return the number after the highest."""
    return (session.scalar(select(func.max(Aggregate.number))) or 0) + 1


def is_taken(session: Session, name: str) -> bool:
    """Say whether an aggregate has this name."""
    return session.scalar(select(Aggregate.id).filter_by(name=name)) is not None


def hosts(session: Session, aggregate_ids: Collection[str]) -> dict[str, list[str]]:
    """Return the names of the aggregates' hosts."""
    query = (
        select(AggregateHost.aggregate_id, Hypervisor.name)
        .join(Hypervisor, Hypervisor.id == AggregateHost.hypervisor_id)
        .where(AggregateHost.aggregate_id.in_(aggregate_ids))
        .order_by(Hypervisor.number)
    )
    found: dict[str, list[str]] = {aggregate_id: [] for aggregate_id in aggregate_ids}
    for aggregate_id, name in session.execute(query):
        found[aggregate_id].append(name)
    return found


def lock_hosts(session: Session, aggregate_id: str) -> Sequence[Hypervisor]:
    """Return the aggregate's hosts, locked until the commit: nobody claims room on them
    meanwhile."""
    there = select(AggregateHost.hypervisor_id).filter_by(aggregate_id=aggregate_id)
    query = select(Hypervisor).where(Hypervisor.id.in_(there)).order_by(Hypervisor.id)
    query = query.with_for_update().execution_options(populate_existing=True)
    return session.scalars(query).all()


def zones_of(session: Session, hypervisor_id: str) -> list[str]:
    """Return the zones that its aggregates give a host, each once."""
    query = (
        select(Aggregate.availability_zone)
        .join(AggregateHost, AggregateHost.aggregate_id == Aggregate.id)
        .where(
            AggregateHost.hypervisor_id == hypervisor_id, Aggregate.availability_zone.is_not(None)
        )
        .distinct()
    )
    return [zone for zone in session.scalars(query) if zone is not None]
