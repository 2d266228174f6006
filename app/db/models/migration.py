"""Servers on their way to another flavor, or to another host: Nova's migrations."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from app.db.models.base import Base, HasTimes


class Migration(HasTimes, Base):
    """One resize of a server, or one move, from its request until nobody can take it back any more.

    While `settled_at` is none the server has two places, each claimed: what it was, and what it is
    to be. On one host they are one allocation.

    status: `migrating`, `finished` (it waits for its owner's word), `confirmed`, `reverting`,
    `reverted`, `error`.
    """

    __tablename__ = "migrations"
    __table_args__ = (
        Index("ix_migrations_server_id", "server_id"),
        Index("ix_migrations_settled_at_waits_since", "settled_at", "waits_since"),
    )

    #: As Nova shows it.
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    server_id: Mapped[str] = mapped_column(ForeignKey("servers.id"))
    user_id: Mapped[str] = mapped_column(String(36))
    #: The run that carries it out.
    run_id: Mapped[str] = mapped_column(String(36))
    #: `resize` or, to the same flavor on another host, `migration`.
    kind: Mapped[str] = mapped_column(String(16))
    status: Mapped[str] = mapped_column(String(16), default="migrating")
    #: Hosts' names stay when the hosts are gone.
    source: Mapped[str] = mapped_column(String(255))
    dest: Mapped[str] = mapped_column(String(255))
    source_id: Mapped[str | None] = mapped_column(ForeignKey("hypervisors.id"))
    #: None while another host has yet to be found in the place of one that failed.
    dest_id: Mapped[str | None] = mapped_column(ForeignKey("hypervisors.id"))
    #: Of each disk that goes to another host: `role`, and the `image_id` in which it travels.
    carried: Mapped[list[dict[str, str]]] = mapped_column(JSON, default=list)
    #: Sizes (app.runs.sizes) of what it was and what it is to be.
    old_size: Mapped[dict[str, Any]] = mapped_column()
    new_size: Mapped[dict[str, Any]] = mapped_column()
    #: What each holds of a host, by the columns of an allocation.
    old_claim: Mapped[dict[str, Any]] = mapped_column()
    new_claim: Mapped[dict[str, Any]] = mapped_column()
    #: The larger one of each counts against the quota, so that there is a way back.
    vcpus_held: Mapped[int]
    memory_mib_held: Mapped[int]
    #: Whether its guest ran before, and so is to run after it.
    was_running: Mapped[bool]
    #: Since when it waits to be confirmed or reverted.
    waits_since: Mapped[datetime | None] = mapped_column(default=None)
    #: Since when nobody can take it back any more.
    settled_at: Mapped[datetime | None] = mapped_column(default=None)

    @property
    def is_move(self) -> bool:
        """Whether it is between two hosts."""
        return self.source != self.dest
