"""Queries on what servers' consoles said."""

from datetime import datetime

from sqlalchemy import delete, exists, select
from sqlalchemy.orm import Session

from app.db.models import ConsoleAnswer


def is_there(session: Session, question: str) -> bool:
    """Say whether the question was answered."""
    return bool(session.scalar(select(exists().where(ConsoleAnswer.question == question))))


def take(session: Session, question: str) -> str | None:
    """Remove the answer and return it, or None."""
    row = session.get(ConsoleAnswer, question)
    if row is None:
        return None
    session.delete(row)
    return row.text


def prune(session: Session, before: datetime) -> None:
    """Remove answers that nobody came for."""
    session.execute(delete(ConsoleAnswer).where(ConsoleAnswer.created_at < before))
