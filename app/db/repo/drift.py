"""Queries on what a host should have, and on what was found there without an owner."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    Subquery,
    and_,
    case,
    delete,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session, selectinload

from app.db.models import Allocation, Drift, Fault, Hypervisor, Port, Run, Server
from app.db.repo.runs import OPEN
from tasks.pipelines import PLACING


@dataclass(frozen=True)
class Resident:
    """A server that is on the host, as far as drift is concerned."""

    id: str
    status: str
    power_state: int
    updated_at: datetime | None
    #: Code word of its fault; none without one.
    fault: str | None
    #: Whether a run of it has work before it, and when the last one ended.
    busy: bool
    run_ended_at: datetime | None


@dataclass(frozen=True)
class OpenRun:
    """A run that has work before it: on the host, or a create that has no host yet."""

    server_id: str
    placed: bool
    ports: list[dict[str, Any]]


@dataclass(frozen=True)
class Interface:
    """A server's port."""

    id: str
    mac: str
    server_id: str | None


def host_id(session: Session, name: str) -> str | None:
    """Return the id of the host of this name, or None."""
    return session.scalar(select(Hypervisor.id).where(Hypervisor.name == name))


def rows_of(session: Session, hypervisor_id: str) -> list[Drift]:
    """Return all drift of the host."""
    return list(session.scalars(select(Drift).where(Drift.hypervisor_id == hypervisor_id)))


def holders(session: Session, hypervisor_id: str) -> set[str]:
    """Return ids of the servers that hold room on the host."""
    query = select(Allocation.server_id).where(Allocation.hypervisor_id == hypervisor_id)
    return set(session.scalars(query))


def residents(session: Session, hypervisor_id: str) -> list[Resident]:
    """Return the servers that are on the host."""
    return _residents(session, Server.hypervisor_id == hypervisor_id)


def lock_residents(
    session: Session, hypervisor_id: str, server_ids: Collection[str]
) -> list[tuple[Server, Resident]]:
    """Return those of these servers that are on the host, locked until the transaction ends, and
    what is true of them now that nobody else can begin a run."""
    there = and_(Server.id.in_(server_ids), Server.hypervisor_id == hypervisor_id)
    query = select(Server).where(there, Server.deleted_at.is_(None)).order_by(Server.id)
    query = query.options(selectinload(Server.fault)).with_for_update()
    rows = {row.id: row for row in session.scalars(query)}
    if not rows:
        return []
    known = _residents(session, Server.id.in_(list(rows)))
    return [(rows[resident.id], resident) for resident in known]


def _residents(session: Session, condition: ColumnElement[bool]) -> list[Resident]:
    work = _work(select(Server.id).where(condition))
    query = (
        select(
            Server.id,
            Server.status,
            Server.power_state,
            Server.updated_at,
            Fault.reason,
            func.coalesce(work.c.open_runs, 0) > 0,
            work.c.ended_at,
        )
        .join(Fault, Fault.server_id == Server.id, isouter=True)
        .join(work, work.c.server_id == Server.id, isouter=True)
        .where(condition, Server.deleted_at.is_(None))
        .order_by(Server.id)
    )
    return [Resident(*row) for row in session.execute(query)]


def _work(server_ids: Select[str]) -> Subquery:
    """Of each server: how many runs have work before them, and when the last one ended."""
    is_open = case((Run.state == OPEN, 1), else_=0)
    return (
        select(
            Run.server_id,
            func.sum(is_open).label("open_runs"),
            func.max(Run.finished_at).label("ended_at"),
        )
        .where(Run.server_id.in_(server_ids))
        .group_by(Run.server_id)
        .subquery()
    )


def open_runs(session: Session, hypervisor_id: str) -> list[OpenRun]:
    """Return the open runs on the host, and those that look for one: who made what they find may be
    an attempt of theirs."""
    unplaced = and_(Run.pipeline.in_(PLACING), Run.hypervisor_id.is_(None))
    query = select(Run.server_id, Run.hypervisor_id, Run.ports).where(
        Run.state == OPEN, or_(Run.hypervisor_id == hypervisor_id, unplaced)
    )
    return [
        OpenRun(server_id, placed=host is not None, ports=ports or [])
        for server_id, host, ports in session.execute(query)
    ]


def interfaces(session: Session, hypervisor_id: str) -> list[Interface]:
    """Return the ports of servers that are on the host, or may be by `open_runs`."""
    there = select(Server.id).where(
        Server.hypervisor_id == hypervisor_id, Server.deleted_at.is_(None)
    )
    unplaced = and_(Run.pipeline.in_(PLACING), Run.hypervisor_id.is_(None))
    worked = select(Run.server_id).where(
        Run.state == OPEN, or_(Run.hypervisor_id == hypervisor_id, unplaced)
    )
    query = select(Port.id, Port.mac, Port.server_id).where(
        or_(Port.server_id.in_(there), Port.server_id.in_(worked))
    )
    return [Interface(*row) for row in session.execute(query)]


# --- writes --------------------------------------------------------------------------------------


def note_seen(session: Session, ids: Collection[str], moment: datetime) -> None:
    """Note that these were seen again."""
    if ids:
        _change(session, ids, {"last_seen_at": moment})


def put_into(session: Session, ids: Collection[str], state: str, moment: datetime) -> None:
    """Put these into another state."""
    if ids:
        _change(session, ids, {"state": state, "changed_at": moment})


def remove(session: Session, ids: Collection[str]) -> None:
    """Remove these: they are settled."""
    if ids:
        session.execute(
            delete(Drift).where(Drift.id.in_(ids)).execution_options(synchronize_session=False)
        )


def note_surveyed(session: Session, hypervisor_id: str, moment: datetime) -> None:
    """Note that the host was looked through."""
    session.execute(
        update(Hypervisor)
        .where(Hypervisor.id == hypervisor_id)
        .values(surveyed_at=moment)
        .execution_options(synchronize_session=False)
    )


def _change(session: Session, ids: Collection[str], facts: Mapping[str, Any]) -> None:
    session.execute(
        update(Drift)
        .where(Drift.id.in_(ids))
        .values(**facts)
        .execution_options(synchronize_session=False)
    )


# --- for operators -------------------------------------------------------------------------------


def listed(session: Session, facts: Mapping[str, str], host: str | None) -> list[tuple[Drift, str]]:
    """Return drift with its host's name, the oldest first. `facts`: column -> what it must be."""
    query = select(Drift, Hypervisor.name).join(Hypervisor, Hypervisor.id == Drift.hypervisor_id)
    query = query.where(*(getattr(Drift, name) == value for name, value in facts.items()))
    if host is not None:
        query = query.where(Hypervisor.name == host)
    query = query.order_by(Drift.first_seen_at, Hypervisor.number, Drift.kind, Drift.name)
    return [(row, name) for row, name in session.execute(query)]


def hosts(session: Session, name: str | None) -> list[Hypervisor]:
    """Return the host of this name, or all."""
    query = select(Hypervisor).order_by(Hypervisor.number)
    if name is not None:
        query = query.where(Hypervisor.name == name)
    return list(session.scalars(query))
