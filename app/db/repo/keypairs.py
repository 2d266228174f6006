"""Queries on keypairs."""

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.db.models import Keypair
from app.db.repo.paging import Key, Page, page


def get(session: Session, user_id: str, name: str) -> Keypair | None:
    """Return the user's keypair of this name, or None."""
    query = select(Keypair).where(Keypair.user_id == user_id, Keypair.name == name)
    return session.scalars(query).one_or_none()


def listed(session: Session, user_id: str, part: Page) -> list[Keypair]:
    """Return a page of the user's keypairs, by name; the marker is a name too."""
    query = select(Keypair).where(Keypair.user_id == user_id)
    order = [Key(Keypair.name, descending=False)]
    return list(session.scalars(page(session, query, order, part.marker, part.limit)))


def count(session: Session, user_id: str) -> int:
    """Return how many keypairs the user has."""
    return session.scalar(select(func.count()).select_from(Keypair).filter_by(user_id=user_id)) or 0


def remove(session: Session, keypair: Keypair) -> None:
    """Remove a keypair. Servers keep the public key that they were made with."""
    session.execute(delete(Keypair).where(Keypair.id == keypair.id))
