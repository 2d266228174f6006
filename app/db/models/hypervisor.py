"""Hypervisors with what they have and what is claimed of it, and the claims themselves."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from app.db.models.base import Base, HasId, HasTimes, now


class Hypervisor(HasId, HasTimes, Base):
    """A host, as its worker last reported it.

    `*_used` is the sum of the host's allocations. It is written only by app.scheduling.claim, in
    the transaction that writes the allocation, so that a claim is one guarded update.
    """

    __tablename__ = "hypervisors"
    __table_args__ = (
        CheckConstraint("vcpus_used >= 0 AND memory_mib_used >= 0 AND disk_gib_used >= 0", "used"),
    )

    #: Small whole number that the compute API shows below microversion 2.53.
    number: Mapped[int] = mapped_column(unique=True)
    name: Mapped[str] = mapped_column(String(255), unique=True)
    host_ip: Mapped[str] = mapped_column(String(45), default="")
    worker: Mapped[str] = mapped_column(String(255), default="")
    enabled: Mapped[bool] = mapped_column(default=True)
    disabled_reason: Mapped[str | None] = mapped_column(String(255), default=None)
    last_seen_at: Mapped[datetime] = mapped_column(default=now)
    hypervisor_type: Mapped[str] = mapped_column(String(32), default="")
    hypervisor_version: Mapped[int] = mapped_column(default=0)
    domain_type: Mapped[str] = mapped_column(String(16), default="")
    architecture: Mapped[str] = mapped_column(String(32), default="")
    cpu_model: Mapped[str] = mapped_column(String(128), default="")
    running_domains: Mapped[int] = mapped_column(default=0)
    vcpus: Mapped[int] = mapped_column(default=0)
    memory_mib: Mapped[int] = mapped_column(default=0)
    disk_gib: Mapped[int] = mapped_column(default=0)
    free_disk_gib: Mapped[int] = mapped_column(default=0)
    vcpus_used: Mapped[int] = mapped_column(default=0)
    memory_mib_used: Mapped[int] = mapped_column(default=0)
    disk_gib_used: Mapped[int] = mapped_column(default=0)


class Allocation(HasTimes, Base):
    """What one server holds of one host. At most one a server."""

    __tablename__ = "allocations"
    __table_args__ = (Index("ix_allocations_hypervisor_id", "hypervisor_id"),)

    server_id: Mapped[str] = mapped_column(ForeignKey("servers.id"), primary_key=True)
    hypervisor_id: Mapped[str] = mapped_column(ForeignKey("hypervisors.id"))
    #: The run that claimed it, and in which attempt.
    run_id: Mapped[str] = mapped_column(String(36))
    attempt: Mapped[int]
    vcpus: Mapped[int]
    memory_mib: Mapped[int]
    disk_gib: Mapped[int]
