"""Networks, their subnets, and the ports by which servers hang on them."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db.models.base import Base, HasId, HasTimes


class Network(HasId, HasTimes, Base):
    """A network that each host carries out as NAT behind a bridge of its own."""

    __tablename__ = "networks"

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str] = mapped_column(String(255), default="")
    shared: Mapped[bool] = mapped_column(default=False)
    mtu: Mapped[int] = mapped_column(default=1500)

    subnets: Mapped[list["Subnet"]] = relationship(back_populates="network")


class Subnet(HasId, HasTimes, Base):
    """A block of IPv4 addresses of a network."""

    __tablename__ = "subnets"

    network_id: Mapped[str] = mapped_column(ForeignKey("networks.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(255), default="")
    cidr: Mapped[str] = mapped_column(String(18))
    gateway: Mapped[str] = mapped_column(String(15))
    dns: Mapped[list[str]] = mapped_column(default=list)
    #: First and last address that ports may get.
    first_address: Mapped[str] = mapped_column(String(15))
    last_address: Mapped[str] = mapped_column(String(15))
    #: Where the next search begins, as a number: an address rests as long as possible before
    #: another server gets it, so that no stale lease or ARP entry answers for it.
    next_address: Mapped[int]

    network: Mapped[Network] = relationship(back_populates="subnets")


class Port(HasId, HasTimes, Base):
    """A server's interface: MAC and address, chosen before anything is made on a host."""

    __tablename__ = "ports"
    __table_args__ = (
        UniqueConstraint("subnet_id", "address"),
        UniqueConstraint("mac"),
        Index("ix_ports_server_id", "server_id"),
    )

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    network_id: Mapped[str] = mapped_column(ForeignKey("networks.id"))
    subnet_id: Mapped[str] = mapped_column(ForeignKey("subnets.id"))
    server_id: Mapped[str] = mapped_column(ForeignKey("servers.id"))
    #: The order of the interfaces in the guest, from 0.
    position: Mapped[int]
    mac: Mapped[str] = mapped_column(String(17))
    address: Mapped[str] = mapped_column(String(15))
    #: When the guest was first seen to use the address.
    seen_at: Mapped[datetime | None] = mapped_column(default=None)

    network: Mapped[Network] = relationship()
    subnet: Mapped[Subnet] = relationship()
