"""What a project uses, counted from its live rows: a counter could leak, this cannot."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, select
from sqlalchemy.orm import Session

from app.db.models import Migration, Project, QuotaDefault, Server
from tasks.errors import NotFound


@dataclass(frozen=True)
class Usage:
    """What the project's servers hold, those in ERROR included."""

    servers: int
    vcpus: int
    memory_mib: int


def lock_project(session: Session, project_id: str) -> Project:
    """Return the project, locked, so that what is counted stays true until the commit. The lock
    is the one that lets others write rows which refer to the project. Raises NotFound, for one
    that was deleted while its member's request was under way too."""
    query = select(Project).where(Project.id == project_id).with_for_update(key_share=True)
    # What this session has read of it before may be older than the lock.
    query = query.execution_options(populate_existing=True)
    project = session.scalars(query).one_or_none()
    if project is None or project.deleted_at is not None:
        raise NotFound(f"Project {project_id} could not be found.")
    return project


def lock_all(session: Session) -> Sequence[Project]:
    """Return all projects that are not deleted, locked as by `lock_project`."""
    query = select(Project).where(Project.deleted_at.is_(None)).order_by(Project.id)
    query = query.with_for_update(key_share=True)
    return session.scalars(query.execution_options(populate_existing=True)).all()


def defaults(session: Session) -> dict[str, int]:
    """Return the limits, by resource, that were set for projects without their own."""
    return {row.resource: row.limit for row in session.scalars(select(QuotaDefault))}


def usage(session: Session, project_id: str) -> Usage:
    """Count what the project's servers hold. One that is being resized holds the larger one of both
    sizes, until it can be taken back no more."""
    query = (
        select(
            func.count(),
            func.coalesce(func.sum(_larger(Server.vcpus, Migration.vcpus_held)), 0),
            func.coalesce(func.sum(_larger(Server.memory_mib, Migration.memory_mib_held)), 0),
        )
        .select_from(Server)
        .join(
            Migration,
            and_(Migration.server_id == Server.id, Migration.settled_at.is_(None)),
            isouter=True,
        )
        .where(Server.project_id == project_id, Server.deleted_at.is_(None))
    )
    servers, vcpus, memory_mib = session.execute(query).one()
    return Usage(servers, int(vcpus), int(memory_mib))


def _larger(one: Any, other: Any) -> ColumnElement[int]:
    return case((other > one, other), else_=one)
