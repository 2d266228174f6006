"""Keypairs: a user's SSH public keys."""

from sqlalchemy import ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db.models.base import Base, HasId, HasTimes


class Keypair(HasId, HasTimes, Base):
    """A public key under a name of the user's. Private halves are never kept."""

    __tablename__ = "keypairs"
    __table_args__ = (UniqueConstraint("user_id", "name"),)

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(255))
    public_key: Mapped[str] = mapped_column(Text)
    #: MD5 of the key's blob with colons, as Nova shows it.
    fingerprint: Mapped[str] = mapped_column(String(64))
