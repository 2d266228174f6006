"""Hypervisors with what they have and what is claimed of it, and the claims themselves."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Float, ForeignKey, Index, String, Text
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
    #: The zone that its aggregates give it; none: the settings' zone. Written only by
    #: app.services.aggregates, with the aggregates.
    availability_zone: Mapped[str | None] = mapped_column(String(255), default=None)
    #: An operator says that it is down, whatever is heard of it.
    forced_down: Mapped[bool] = mapped_column(default=False)
    last_seen_at: Mapped[datetime] = mapped_column(default=now)
    hypervisor_type: Mapped[str] = mapped_column(String(32), default="")
    hypervisor_version: Mapped[int] = mapped_column(default=0)
    domain_type: Mapped[str] = mapped_column(String(16), default="")
    architecture: Mapped[str] = mapped_column(String(32), default="")
    cpu_model: Mapped[str] = mapped_column(String(128), default="")
    running_domains: Mapped[int] = mapped_column(default=0)
    #: As its `uptime` says it; empty if it does not tell.
    uptime: Mapped[str] = mapped_column(String(255), default="")
    vcpus: Mapped[int] = mapped_column(default=0)
    memory_mib: Mapped[int] = mapped_column(default=0)
    disk_gib: Mapped[int] = mapped_column(default=0)
    free_disk_gib: Mapped[int] = mapped_column(default=0)
    #: What cached images take up of its disk.
    image_cache_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    #: When it looked into its image cache last, by its own clock: `cached_images` were true then.
    image_cache_at: Mapped[datetime | None] = mapped_column(default=None)
    #: Whether it can start guests by UEFI firmware.
    uefi: Mapped[bool] = mapped_column(default=False)
    #: Whether it can hold interfaces to a rate.
    vif_limits: Mapped[bool] = mapped_column(default=False)
    #: Processors for servers that have theirs to themselves, beside `vcpus`, and how many of them
    #: no domain had when it was last heard of.
    dedicated_vcpus: Mapped[int] = mapped_column(default=0)
    free_dedicated_vcpus: Mapped[int] = mapped_column(default=0)
    vcpus_used: Mapped[int] = mapped_column(default=0)
    memory_mib_used: Mapped[int] = mapped_column(default=0)
    disk_gib_used: Mapped[int] = mapped_column(default=0)
    dedicated_vcpus_used: Mapped[int] = mapped_column(default=0)
    #: Names of the physical networks that it has a bridge for.
    physical_networks: Mapped[list[str]] = mapped_column(default=list)
    #: Which life of the worker was heard of last, and when it spoke, by its own clock (Unix s).
    process: Mapped[str] = mapped_column(String(36), default="")
    heartbeat_sent_at: Mapped[float] = mapped_column(Float, default=0.0)
    #: Stages that its worker can run at once, and how many of these were taken.
    slots: Mapped[int] = mapped_column(default=0)
    busy: Mapped[int] = mapped_column(default=0)
    #: The canary sent last through its queue, and the newest that was answered, both by when they
    #: were sent.
    canary_sent_at: Mapped[datetime | None] = mapped_column(default=None)
    canary_answered_at: Mapped[datetime | None] = mapped_column(default=None)
    #: Since when its worker lives but takes nothing from its queue.
    deaf_since: Mapped[datetime | None] = mapped_column(default=None)
    #: Set when it was given up; cleared when it is back and was looked through.
    lost_at: Mapped[datetime | None] = mapped_column(default=None)
    #: When its last survey was taken in.
    surveyed_at: Mapped[datetime | None] = mapped_column(default=None)
    #: The newest fabric that its worker has carried out, as it says itself; 0 for none.
    fabric_carried_out: Mapped[int] = mapped_column(BigInteger, default=0)
    #: Floating IPs of that which it could not carry out.
    refused_floating_ips: Mapped[list[str]] = mapped_column(default=list)


class CachedImage(Base):
    """An image in a host's cache, on its way there, or why it is not there: as the host told last.

    state: `downloading`, `ready`, `failed`.
    """

    __tablename__ = "cached_images"

    hypervisor_id: Mapped[str] = mapped_column(ForeignKey("hypervisors.id"), primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    #: As it lies there, which may not be as it was uploaded.
    disk_format: Mapped[str] = mapped_column(String(16), primary_key=True)
    #: The image by which it was fetched last; it may be gone since.
    image_id: Mapped[str] = mapped_column(String(36), default="")
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text, default="")
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    allocated_bytes: Mapped[int] = mapped_column(BigInteger)
    used_at: Mapped[datetime]
    in_use: Mapped[bool] = mapped_column(default=False)


class Allocation(HasTimes, Base):
    """What one server holds of one host. One on the host where it is, and one on each host where
    a failed attempt's traces are still to be removed: that room is not free before they are."""

    __tablename__ = "allocations"
    __table_args__ = (Index("ix_allocations_hypervisor_id", "hypervisor_id"),)

    server_id: Mapped[str] = mapped_column(ForeignKey("servers.id"), primary_key=True)
    hypervisor_id: Mapped[str] = mapped_column(ForeignKey("hypervisors.id"), primary_key=True)
    #: The run that claimed it, and in which attempt.
    run_id: Mapped[str] = mapped_column(String(36))
    attempt: Mapped[int]
    #: Of those that are shared; a server has either these or dedicated ones.
    vcpus: Mapped[int]
    dedicated_vcpus: Mapped[int] = mapped_column(default=0)
    memory_mib: Mapped[int]
    #: Root, ephemeral and swap disk together.
    disk_gib: Mapped[int]
