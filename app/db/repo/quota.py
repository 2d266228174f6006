"""What a project uses, counted from its live rows: a counter could leak, this cannot."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db.models import Project, Server
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


def usage(session: Session, project_id: str) -> Usage:
    """Count what the project's servers hold."""
    query = select(
        func.count(),
        func.coalesce(func.sum(Server.vcpus), 0),
        func.coalesce(func.sum(Server.memory_mib), 0),
    ).where(Server.project_id == project_id, Server.deleted_at.is_(None))
    servers, vcpus, memory_mib = session.execute(query).one()
    return Usage(servers, int(vcpus), int(memory_mib))
