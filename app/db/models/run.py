"""Runs, their attempts and stages: the pipeline's memory. The truth; messages are only nudges."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Float, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db.models.base import Base, HasId, HasTimes


class Run(HasId, HasTimes, Base):
    """One wish being carried out on one server: to have it, to be rid of it, or to have what is
    left of it removed from one host.

    pipeline: a name of tasks.pipelines. state: `running`, `done`, `failed`, `cancelled` (a delete
    overtook it).
    """

    __tablename__ = "runs"
    __table_args__ = (
        Index("ix_runs_server_id", "server_id"),
        Index("ix_runs_state_deadline", "state", "deadline"),
        Index("ix_runs_state_lease_until", "state", "lease_until"),
        Index("ix_runs_hypervisor_id_state", "hypervisor_id", "state"),
    )

    server_id: Mapped[str] = mapped_column(ForeignKey("servers.id"))
    pipeline: Mapped[str] = mapped_column(String(32))
    state: Mapped[str] = mapped_column(String(16), default="running")
    #: The fence: raised whenever the run is gone on with, on the same host or on another one.
    attempt: Mapped[int] = mapped_column(default=1)
    #: Where the present attempt works; none before `schedule`, and where no host is needed.
    hypervisor_id: Mapped[str | None] = mapped_column(ForeignKey("hypervisors.id"), default=None)
    #: Until then the run is somebody's: a worker's that is at it, or a pause's. After it, whoever
    #: sweeps may go on with it.
    lease_until: Mapped[datetime]
    #: With `unwind`: the attempt of a create that it undoes.
    undoes_run_id: Mapped[str | None] = mapped_column(String(36), default=None)
    undoes_attempt: Mapped[int | None] = mapped_column(default=None)
    #: What removes keeps the interfaces whose traces are to go, for the ports' rows may be gone.
    ports: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON, default=None)
    #: What an action was told beside its name, until it has ended: there may be secrets in it.
    parameters: Mapped[dict[str, Any] | None] = mapped_column(JSON, default=None)
    #: The image that comes of it, with what copies a disk.
    image_id: Mapped[str | None] = mapped_column(String(36), default=None)
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
    """One try of a run: from its first stage, or gone on with where the one before it stood.

    state: `running`, `done`, `failed` (its host, if it had one, is not tried again), `resumed` (its
    worker ended or its message was lost, and the next attempt went on), `cancelled`.
    """

    __tablename__ = "attempts"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    #: The host's name once one is claimed.
    host: Mapped[str | None] = mapped_column(String(255), default=None)
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None] = mapped_column(default=None)
    state: Mapped[str] = mapped_column(String(16), default="running")
    #: Code word and text of why it ended, unless it ended well.
    reason_code: Mapped[str | None] = mapped_column(String(64), default=None)
    reason: Mapped[str | None] = mapped_column(Text, default=None)


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
    #: Which life of that worker.
    process: Mapped[str | None] = mapped_column(String(36), default=None)
    limit_s: Mapped[float] = mapped_column(Float)
    reason_code: Mapped[str | None] = mapped_column(String(64), default=None)
    reason: Mapped[str | None] = mapped_column(Text, default=None)
    #: What the stage gave to those after it; of poll_boot, the proofs seen so far. The output of
    #: `schedule` holds secrets and is made again from other rows instead.
    output: Mapped[dict[str, Any] | None] = mapped_column(default=None)
