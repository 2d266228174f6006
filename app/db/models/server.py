"""Servers, what was asked for, and why they failed."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db.models.base import Base, HasId, HasTimes, now
from app.db.models.hypervisor import Hypervisor
from app.db.models.network import Port


class Server(HasId, HasTimes, Base):
    """A server as its owner sees it. Rows stay after deletion, with `deleted_at`.

    status: BUILD, DELETED, ERROR, or what app.runs.actions says (Nova's words). task_state names
    what is being done: a create's stage, an action in Nova's word, or `deleting`; none when nothing
    is. vm_state and power_state as in Nova.
    """

    __tablename__ = "servers"
    __table_args__ = (Index("ix_servers_project_id_deleted_at", "project_id", "deleted_at"),)

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str] = mapped_column(String(255))
    #: What its owner says of it, if anything.
    description: Mapped[str | None] = mapped_column(String(255), default=None)
    #: The first-boot host name, made from the name by RFC 1123's rules.
    hostname: Mapped[str] = mapped_column(String(63))
    status: Mapped[str] = mapped_column(String(32), default="BUILD")
    vm_state: Mapped[str] = mapped_column(String(32), default="building")
    task_state: Mapped[str | None] = mapped_column(String(32), default="scheduling")
    #: 0 none, 1 running, 3 paused, 4 shut down, 6 crashed
    power_state: Mapped[int] = mapped_column(default=0)
    flavor_id: Mapped[str] = mapped_column(String(255))
    #: What the flavor was called at creation.
    flavor_name: Mapped[str] = mapped_column(String(255), default="")
    #: The flavor's sizes at creation: what is claimed and counted, whatever becomes of the flavor.
    vcpus: Mapped[int]
    memory_mib: Mapped[int]
    root_gib: Mapped[int]
    ephemeral_gib: Mapped[int] = mapped_column(default=0)
    swap_mib: Mapped[int] = mapped_column(default=0)
    image_id: Mapped[str] = mapped_column(String(36))
    key_name: Mapped[str | None] = mapped_column(String(255), default=None)
    #: Given as user_metadata; `metadata` is taken by SQLAlchemy.
    user_metadata: Mapped[dict[str, str]] = mapped_column(default=dict)
    access_ipv4: Mapped[str] = mapped_column(String(15), default="")
    access_ipv6: Mapped[str] = mapped_column(String(45), default="")
    disk_config: Mapped[str] = mapped_column(String(8), default="MANUAL")
    #: The request that it was made by, together with others perhaps, and its place among them.
    reservation_id: Mapped[str] = mapped_column(String(16), default="")
    launch_index: Mapped[int] = mapped_column(default=0)
    #: Whether its guest has a config drive; without one, it asks the metadata service.
    config_drive: Mapped[bool] = mapped_column(default=True)
    hypervisor_id: Mapped[str | None] = mapped_column(ForeignKey("hypervisors.id"), default=None)
    launched_at: Mapped[datetime | None] = mapped_column(default=None)
    deleted_at: Mapped[datetime | None] = mapped_column(default=None)
    #: The owner's wish to be rid of it; set once, never taken back.
    delete_requested_at: Mapped[datetime | None] = mapped_column(default=None)

    #: What its disk has become while it is shelved, and since when it is.
    shelved_image_id: Mapped[str | None] = mapped_column(String(36), default=None)
    shelved_at: Mapped[datetime | None] = mapped_column(default=None)

    #: Who has locked it against changes: `owner` or `admin`; none when it is not.
    locked_by: Mapped[str | None] = mapped_column(String(8), default=None)

    @property
    def disk_image_id(self) -> str:
        """The image that its root disk is made from: while it is shelved, its own."""
        return self.shelved_image_id or self.image_id

    hypervisor: Mapped[Hypervisor | None] = relationship()
    ports: Mapped[list[Port]] = relationship(order_by=Port.position)
    fault: Mapped["Fault | None"] = relationship()
    tags: Mapped[list["ServerTag"]] = relationship(
        cascade="all, delete-orphan", order_by="ServerTag.tag"
    )


class ServerTag(Base):
    """A word by which its owner finds a server again."""

    __tablename__ = "server_tags"

    server_id: Mapped[str] = mapped_column(
        ForeignKey("servers.id", ondelete="CASCADE"), primary_key=True
    )
    tag: Mapped[str] = mapped_column(String(60), primary_key=True, index=True)


class RequestSpec(Base):
    """What the owner asked for and only the build needs; kept apart since user data is large."""

    __tablename__ = "request_specs"

    server_id: Mapped[str] = mapped_column(ForeignKey("servers.id"), primary_key=True)
    #: Ids of the networks, in the order of the interfaces.
    network_ids: Mapped[list[str]] = mapped_column(default=list)
    #: Ids of the security groups of its interfaces.
    security_group_ids: Mapped[list[str]] = mapped_column(default=list)
    #: SSH public key at the time of the request; none without a keypair.
    public_key: Mapped[str | None] = mapped_column(Text, default=None)
    #: base64 as it was given
    user_data: Mapped[str] = mapped_column(Text, default="")
    #: Files that its guest is to find, as in tasks.messages.InjectedFile.
    files: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)
    admin_pass: Mapped[str] = mapped_column(String(255), default="")
    #: The zone that was asked for; empty: any.
    availability_zone: Mapped[str] = mapped_column(String(255), default="")
    #: The flavor's extra specs at creation.
    extra_specs: Mapped[dict[str, str]] = mapped_column(default=dict)
    #: What its image said of hardware and boot at creation (app.runs.image_words).
    image_words: Mapped[dict[str, str]] = mapped_column(default=dict)
    #: Anything else of the request that later features read.
    hints: Mapped[dict[str, Any]] = mapped_column(default=dict)


class PostedPassword(Base):
    """What a guest has posted as its password, encrypted with its owner's key: only who has that
    can read it."""

    __tablename__ = "posted_passwords"

    server_id: Mapped[str] = mapped_column(ForeignKey("servers.id"), primary_key=True)
    #: Empty once it was cleared.
    text: Mapped[str] = mapped_column(Text)
    #: Of what was posted: hosts tell of it again and again.
    sha256: Mapped[str] = mapped_column(String(64))


class IdempotencyKey(Base):
    """What a request to make servers was called by its caller, and what came of it: the same
    request once more makes none."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("ix_idempotency_keys_created_at", "created_at"),)

    project_id: Mapped[str] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[str] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    body_sha256: Mapped[str] = mapped_column(String(64))
    #: The first of those that it made.
    server_id: Mapped[str] = mapped_column(ForeignKey("servers.id", ondelete="CASCADE"))
    reservation_id: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(default=now)


class Fault(Base):
    """Why a server is in ERROR: Nova's `fault`. `code` is HTTP-like; `reason` is our code word."""

    __tablename__ = "faults"

    server_id: Mapped[str] = mapped_column(ForeignKey("servers.id"), primary_key=True)
    code: Mapped[int]
    reason: Mapped[str] = mapped_column(String(64))
    message: Mapped[str] = mapped_column(Text)
    #: The last lines of the console, or other things seen; may be empty.
    details: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime]
