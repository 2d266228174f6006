"""Queries on visits to servers' consoles."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from app.db.models import ConsoleToken, Project, RoleAssignment, Server, User


def use(session: Session, digest: str, moment: datetime) -> bool:
    """Begin the visit, unless it has begun before or its time is over."""
    done = session.execute(
        update(ConsoleToken)
        .where(
            ConsoleToken.digest == digest,
            ConsoleToken.used_at.is_(None),
            ConsoleToken.expires_at > moment,
        )
        .values(used_at=moment, seen_at=moment)
    )
    return bool(done.rowcount)  # type: ignore[attr-defined]


def rightful(session: Session, digests: Collection[str]) -> Sequence[tuple[ConsoleToken, str]]:
    """Return those of the visits whose server is where it was and is to stay, and whose user still
    has a role in the project; with each such role, one row a role."""
    query = (
        select(ConsoleToken, RoleAssignment.role)
        .join(Server, Server.id == ConsoleToken.server_id)
        .join(User, User.id == ConsoleToken.user_id)
        .join(Project, Project.id == ConsoleToken.project_id)
        .join(
            RoleAssignment,
            (RoleAssignment.user_id == ConsoleToken.user_id)
            & (RoleAssignment.project_id == ConsoleToken.project_id),
        )
        .where(
            ConsoleToken.digest.in_(digests),
            Server.hypervisor_id == ConsoleToken.hypervisor_id,
            Server.deleted_at.is_(None),
            Server.delete_requested_at.is_(None),
            User.enabled,
            Project.enabled,
        )
    )
    return [(row, role) for row, role in session.execute(query)]


def unexpired(session: Session, digest: str, moment: datetime) -> ConsoleToken | None:
    """Return the visit that has not begun."""
    return session.scalars(
        select(ConsoleToken).where(
            ConsoleToken.digest == digest,
            ConsoleToken.used_at.is_(None),
            ConsoleToken.expires_at > moment,
        )
    ).one_or_none()


def note_seen(session: Session, digests: Collection[str], moment: datetime) -> None:
    """Note that these visits last."""
    session.execute(
        update(ConsoleToken).where(ConsoleToken.digest.in_(digests)).values(seen_at=moment),
        execution_options={"synchronize_session": False},
    )


def remove(session: Session, digest: str) -> None:
    """Remove a visit that is over."""
    session.execute(delete(ConsoleToken).where(ConsoleToken.digest == digest))


def remove_of_server(session: Session, server_id: str) -> None:
    """Remove all of a server's."""
    session.execute(delete(ConsoleToken).where(ConsoleToken.server_id == server_id))


def prune(session: Session, moment: datetime, seen_since: datetime) -> None:
    """Remove those that nobody came for in time, and those whose proxy is gone."""
    session.execute(
        delete(ConsoleToken).where(
            ConsoleToken.expires_at <= moment,
            or_(ConsoleToken.used_at.is_(None), ConsoleToken.seen_at <= seen_since),
        ),
        execution_options={"synchronize_session": False},
    )


def open_by_kind(session: Session, seen_since: datetime) -> dict[str, int]:
    """Return how many consoles of each kind are open."""
    query = select(ConsoleToken.kind, func.count()).where(ConsoleToken.seen_at > seen_since)
    return {kind: int(count) for kind, count in session.execute(query.group_by(ConsoleToken.kind))}
