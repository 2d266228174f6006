"""Queries on hypervisors, except claims."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import CursorResult, delete, func, select, update
from sqlalchemy.orm import Session

from app.db.models import (
    AggregateHost,
    Allocation,
    CachedImage,
    Drift,
    Hypervisor,
    Migration,
    Run,
    Server,
)


def update_seen(session: Session, name: str, facts: Mapping[str, Any]) -> bool:
    """Write what a host reported; False if there is no such host yet."""
    result = session.execute(update(Hypervisor).where(Hypervisor.name == name).values(**facts))
    return cast("CursorResult[Any]", result).rowcount == 1


def next_number(session: Session) -> int:
    """Return the number after the highest."""
    return (session.scalar(select(func.max(Hypervisor.number))) or 0) + 1


def listed(session: Session) -> list[Hypervisor]:
    """Return all hosts in the order in which they registered."""
    return list(session.scalars(select(Hypervisor).order_by(Hypervisor.number)))


def by_number(session: Session, number: int) -> Hypervisor | None:
    """Return the host with this number, or None."""
    return session.scalars(select(Hypervisor).filter_by(number=number)).one_or_none()


def by_name(session: Session, name: str) -> Hypervisor | None:
    """Return the host of this name, or None."""
    return session.scalars(select(Hypervisor).filter_by(name=name)).one_or_none()


def lock_named(session: Session, name: str) -> Hypervisor | None:
    """Return the host of this name, locked until the commit, or None: nobody claims room on it
    meanwhile."""
    query = select(Hypervisor).where(Hypervisor.name == name).with_for_update()
    return session.scalars(query.execution_options(populate_existing=True)).one_or_none()


def zones(session: Session) -> set[str | None]:
    """Return the zones in which there are hosts; None is that of hosts whose aggregates give them
    none."""
    return set(session.scalars(select(Hypervisor.availability_zone).distinct()))


def has_servers(session: Session, hypervisor_id: str) -> bool:
    """Say whether a server is on this host, or on its way there."""
    query = select(Server.id).where(
        Server.hypervisor_id == hypervisor_id, Server.deleted_at.is_(None)
    )
    return session.scalar(query.limit(1)) is not None


def servers_on(session: Session, hypervisor_ids: Sequence[str]) -> dict[str, int]:
    """Return how many servers hold a claim on each of these hosts."""
    query = select(Allocation.hypervisor_id, func.count()).where(
        Allocation.hypervisor_id.in_(hypervisor_ids)
    )
    rows = session.execute(query.group_by(Allocation.hypervisor_id))
    return {host: int(count) for host, count in rows}


def servers_there(session: Session, hypervisor_id: str) -> list[Server]:
    """Return the servers that are on this host, locked."""
    query = select(Server).where(Server.hypervisor_id == hypervisor_id, Server.deleted_at.is_(None))
    return list(session.scalars(query.order_by(Server.id).with_for_update()))


def servers_of(session: Session, hypervisor_ids: Collection[str]) -> dict[str, list[str]]:
    """Return the ids of the servers that are on each of these hosts, oldest first."""
    query = (
        select(Server.hypervisor_id, Server.id)
        .where(Server.hypervisor_id.in_(hypervisor_ids), Server.deleted_at.is_(None))
        .order_by(Server.created_at, Server.id)
    )
    found: dict[str, list[str]] = {}
    for hypervisor_id, server_id in session.execute(query):
        found.setdefault(str(hypervisor_id), []).append(server_id)
    return found


@dataclass(frozen=True)
class Held:
    """What a project's servers hold of a host."""

    project_id: str
    vcpus: int
    memory_mib: int
    disk_gib: int


def held(session: Session, hypervisor_id: str) -> list[Held]:
    """Return what each project holds of a host."""
    sums = (
        func.sum(Allocation.vcpus + Allocation.dedicated_vcpus),
        func.sum(Allocation.memory_mib),
        func.sum(Allocation.disk_gib),
    )
    query = (
        select(Server.project_id, *sums)
        .join(Server, Server.id == Allocation.server_id)
        .where(Allocation.hypervisor_id == hypervisor_id)
        .group_by(Server.project_id)
        .order_by(Server.project_id)
    )
    return [Held(project, *map(int, found)) for project, *found in session.execute(query)]


def remove(session: Session, host: Hypervisor) -> None:
    """Remove a host on which nothing is held any more; history keeps its name."""
    session.flush()
    for kind in (Run, Server):
        session.execute(
            update(kind).where(kind.hypervisor_id == host.id).values(hypervisor_id=None)
        )
    for end in (Migration.source_id, Migration.dest_id):
        session.execute(update(Migration).where(end == host.id).values({end: None}))
    for kept in (Drift, CachedImage, AggregateHost):
        session.execute(delete(kept).where(kept.hypervisor_id == host.id))
    session.delete(host)
