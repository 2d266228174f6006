"""Security groups: what the ports in them may be reached by, and reach."""

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db.models.base import Base, HasId, HasTimes
from app.db.models.network import HasNotes


class SecurityGroup(HasId, HasTimes, HasNotes, Base):
    """A set of rules, each of which allows something. Its row is locked by whoever changes its
    rules, so that no rule is there twice."""

    __tablename__ = "security_groups"
    __table_args__ = (
        # Made on the first look by whoever looks first: a second one must not get through.
        UniqueConstraint("default_of"),
        Index("ix_security_groups_project_id", "project_id"),
    )

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    #: As its owner wrote it; it never leaves the control plane.
    name: Mapped[str] = mapped_column(String(255), default="")
    stateful: Mapped[bool] = mapped_column(default=True)
    #: The project whose `default` group this is; none for all others.
    default_of: Mapped[str | None] = mapped_column(ForeignKey("projects.id"), default=None)

    rules: Mapped[list["SecurityGroupRule"]] = relationship(
        order_by="(SecurityGroupRule.created_at, SecurityGroupRule.id)",
        foreign_keys="SecurityGroupRule.security_group_id",
        passive_deletes="all",
    )


class SecurityGroupRule(HasId, HasTimes, Base):
    """What a group allows. It is never changed, only removed."""

    __tablename__ = "security_group_rules"
    __table_args__ = (
        Index("ix_security_group_rules_security_group_id", "security_group_id"),
        Index("ix_security_group_rules_remote_group_id", "remote_group_id"),
        Index("ix_security_group_rules_project_id", "project_id"),
    )

    security_group_id: Mapped[str] = mapped_column(
        ForeignKey("security_groups.id", ondelete="CASCADE")
    )
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    #: `ingress` or `egress`
    direction: Mapped[str] = mapped_column(String(8))
    #: 4 or 6
    ip_version: Mapped[int]
    #: As its owner wrote it, in lower case: a name or a number; none for any.
    protocol: Mapped[str | None] = mapped_column(String(40), default=None)
    #: What hosts are told; none for any.
    protocol_number: Mapped[int | None] = mapped_column(default=None)
    port_min: Mapped[int | None] = mapped_column(default=None)
    port_max: Mapped[int | None] = mapped_column(default=None)
    #: As its owner wrote it, with a prefix length; the bits behind the prefix may be set.
    remote_prefix: Mapped[str | None] = mapped_column(String(49), default=None)
    remote_group_id: Mapped[str | None] = mapped_column(
        ForeignKey("security_groups.id", ondelete="CASCADE"), default=None
    )
    description: Mapped[str] = mapped_column(String(255), default="")


class PortSecurityGroup(Base):
    """A port is in a group. A group that has ports cannot be removed."""

    __tablename__ = "port_security_groups"
    __table_args__ = (Index("ix_port_security_groups_security_group_id", "security_group_id"),)

    port_id: Mapped[str] = mapped_column(
        ForeignKey("ports.id", ondelete="CASCADE"), primary_key=True
    )
    security_group_id: Mapped[str] = mapped_column(
        ForeignKey("security_groups.id"), primary_key=True
    )
