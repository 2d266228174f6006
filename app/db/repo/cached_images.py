"""Queries on what is in hosts' image caches."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from app.db.models import CachedImage, Hypervisor


def lock_host(session: Session, name: str) -> Hypervisor | None:
    """Return the host of this name, locked until the transaction ends, or None."""
    query = select(Hypervisor).where(Hypervisor.name == name).with_for_update()
    return session.scalars(query).one_or_none()


def listed(session: Session, hypervisor_id: str) -> list[CachedImage]:
    """Return what is in the host's cache, what was used last first."""
    query = select(CachedImage).where(CachedImage.hypervisor_id == hypervisor_id)
    order = (CachedImage.used_at.desc(), CachedImage.sha256, CachedImage.disk_format)
    return list(session.scalars(query.order_by(*order)))


def replace(session: Session, hypervisor_id: str, rows: Sequence[dict[str, Any]]) -> None:
    """Put these in place of all that was told of the host before."""
    session.execute(delete(CachedImage).where(CachedImage.hypervisor_id == hypervisor_id))
    if rows:
        session.execute(
            insert(CachedImage), [{**row, "hypervisor_id": hypervisor_id} for row in rows]
        )
