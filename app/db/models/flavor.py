"""Flavors: the sizes that a server can have."""

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.models.base import Base, HasTimes


class Flavor(HasTimes, Base):
    """A size. The id is text that an operator may choose, as in Nova (`1`, `m1.small`)."""

    __tablename__ = "flavors"

    id: Mapped[str] = mapped_column(String(255), primary_key=True)
    name: Mapped[str] = mapped_column(String(255), unique=True)
    description: Mapped[str | None] = mapped_column(Text, default=None)
    vcpus: Mapped[int]
    memory_mib: Mapped[int]
    #: 0 means as large as the image.
    root_gib: Mapped[int]
    ephemeral_gib: Mapped[int] = mapped_column(default=0)
    swap_mib: Mapped[int] = mapped_column(default=0)
    #: What app.runs.extra_specs knows is carried out; the rest is kept and shown.
    extra_specs: Mapped[dict[str, str]] = mapped_column(default=dict)
    is_public: Mapped[bool] = mapped_column(default=True)


class FlavorAccess(Base):
    """That a project may use a private flavor."""

    __tablename__ = "flavor_access"

    flavor_id: Mapped[str] = mapped_column(
        ForeignKey("flavors.id", ondelete="CASCADE"), primary_key=True
    )
    project_id: Mapped[str] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True
    )
