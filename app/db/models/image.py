"""Images: what a server's disk starts from."""

from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from app.db.models.base import Base, HasId, HasTimes


class Image(HasId, HasTimes, Base):
    """An image's record; its bytes lie in the image store under its id.

    status: `queued` (no bytes yet), `saving`, `active`, `killed` (the upload failed),
    `deactivated` (nobody gets its bytes), `pending_delete` (its bytes go first, then this).
    visibility: `private` (its project's) or `public` (everybody's).
    """

    __tablename__ = "images"
    __table_args__ = (Index("ix_images_project_id", "project_id"),)

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str] = mapped_column(String(255), default="")
    status: Mapped[str] = mapped_column(String(16), default="queued")
    visibility: Mapped[str] = mapped_column(String(16), default="private")
    disk_format: Mapped[str | None] = mapped_column(String(16), default=None)
    container_format: Mapped[str | None] = mapped_column(String(16), default=None)
    min_disk_gib: Mapped[int] = mapped_column(default=0)
    min_ram_mib: Mapped[int] = mapped_column(default=0)
    protected: Mapped[bool] = mapped_column(default=False)
    #: Left out of lists that do not ask for it; used by its id all the same.
    hidden: Mapped[bool] = mapped_column(default=False)
    size_bytes: Mapped[int | None] = mapped_column(BigInteger, default=None)
    #: The size of the disk that a guest sees; for qcow2 from its header.
    virtual_size_bytes: Mapped[int | None] = mapped_column(BigInteger, default=None)
    md5: Mapped[str | None] = mapped_column(String(32), default=None)
    sha256: Mapped[str | None] = mapped_column(String(64), default=None)
    sha512: Mapped[str | None] = mapped_column(String(128), default=None)
    tags: Mapped[list[str]] = mapped_column(default=list)
    #: Any further properties, top-level strings in Glance's bodies.
    properties: Mapped[dict[str, Any]] = mapped_column(default=dict)
