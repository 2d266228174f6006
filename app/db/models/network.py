"""Networks, their subnets, the ports by which servers hang on them, and the ports' addresses."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import JSON, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db.models.base import Base, HasId, HasTimes

if TYPE_CHECKING:
    from app.db.models.router import FloatingIp


class HasNotes:
    """What everything of the network API has: a description, tags, and a count of its changes."""

    description: Mapped[str] = mapped_column(String(255), default="")
    tags: Mapped[list[str]] = mapped_column(default=list)
    revision: Mapped[int] = mapped_column(default=0)


class Network(HasId, HasTimes, HasNotes, Base):
    """A network. kind: `nat` (a bridge on each host, spanning them if it has a vni; a subnet with a
    gateway reaches the world by the hosts' NAT), `provider` (a bridge of the operator's) or
    `uplink` (external, and no bridge: addresses that are answered for on the hosts' own uplinks).
    """

    __tablename__ = "networks"
    __table_args__ = (
        # Indices, not constraints: SQLite can add these to a table that others refer to.
        Index("uq_networks_vni", "vni", unique=True),
        Index("uq_networks_physical_network_vlan", "physical_network", "vlan", unique=True),
    )

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str] = mapped_column(String(255), default="")
    shared: Mapped[bool] = mapped_column(default=False)
    mtu: Mapped[int] = mapped_column(default=1500)
    kind: Mapped[str] = mapped_column(String(16), default="nat")
    #: Number of the tunnel by which it spans hosts; none: each host has its own part of it.
    vni: Mapped[int | None] = mapped_column(default=None)
    #: `provider` only: which of the hosts' bridges, and the IEEE 802.1Q tag there; 0 is untagged.
    physical_network: Mapped[str | None] = mapped_column(String(64), default=None)
    vlan: Mapped[int | None] = mapped_column(default=None)
    #: Whether routers may lead to it, and floating IPs are addresses of it.
    external: Mapped[bool] = mapped_column(default=False)
    #: External only, and one at most: where routers that are made by themselves lead to.
    is_default: Mapped[bool] = mapped_column(default=False)
    admin_state_up: Mapped[bool] = mapped_column(default=True)
    #: Whether ports made on it have port security, unless they say otherwise.
    port_security: Mapped[bool] = mapped_column(default=True)

    subnets: Mapped[list["Subnet"]] = relationship(
        back_populates="network",
        order_by="(Subnet.created_at, Subnet.id)",
        cascade="all, delete",
        passive_deletes=True,
    )


class Subnet(HasId, HasTimes, HasNotes, Base):
    """A block of addresses of a network."""

    __tablename__ = "subnets"
    __table_args__ = (Index("ix_subnets_network_id", "network_id"),)

    network_id: Mapped[str] = mapped_column(ForeignKey("networks.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(255), default="")
    #: 4 or 6
    version: Mapped[int] = mapped_column(default=4)
    cidr: Mapped[str] = mapped_column(String(43))
    #: The guests' way out; none: there is no way out.
    gateway: Mapped[str | None] = mapped_column(String(39), default=None)
    #: Every host's own address there; the gateway, if there is one. None on provider networks.
    host_address: Mapped[str | None] = mapped_column(String(39), default=None)
    dns: Mapped[list[str]] = mapped_column(default=list)
    #: `{"destination": prefix, "nexthop": address}` each.
    host_routes: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)
    enable_dhcp: Mapped[bool] = mapped_column(default=True)
    #: `{"start": address, "end": address}` each: what ports may get, in ascending order.
    pools: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)
    #: Where the part of the pools begins that was never handed out; none: at their beginning. What
    #: lies before it has rows in port_addresses, those that were given back too.
    frontier: Mapped[str | None] = mapped_column(String(39), default=None)

    network: Mapped[Network] = relationship(back_populates="subnets")


class Port(HasId, HasTimes, HasNotes, Base):
    """An interface: MAC and addresses, chosen before anything is made on a host. Made for a server,
    and gone with it; or made by its owner (`is_owners`), who may hang it on a server after another.
    """

    __tablename__ = "ports"
    __table_args__ = (
        UniqueConstraint("mac"),
        Index("ix_ports_server_id", "server_id"),
        Index("ix_ports_network_id", "network_id"),
        Index("ix_ports_project_id", "project_id"),
    )

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    network_id: Mapped[str] = mapped_column(ForeignKey("networks.id"))
    server_id: Mapped[str | None] = mapped_column(ForeignKey("servers.id"), default=None)
    is_owners: Mapped[bool] = mapped_column(default=False)
    #: The order of the interfaces in the guest, from 0.
    position: Mapped[int] = mapped_column(default=0)
    mac: Mapped[str] = mapped_column(String(17))
    name: Mapped[str] = mapped_column(String(255), default="")
    admin_state_up: Mapped[bool] = mapped_column(default=True)
    port_security: Mapped[bool] = mapped_column(default=True)
    #: What else it may send from: `{"ip_address": prefix, "mac_address": MAC}` each.
    address_pairs: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)
    #: What its owner says that it is for, as long as no server has it.
    device_id: Mapped[str] = mapped_column(String(255), default="")
    device_owner: Mapped[str] = mapped_column(String(255), default="")
    dns_name: Mapped[str] = mapped_column(String(63), default="")
    #: By which the guest of the server that has it is to know it; empty: none.
    tag: Mapped[str] = mapped_column(String(60), default="")
    #: When the guest was first seen to use an address of it.
    seen_at: Mapped[datetime | None] = mapped_column(default=None)

    network: Mapped[Network] = relationship()
    #: Always read with the port: nobody wants one without.
    addresses: Mapped[list["FixedAddress"]] = relationship(
        back_populates="port", order_by="FixedAddress.position", lazy="selectin"
    )
    floating_ips: Mapped[list["FloatingIp"]] = relationship(
        "FloatingIp", foreign_keys="FloatingIp.port_id", viewonly=True, order_by="FloatingIp.id"
    )


class FixedAddress(Base):
    """An address that a port has, or has given back. The primary key is what keeps two ports from
    the same one. Given back it rests: its row stays until another port takes it over."""

    __tablename__ = "port_addresses"
    __table_args__ = (
        Index("ix_port_addresses_port_id", "port_id"),
        Index("ix_port_addresses_subnet_id_released_at", "subnet_id", "released_at"),
    )

    subnet_id: Mapped[str] = mapped_column(
        ForeignKey("subnets.id", ondelete="CASCADE"), primary_key=True
    )
    address: Mapped[str] = mapped_column(String(39), primary_key=True)
    port_id: Mapped[str | None] = mapped_column(ForeignKey("ports.id"), default=None)
    #: The order of the port's addresses, from 0.
    position: Mapped[int] = mapped_column(default=0)
    #: When it was given back; none while a port has it.
    released_at: Mapped[datetime | None] = mapped_column(default=None)

    port: Mapped[Port | None] = relationship(back_populates="addresses")
    subnet: Mapped[Subnet] = relationship(lazy="joined")
