"""Routers, which subnets they lead to, those that are made by themselves, and floating IPs."""

from sqlalchemy import BigInteger, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db.models.base import Base, HasId, HasTimes
from app.db.models.network import HasNotes, Network, Port


class Router(HasId, HasTimes, HasNotes, Base):
    """A router: each host carries it out for its own guests."""

    __tablename__ = "routers"
    __table_args__ = (
        Index("ix_routers_project_id", "project_id"),
        Index("ix_routers_external_network_id", "external_network_id"),
    )

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str] = mapped_column(String(255), default="")
    admin_state_up: Mapped[bool] = mapped_column(default=True)
    #: Its way to the world; none: what is on it reaches what else is on it.
    external_network_id: Mapped[str | None] = mapped_column(ForeignKey("networks.id"), default=None)


class RouterInterface(Base):
    """A port by which a router is on a network: it has the gateway's address of each subnet that
    the router leads to."""

    __tablename__ = "router_interfaces"
    __table_args__ = (Index("ix_router_interfaces_router_id", "router_id"),)

    port_id: Mapped[str] = mapped_column(
        ForeignKey("ports.id", ondelete="CASCADE"), primary_key=True
    )
    router_id: Mapped[str] = mapped_column(ForeignKey("routers.id"))

    port: Mapped[Port] = relationship()


class AutoTopology(Base):
    """The network that was made for a project which had none, and its router: Neutron's
    auto-allocated topology."""

    __tablename__ = "auto_topologies"

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    network_id: Mapped[str] = mapped_column(ForeignKey("networks.id", ondelete="CASCADE"))
    #: None once its owner has removed it.
    router_id: Mapped[str | None] = mapped_column(
        ForeignKey("routers.id", ondelete="SET NULL"), default=None
    )


class FloatingIp(HasId, HasTimes, HasNotes, Base):
    """An address of an external network that stands for one of a port's."""

    __tablename__ = "floating_ips"
    __table_args__ = (
        Index("uq_floating_ips_port_id_fixed_address", "port_id", "fixed_address", unique=True),
        Index("ix_floating_ips_project_id", "project_id"),
        Index("ix_floating_ips_network_id", "network_id"),
        Index("ix_floating_ips_router_id", "router_id"),
    )

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    network_id: Mapped[str] = mapped_column(ForeignKey("networks.id"))
    #: The port on the external network that holds the address.
    holder_id: Mapped[str] = mapped_column(ForeignKey("ports.id"), unique=True)
    address: Mapped[str] = mapped_column(String(39))
    #: What it stands for: a port, its address, and the router between them; or nothing.
    port_id: Mapped[str | None] = mapped_column(
        ForeignKey("ports.id", ondelete="SET NULL"), default=None
    )
    fixed_address: Mapped[str | None] = mapped_column(String(39), default=None)
    router_id: Mapped[str | None] = mapped_column(ForeignKey("routers.id"), default=None)
    #: The fabric's revision by which the port's host learns of it; none: not settled yet.
    told_revision: Mapped[int | None] = mapped_column(BigInteger, default=None)

    network: Mapped[Network] = relationship(lazy="joined")
    port: Mapped[Port | None] = relationship(foreign_keys=[port_id])
