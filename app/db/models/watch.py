"""What the sweep knows of itself, and what was found on hosts that nobody owns."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db.models.base import Base, HasId


class Watch(Base):
    """One row: since when the sweep has been watching without a gap.

    A control plane that was away itself must not take its own silence for that of its hosts: a
    host's silence counts from `since` at the earliest.
    """

    __tablename__ = "watch"

    id: Mapped[int] = mapped_column(primary_key=True, default=1)
    since: Mapped[datetime]
    last_at: Mapped[datetime]
    #: The canary through the control queue that was answered last, by when it was sent: every
    #: report sent before then has been taken in, or is lost.
    canary_answered_at: Mapped[datetime | None] = mapped_column(default=None)


class Drift(HasId, Base):
    """One thing that is on a host and has no owner, or that a server should have there and has not.

    direction: `unowned` or `missing`. state: `reported`, `quarantined`, `removing`; the row goes
    when the thing is gone, or owned, or there again.
    """

    __tablename__ = "drift"
    __table_args__ = (
        UniqueConstraint("hypervisor_id", "direction", "kind", "name"),
        Index("ix_drift_server_id", "server_id"),
    )

    hypervisor_id: Mapped[str] = mapped_column(ForeignKey("hypervisors.id"))
    direction: Mapped[str] = mapped_column(String(8))
    #: A kind of tasks.messages.Thing, or `allocation`.
    kind: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(255))
    #: The server whose id it carries, whether there is such a server or not.
    server_id: Mapped[str | None] = mapped_column(String(36), default=None)
    state: Mapped[str] = mapped_column(String(16), default="reported")
    first_seen_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    #: When it was put into its present state.
    changed_at: Mapped[datetime]
