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
from app.runs.extra_specs import check_extra_specs
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
    ephemeral_gib: int
    swap_mib: int
    is_public: bool
    description: str | None
    extra_specs: dict[str, str]


@dataclass(frozen=True)
class NewFlavor:
    """A size to offer. Without an id it gets one."""

    id: str | None
    name: str
    vcpus: int
    memory_mib: int
    root_gib: int
    ephemeral_gib: int
    swap_mib: int
    is_public: bool
    description: str | None = None


def listed(context: Context, caller: Caller, wanted: FlavorFilter, part: Page) -> list[FlavorView]:
    """Return a page of flavors: whoever is no administrator is shown what their project may use,
    whichever kind they ask for, as in Nova."""
    if not caller.is_admin:
        wanted = replace(wanted, is_public=None, usable_by=caller.project_id)
    with reading(context.sessions) as session:
        return [view(row) for row in flavors.listed(session, wanted, part)]


def get(context: Context, caller: Caller, flavor_id: str) -> FlavorView:
    """Return a flavor. Raises NotFound."""
    with reading(context.sessions) as session:
        return view(_visible(session, caller, flavor_id))


def extra_specs(context: Context, caller: Caller, flavor_id: str) -> dict[str, str]:
    """Return the flavor's extra specs. Raises NotFound."""
    with reading(context.sessions) as session:
        return dict(_visible(session, caller, flavor_id).extra_specs)


def extra_spec(context: Context, caller: Caller, flavor_id: str, key: str) -> str:
    """Return one of its extra specs. Raises NotFound."""
    specs = extra_specs(context, caller, flavor_id)
    if key not in specs:
        raise _no_spec(flavor_id, key)
    return specs[key]


def set_extra_specs(context: Context, flavor_id: str, specs: dict[str, str]) -> None:
    """Add these to the flavor's extra specs, or change them; servers that have the flavor keep
    what they had. Raises NotFound, and RequestError for what could not be carried out."""
    with context.sessions.begin() as session:
        row = _locked(session, flavor_id)
        _write(row, {**row.extra_specs, **specs})


def remove_extra_spec(context: Context, flavor_id: str, key: str) -> None:
    """Take one away. Raises NotFound, and RequestError if another one needs it."""
    with context.sessions.begin() as session:
        row = _locked(session, flavor_id)
        if key not in row.extra_specs:
            raise _no_spec(flavor_id, key)
        _write(row, {name: value for name, value in row.extra_specs.items() if name != key})


def create(context: Context, new: NewFlavor) -> FlavorView:
    """Offer a size. Raises Conflict if its name or id is taken."""
    row = Flavor(
        id=new.id or new_id(),
        name=new.name,
        vcpus=new.vcpus,
        memory_mib=new.memory_mib,
        root_gib=new.root_gib,
        ephemeral_gib=new.ephemeral_gib,
        swap_mib=new.swap_mib,
        is_public=new.is_public,
        description=new.description,
        extra_specs={},
    )
    try:
        with context.sessions.begin() as session:
            _refuse_taken(session, row)
            session.add(row)
    except IntegrityError as error:
        raise Conflict(f"Flavor with name {new.name} or ID {row.id} already exists.") from error
    return view(row)


def describe(context: Context, flavor_id: str, description: str | None) -> FlavorView:
    """Say something else of the flavor, or nothing. Raises NotFound."""
    with context.sessions.begin() as session:
        row = _locked(session, flavor_id)
        row.description = description
        return view(row)


def delete(context: Context, flavor_id: str) -> None:
    """Offer the size no more; servers that have it keep it. Raises NotFound."""
    with context.sessions.begin() as session:
        session.delete(_locked(session, flavor_id))


def usable(session: Session, caller: Caller, flavor_id: str) -> Flavor | None:
    """Return the flavor if the caller may use it, or None."""
    row = flavors.get(session, flavor_id)
    if row is None or row.is_public or caller.is_admin:
        return row
    return row if flavors.has_access(session, flavor_id, caller.project_id) else None


def view(row: Flavor) -> FlavorView:
    """Return what is shown of the row."""
    return FlavorView(
        id=row.id,
        name=row.name,
        vcpus=row.vcpus,
        memory_mib=row.memory_mib,
        root_gib=row.root_gib,
        ephemeral_gib=row.ephemeral_gib,
        swap_mib=row.swap_mib,
        is_public=row.is_public,
        description=row.description,
        extra_specs=dict(row.extra_specs),
    )


def _visible(session: Session, caller: Caller, flavor_id: str) -> Flavor:
    row = usable(session, caller, flavor_id)
    if row is None:
        raise _absent(flavor_id)
    return row


def _locked(session: Session, flavor_id: str) -> Flavor:
    row = flavors.lock(session, flavor_id)
    if row is None:
        raise _absent(flavor_id)
    return row


def _write(row: Flavor, specs: dict[str, str]) -> None:
    check_extra_specs(specs)
    # A new value: what changes inside of a JSON column is not noticed.
    row.extra_specs = specs


def _absent(flavor_id: str) -> NotFound:
    return NotFound(f"Flavor {flavor_id} could not be found.")


def _no_spec(flavor_id: str, key: str) -> NotFound:
    return NotFound(f"Flavor {flavor_id} has no extra specs with key {key}.")


def _refuse_taken(session: Session, row: Flavor) -> None:
    if flavors.by_name(session, row.name) is not None:
        raise Conflict(f"Flavor with name {row.name} already exists.")
    if flavors.get(session, row.id) is not None:
        raise Conflict(f"Flavor with ID {row.id} already exists.")
