"""Host aggregates: which hosts belong together, in an availability zone or for a kind of server."""

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from app.db.models.base import Base, HasId, HasTimes


class Aggregate(HasId, HasTimes, Base):
    """An aggregate. With a zone, its hosts are in that zone (`Hypervisor.availability_zone`)."""

    __tablename__ = "aggregates"

    #: Small whole number by which the compute API knows it.
    number: Mapped[int] = mapped_column(unique=True)
    name: Mapped[str] = mapped_column(String(255), unique=True)
    availability_zone: Mapped[str | None] = mapped_column(String(255), default=None)
    #: What operators say of its hosts, and flavors ask for (app.scheduling.aggregate_specs).
    facts: Mapped[dict[str, str]] = mapped_column(default=dict)


class AggregateHost(Base):
    """That a host is in an aggregate."""

    __tablename__ = "aggregate_hosts"

    aggregate_id: Mapped[str] = mapped_column(
        ForeignKey("aggregates.id", ondelete="CASCADE"), primary_key=True
    )
    hypervisor_id: Mapped[str] = mapped_column(
        ForeignKey("hypervisors.id", ondelete="CASCADE"), primary_key=True, index=True
    )
