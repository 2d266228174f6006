"""What servers' consoles said, on its way from the host to whoever asked."""

from datetime import datetime

from sqlalchemy import Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.models.base import Base, now


class ConsoleAnswer(Base):
    """The answer to one question. It is removed when it is read, and soon if nobody reads it: a
    guest may write secrets to its console."""

    __tablename__ = "console_answers"
    __table_args__ = (Index("ix_console_answers_created_at", "created_at"),)

    question: Mapped[str] = mapped_column(String(36), primary_key=True)
    text: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=now)
