"""What hosts have to be told of networks and groups, and how far each has been told."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from app.db.models.base import Base, now

#: SQLite counts by itself only in a column that is its own INTEGER.
_Count = BigInteger().with_variant(Integer, "sqlite")


class FabricChange(Base):
    """Something has changed that hosts must learn of. Written in the transaction of the change,
    and nothing but this, so that changes never wait for each other; whoever settles it
    (app.runs.fabric) finds the hosts that it concerns, by all that has been committed until then.
    """

    __tablename__ = "fabric_changes"

    id: Mapped[int] = mapped_column(_Count, primary_key=True, autoincrement=True)
    #: `rules` or `members` of a security group, `network`, `host`.
    kind: Mapped[str] = mapped_column(String(8))
    #: The id of the group, the network or the hypervisor.
    subject_id: Mapped[str] = mapped_column(String(36))
    created_at: Mapped[datetime] = mapped_column(default=now)


class FabricState(Base):
    """How far a host has been told. Apart from the host's own row, which heartbeats and claims
    write: several of these are locked at once, always in the order of their ids and as the last
    thing of a transaction. What the host has carried out is in its own row."""

    __tablename__ = "fabric_states"

    hypervisor_id: Mapped[str] = mapped_column(
        ForeignKey("hypervisors.id", ondelete="CASCADE"), primary_key=True
    )
    #: Rises with each change that concerns the host. Begins at the time in milliseconds, so that it
    #: never goes back, not even after the host was forgotten or the database restored.
    revision: Mapped[int] = mapped_column(BigInteger)
    changed_at: Mapped[datetime] = mapped_column(default=now)
    #: The newest that was sent, when, and how often in a row without being carried out.
    sent_revision: Mapped[int] = mapped_column(BigInteger, default=0)
    sent_at: Mapped[datetime | None] = mapped_column(default=None)
    sends: Mapped[int] = mapped_column(default=0)
    #: Whoever is heard of after this and has not carried it out is sent it again.
    resend_at: Mapped[datetime | None] = mapped_column(default=None)
