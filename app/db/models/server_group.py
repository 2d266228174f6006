"""Server groups: which servers are to be on one host, or on hosts of their own."""

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from app.db.models.base import Base, HasId, HasTimes


class ServerGroup(HasId, HasTimes, Base):
    """A group. policy: `affinity` or `anti-affinity`; it never changes."""

    __tablename__ = "server_groups"

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"), index=True)
    user_id: Mapped[str] = mapped_column(String(36))
    name: Mapped[str] = mapped_column(String(255))
    policy: Mapped[str] = mapped_column(String(16))
    #: Whether its servers may be elsewhere if no host suits the policy.
    is_soft: Mapped[bool] = mapped_column(default=False)
    #: How many servers of an `anti-affinity` group may share a host; 1 unless it is said.
    max_server_per_host: Mapped[int | None] = mapped_column(default=None)


class ServerGroupMember(Base):
    """That a server was made in a group. The row stays when the server is deleted, as the server's
    own does, and goes with the group."""

    __tablename__ = "server_group_members"

    server_id: Mapped[str] = mapped_column(
        ForeignKey("servers.id", ondelete="CASCADE"), primary_key=True
    )
    group_id: Mapped[str] = mapped_column(
        ForeignKey("server_groups.id", ondelete="CASCADE"), index=True
    )
