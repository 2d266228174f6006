"""What hosts answer, of consoles and else, on its way to whoever asked; who may open a console."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text
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


class ConsoleToken(Base):
    """A visit to a server's console, for whoever brings the token: it can begin once, before
    `expires_at`, and lasts for as long as its user has a right to it. The row goes with it."""

    __tablename__ = "console_tokens"
    __table_args__ = (Index("ix_console_tokens_expires_at", "expires_at"),)

    #: SHA-256 of the token, which is not kept.
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    server_id: Mapped[str] = mapped_column(ForeignKey("servers.id", ondelete="CASCADE"), index=True)
    #: Who asked for it, in which project.
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    #: Where the server was then. Elsewhere, nobody lets the bearer in.
    hypervisor_id: Mapped[str] = mapped_column(ForeignKey("hypervisors.id", ondelete="CASCADE"))
    #: `vnc` or `serial`
    kind: Mapped[str] = mapped_column(String(8))
    #: The host's gate, and the SHA-256 of its certificate.
    address: Mapped[str] = mapped_column(String(255))
    port: Mapped[int]
    certificate: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None] = mapped_column(default=None)
    #: When its proxy last said that the visit lasts.
    seen_at: Mapped[datetime | None] = mapped_column(default=None)
