"""Flavors: the sizes on offer."""

from dataclasses import dataclass, replace

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.db.models import Flavor
from app.db.models.base import new_id
from app.db.repo import flavors
from app.db.repo.flavors import FlavorFilter
from app.db.repo.paging import Page
from app.db.session import reading
from app.services.context import Caller, Context
from tasks.errors import Conflict, NotFound


@dataclass(frozen=True)
class FlavorView:
    """A size on offer."""

    id: str
    name: str
    vcpus: int
    memory_mib: int
    root_gib: int
    is_public: bool


@dataclass(frozen=True)
class NewFlavor:
    """A size to offer. Without an id it gets one."""

    id: str | None
    name: str
    vcpus: int
    memory_mib: int
    root_gib: int
    is_public: bool


def listed(context: Context, caller: Caller, wanted: FlavorFilter, part: Page) -> list[FlavorView]:
    """Return a page of flavors. Only an administrator is shown private ones."""
    if not caller.is_admin:
        wanted = replace(wanted, is_public=True)
    with reading(context.sessions) as session:
        return [view(row) for row in flavors.listed(session, wanted, part)]


def get(context: Context, caller: Caller, flavor_id: str) -> FlavorView:
    """Return a flavor. Raises NotFound."""
    with reading(context.sessions) as session:
        row = flavors.get(session, flavor_id)
    if row is None or not (row.is_public or caller.is_admin):
        raise NotFound(f"Flavor {flavor_id} could not be found.")
    return view(row)


def create(context: Context, new: NewFlavor) -> FlavorView:
    """Offer a size. Raises Conflict if its name or id is taken."""
    row = Flavor(
        id=new.id or new_id(),
        name=new.name,
        vcpus=new.vcpus,
        memory_mib=new.memory_mib,
        root_gib=new.root_gib,
        is_public=new.is_public,
    )
    try:
        with context.sessions.begin() as session:
            _refuse_taken(session, row)
            session.add(row)
    except IntegrityError as error:
        raise Conflict(f"Flavor with name {new.name} or ID {row.id} already exists.") from error
    return view(row)


def delete(context: Context, flavor_id: str) -> None:
    """Offer the size no more; servers that have it keep it. Raises NotFound."""
    with context.sessions.begin() as session:
        row = flavors.get(session, flavor_id)
        if row is None:
            raise NotFound(f"Flavor {flavor_id} could not be found.")
        session.delete(row)


def view(row: Flavor) -> FlavorView:
    """Return what is shown of the row."""
    return FlavorView(row.id, row.name, row.vcpus, row.memory_mib, row.root_gib, row.is_public)


def _refuse_taken(session: Session, row: Flavor) -> None:
    if flavors.by_name(session, row.name) is not None:
        raise Conflict(f"Flavor with name {row.name} already exists.")
    if flavors.get(session, row.id) is not None:
        raise Conflict(f"Flavor with ID {row.id} already exists.")
