"""Queries on tokens, and on logins that failed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, func, or_, select
from sqlalchemy.orm import Session

from app.db.models import ApplicationCredential, FailedLogin, Project, RoleAssignment, Token, User

#: Expired tokens removed with each new one: enough to keep the table from growing.
EXPIRED_BATCH = 100


def rows(session: Session, digest: str, moment: datetime) -> Sequence[Row[*tuple[Any, ...]]]:
    """Return what an unexpired token stands for, one row a role: one query, for it is asked with
    every request."""
    query = (
        select(
            Token.audit_id,
            Token.first_audit_id,
            Token.methods,
            Token.issued_at,
            Token.expires_at,
            User.id.label("user_id"),
            User.name.label("user_name"),
            User.enabled.label("user_enabled"),
            Token.project_id,
            Project.name.label("project_name"),
            Project.enabled.label("project_enabled"),
            RoleAssignment.role,
            ApplicationCredential.id.label("credential_id"),
            ApplicationCredential.name.label("credential_name"),
            ApplicationCredential.roles.label("credential_roles"),
            ApplicationCredential.unrestricted.label("credential_unrestricted"),
        )
        .join(User, User.id == Token.user_id)
        .outerjoin(Project, Project.id == Token.project_id)
        .outerjoin(
            RoleAssignment,
            (RoleAssignment.user_id == Token.user_id)
            & (RoleAssignment.project_id == Token.project_id),
        )
        .outerjoin(
            ApplicationCredential, ApplicationCredential.id == Token.application_credential_id
        )
        .where(Token.digest == digest, Token.expires_at > moment)
    )
    return session.execute(query).all()


def remove(session: Session, digest: str) -> None:
    """Remove a token: from now on it is unknown."""
    session.execute(delete(Token).where(Token.digest == digest))


def remove_of_user(session: Session, user_id: str) -> None:
    """Remove all of a user's tokens."""
    session.execute(delete(Token).where(Token.user_id == user_id))


def remove_of_project(session: Session, project_id: str) -> None:
    """Remove all tokens for a project."""
    session.execute(delete(Token).where(Token.project_id == project_id))


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


def failures(session: Session, who: str, address: str, since: datetime) -> tuple[int, int, int]:
    """Return how often a login failed since then: for this name, from this address, and for this
    name from this address."""
    is_who, is_there = FailedLogin.who == who, FailedLogin.address == address
    query = select(
        func.count().filter(is_who),
        func.count().filter(is_there),
        func.count().filter(is_who, is_there),
    ).where(or_(is_who, is_there), FailedLogin.at > since)
    named, there, both = session.execute(query).one()
    return named, there, both


def forget_failures(session: Session, who: str) -> None:
    """Let the failed logins of this name count no more."""
    session.execute(delete(FailedLogin).where(FailedLogin.who == who))


def forget_failures_before(session: Session, moment: datetime) -> None:
    """Remove failed logins that count no more."""
    session.execute(delete(FailedLogin).where(FailedLogin.at <= moment))
