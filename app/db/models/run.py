"""Runs, their attempts and stages: the pipeline's memory. The truth; messages are only nudges."""

from datetime import datetime
from typing import Any

from sqlalchemy import Float, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db.models.base import Base, HasId, HasTimes


class Run(HasId, HasTimes, Base):
    """One wish being carried out on one server.

    pipeline: a name of tasks.pipelines. state: `running`, `unwinding` (undoing what failed),
    `done`, `failed`, `cancelled` (a delete overtook it).
    """

    __tablename__ = "runs"
    __table_args__ = (
        Index("ix_runs_server_id", "server_id"),
        Index("ix_runs_state_deadline", "state", "deadline"),
    )

    server_id: Mapped[str] = mapped_column(ForeignKey("servers.id"))
    pipeline: Mapped[str] = mapped_column(String(32))
    state: Mapped[str] = mapped_column(String(16), default="running")
    attempt: Mapped[int] = mapped_column(default=1)
    request_id: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[str] = mapped_column(String(36))
    #: When the run as a whole is given up.
    deadline: Mapped[datetime]
    #: When its chain was handed to the broker; none means that it must still be sent.
    published_at: Mapped[datetime | None] = mapped_column(default=None)
    finished_at: Mapped[datetime | None] = mapped_column(default=None)
    #: Code word and text of what ended it, when it failed.
    reason_code: Mapped[str | None] = mapped_column(String(64), default=None)
    reason: Mapped[str | None] = mapped_column(Text, default=None)

    attempts: Mapped[list["Attempt"]] = relationship(order_by="Attempt.number")
    stages: Mapped[list["Stage"]] = relationship(order_by="(Stage.attempt, Stage.position)")


class Attempt(Base):
    """One try of a run on one host."""

    __tablename__ = "attempts"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    #: The host's name once one is claimed.
    host: Mapped[str | None] = mapped_column(String(255), default=None)
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None] = mapped_column(default=None)
    #: `running`, `done`, `failed`, `cancelled`
    state: Mapped[str] = mapped_column(String(16), default="running")


class Stage(Base):
    """One stage of one attempt. state: `waiting`, `queued`, `running`, `done`, `failed`,
    `cancelled`."""

    __tablename__ = "stages"
    __table_args__ = (UniqueConstraint("run_id", "attempt", "position"),)

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    position: Mapped[int]
    state: Mapped[str] = mapped_column(String(16), default="waiting")
    #: When the stage before it ended, so that waiting in a queue and working are told apart.
    queued_at: Mapped[datetime | None] = mapped_column(default=None)
    started_at: Mapped[datetime | None] = mapped_column(default=None)
    finished_at: Mapped[datetime | None] = mapped_column(default=None)
    deadline: Mapped[datetime | None] = mapped_column(default=None)
    #: The worker that ran it, by its own word.
    worker: Mapped[str | None] = mapped_column(String(255), default=None)
    limit_s: Mapped[float] = mapped_column(Float)
    reason_code: Mapped[str | None] = mapped_column(String(64), default=None)
    reason: Mapped[str | None] = mapped_column(Text, default=None)
    #: What the stage gave and is worth keeping (the proofs of boot).
    output: Mapped[dict[str, Any] | None] = mapped_column(default=None)
