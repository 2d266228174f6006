"""Queries on flavors."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, or_, select
from sqlalchemy.orm import Session

from app.db.models import Flavor, FlavorAccess
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
    #: Only what this project may use: public ones, and private ones that it has access to.
    usable_by: str | None = None
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


def has_access(session: Session, flavor_id: str, project_id: str) -> bool:
    """Return whether the project was given the flavor."""
    return session.get(FlavorAccess, (flavor_id, project_id)) is not None


def projects_with_access(session: Session, flavor_id: str) -> list[str]:
    """Return the ids of the projects that were given the flavor."""
    query = select(FlavorAccess.project_id).where(FlavorAccess.flavor_id == flavor_id)
    return list(session.scalars(query.order_by(FlavorAccess.project_id)))


def listed(session: Session, wanted: FlavorFilter, part: Page) -> list[Flavor]:
    """Return a page of the flavors that pass the filter, by id unless ordered otherwise."""
    query: Select[Flavor] = select(Flavor).where(
        Flavor.root_gib >= wanted.min_root_gib, Flavor.memory_mib >= wanted.min_memory_mib
    )
    if wanted.is_public is not None:
        query = query.where(Flavor.is_public.is_(wanted.is_public))
    if wanted.usable_by is not None:
        query = query.where(or_(Flavor.is_public.is_(True), _given_to(wanted.usable_by)))
    keys = [Key(ORDERS[name], descending) for name, descending in part.order]
    keys.append(Key(Flavor.id, descending=False))
    return list(session.scalars(page(session, query, keys, part.marker, part.limit)))


def _given_to(project_id: str) -> ColumnElement[bool]:
    given = select(FlavorAccess.flavor_id).where(FlavorAccess.project_id == project_id)
    return Flavor.id.in_(given)
