"""Queries on users, projects, roles and tokens."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, select
from sqlalchemy.orm import Session

from app.db.models import Project, RoleAssignment, Token, User

#: Expired tokens removed with each new one: enough to keep the table from growing.
EXPIRED_BATCH = 100


def user_by_id(session: Session, user_id: str) -> User | None:
    """Return the user, or None."""
    return session.get(User, user_id)


def user_by_name(session: Session, name: str) -> User | None:
    """Return the user, or None."""
    return session.scalars(select(User).where(User.name == name)).one_or_none()


def project_by_id(session: Session, project_id: str) -> Project | None:
    """Return the project, or None."""
    return session.get(Project, project_id)


def project_by_name(session: Session, name: str) -> Project | None:
    """Return the project, or None."""
    return session.scalars(select(Project).where(Project.name == name)).one_or_none()


def projects_of(session: Session, user_id: str) -> list[Project]:
    """Return the enabled projects in which the user has a role, by name."""
    of_user = select(RoleAssignment.project_id).where(RoleAssignment.user_id == user_id)
    query = select(Project).where(Project.id.in_(of_user), Project.enabled.is_(True))
    return list(session.scalars(query.order_by(Project.name)))


def roles_in(session: Session, user_id: str, project_id: str) -> list[str]:
    """Return the roles that were given to the user in the project."""
    query = select(RoleAssignment.role).where(
        RoleAssignment.user_id == user_id, RoleAssignment.project_id == project_id
    )
    return sorted(session.scalars(query))


def token_rows(session: Session, digest: str, moment: datetime) -> Sequence[Row[*tuple[Any, ...]]]:
    """Return what an unexpired token stands for, one row a role: one query, for it is asked with
    every request."""
    query = (
        select(
            Token.audit_id,
            Token.issued_at,
            Token.expires_at,
            User.id.label("user_id"),
            User.name.label("user_name"),
            User.enabled.label("user_enabled"),
            Token.project_id,
            Project.name.label("project_name"),
            Project.enabled.label("project_enabled"),
            RoleAssignment.role,
        )
        .join(User, User.id == Token.user_id)
        .outerjoin(Project, Project.id == Token.project_id)
        .outerjoin(
            RoleAssignment,
            (RoleAssignment.user_id == Token.user_id)
            & (RoleAssignment.project_id == Token.project_id),
        )
        .where(Token.digest == digest, Token.expires_at > moment)
    )
    return session.execute(query).all()


def remove_token(session: Session, digest: str) -> None:
    """Remove a token: from now on it is unknown."""
    session.execute(delete(Token).where(Token.digest == digest))


def remove_expired(session: Session, moment: datetime) -> None:
    """Remove some expired tokens; those that another process is removing are left to it."""
    expired = (
        select(Token.digest)
        .where(Token.expires_at <= moment)
        .order_by(Token.digest)
        .limit(EXPIRED_BATCH)
        .with_for_update(skip_locked=True)
    )
    session.execute(
        delete(Token).where(Token.digest.in_(expired)),
        execution_options={"synchronize_session": False},
    )
