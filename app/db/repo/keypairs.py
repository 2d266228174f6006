"""Queries on keypairs."""

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.db.models import Keypair


def get(session: Session, user_id: str, name: str) -> Keypair | None:
    """Return the user's keypair of this name, or None."""
    query = select(Keypair).where(Keypair.user_id == user_id, Keypair.name == name)
    return session.scalars(query).one_or_none()


def listed(session: Session, user_id: str) -> list[Keypair]:
    """Return the user's keypairs, by name."""
    query = select(Keypair).where(Keypair.user_id == user_id).order_by(Keypair.name)
    return list(session.scalars(query))


def count(session: Session, user_id: str) -> int:
    """Return how many keypairs the user has."""
    return session.scalar(select(func.count()).select_from(Keypair).filter_by(user_id=user_id)) or 0


def remove(session: Session, keypair: Keypair) -> None:
    """Remove a keypair. Servers keep the public key that they were made with."""
    session.execute(delete(Keypair).where(Keypair.id == keypair.id))
