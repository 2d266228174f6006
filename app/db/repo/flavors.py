"""Queries on flavors."""

from dataclasses import dataclass

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from app.db.models import Flavor
from app.db.repo.paging import Key, Page, page

#: What lists can be ordered by.
ORDERS = {
    "flavorid": Flavor.id,
    "name": Flavor.name,
    "memory_mb": Flavor.memory_mib,
    "vcpus": Flavor.vcpus,
    "root_gb": Flavor.root_gib,
    "created_at": Flavor.created_at,
}


@dataclass(frozen=True)
class FlavorFilter:
    """Which flavors are wanted. `is_public` None is both kinds."""

    is_public: bool | None = True
    min_root_gib: int = 0
    min_memory_mib: int = 0


def get(session: Session, flavor_id: str) -> Flavor | None:
    """Return the flavor, or None."""
    return session.get(Flavor, flavor_id)


def lock(session: Session, flavor_id: str) -> Flavor | None:
    """Return the flavor, locked until the commit, or None."""
    return session.get(Flavor, flavor_id, with_for_update=True)


def by_name(session: Session, name: str) -> Flavor | None:
    """Return the flavor, or None."""
    return session.scalars(select(Flavor).where(Flavor.name == name)).one_or_none()


def listed(session: Session, wanted: FlavorFilter, part: Page) -> list[Flavor]:
    """Return a page of the flavors that pass the filter, by id unless ordered otherwise."""
    query: Select[Flavor] = select(Flavor).where(
        Flavor.root_gib >= wanted.min_root_gib, Flavor.memory_mib >= wanted.min_memory_mib
    )
    if wanted.is_public is not None:
        query = query.where(Flavor.is_public.is_(wanted.is_public))
    keys = [Key(ORDERS[name], descending) for name, descending in part.order]
    keys.append(Key(Flavor.id, descending=False))
    return list(session.scalars(page(session, query, keys, part.marker, part.limit)))
