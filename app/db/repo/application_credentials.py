"""Queries on application credentials."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db.models import ApplicationCredential


def get(session: Session, credential_id: str) -> ApplicationCredential | None:
    """Return the credential, or None."""
    return session.get(ApplicationCredential, credential_id)


def named(session: Session, user_id: str, name: str) -> ApplicationCredential | None:
    """Return the user's credential of this name, or None."""
    query = select(ApplicationCredential).filter_by(user_id=user_id, name=name)
    return session.scalars(query).one_or_none()


def listed(session: Session, user_id: str, name: str | None) -> list[ApplicationCredential]:
    """Return the user's credentials, by name."""
    query = select(ApplicationCredential).filter_by(user_id=user_id)
    if name is not None:
        query = query.where(ApplicationCredential.name == name)
    return list(session.scalars(query.order_by(ApplicationCredential.name)))


def count(session: Session, user_id: str) -> int:
    """Return how many credentials the user has."""
    query = select(func.count()).select_from(ApplicationCredential).filter_by(user_id=user_id)
    return session.scalar(query) or 0
