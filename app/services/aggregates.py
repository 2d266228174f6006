"""Host aggregates: operators put hosts together, give them a zone, and say what flavors and
projects they are for. A host is in one zone only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from tenacity import retry, retry_if_exception_type, stop_after_attempt

from app.db.models import Aggregate, AggregateHost, Hypervisor
from app.db.models.base import new_id, now
from app.db.repo import aggregates, hypervisors
from app.db.session import reading
from app.services.context import Context
from tasks.errors import Conflict, NotFound, RequestError

#: The metadata key under which Nova keeps an aggregate's zone, and clients set it.
ZONE = "availability_zone"

TRIES = 5

_IN_USE = "One or more hosts contain instances in this zone."


@dataclass(frozen=True)
class AggregateView:
    """An aggregate and the names of its hosts. `metadata` has its zone too, as in Nova."""

    id: str
    number: int
    name: str
    availability_zone: str | None
    metadata: Mapping[str, str]
    hosts: tuple[str, ...]
    created_at: datetime
    updated_at: datetime | None


def listed(context: Context) -> list[AggregateView]:
    """Return all aggregates, oldest first."""
    with reading(context.sessions) as session:
        return _views(session, aggregates.listed(session))


def get(context: Context, number: int) -> AggregateView:
    """Return an aggregate by its number. Raises NotFound."""
    with reading(context.sessions) as session:
        return _views(session, [_found(aggregates.by_number(session, number), number)])[0]


# Another process may take the name, or the number, between the look and the write.
@retry(retry=retry_if_exception_type(IntegrityError), stop=stop_after_attempt(TRIES), reraise=True)
def create(context: Context, name: str, zone: str | None) -> AggregateView:
    """Make an aggregate, in which no host is yet. Raises Conflict."""
    with context.sessions.begin() as session:
        _refuse_taken(session, name)
        row = Aggregate(
            id=new_id(),
            number=aggregates.next_number(session),
            name=name,
            availability_zone=zone,
            facts={},
            created_at=now(),
        )
        session.add(row)
    return _view(row, ())


@retry(retry=retry_if_exception_type(IntegrityError), stop=stop_after_attempt(TRIES), reraise=True)
def change(context: Context, number: int, changes: Mapping[str, str | None]) -> AggregateView:
    """Set its name, its zone or both. Raises NotFound, Conflict, and RequestError while a server
    would change its zone by that."""
    with context.sessions.begin() as session:
        row = _locked(session, number)
        name = changes.get("name")
        if name is not None and name != row.name:
            _refuse_taken(session, name)
            row.name = name
        if ZONE in changes:
            _set_zone(session, context, row, changes[ZONE], f"Cannot update aggregate {number}.")
        return _flushed(session, row)


def set_metadata(context: Context, number: int, items: Mapping[str, str | None]) -> AggregateView:
    """Add items or change them; None takes one away. Raises NotFound, and RequestError as
    `change`."""
    with context.sessions.begin() as session:
        row = _locked(session, number)
        facts = {**row.facts, **items}
        if ZONE in facts:
            prefix = f"Cannot update metadata of aggregate {number}."
            _set_zone(session, context, row, facts.pop(ZONE), prefix)
        row.facts = {key: value for key, value in facts.items() if value is not None}
        return _flushed(session, row)


def delete(context: Context, number: int) -> None:
    """Forget an aggregate without hosts. Raises NotFound, RequestError."""
    with context.sessions.begin() as session:
        row = _locked(session, number)
        if aggregates.hosts(session, [row.id])[row.id]:
            raise RequestError(
                f"Cannot delete aggregate {number}. Reason: Host aggregate is not empty."
            )
        session.delete(row)


def add_host(context: Context, number: int, host: str) -> AggregateView:
    """Put a host into the aggregate, and so into its zone. Raises NotFound, and Conflict if it is
    there already, in another zone, or has servers whose zone would change."""
    with context.sessions.begin() as session:
        row = _locked(session, number)
        found = _host(session, host)
        key = (row.id, found.id)
        if session.get(AggregateHost, key) is not None:
            raise Conflict(f"Aggregate {number} already has host {host}.")
        session.add(AggregateHost(aggregate_id=row.id, hypervisor_id=found.id))
        session.flush()
        if reason := _settle_zone(session, context, found):
            raise Conflict(f"Cannot add host to aggregate {number}. Reason: {reason}")
        return _flushed(session, row)


def remove_host(context: Context, number: int, host: str) -> AggregateView:
    """Take a host out of the aggregate, and so out of its zone. Raises NotFound, and Conflict if
    it has servers whose zone would change."""
    with context.sessions.begin() as session:
        row = _locked(session, number)
        found = _host(session, host)
        there = session.get(AggregateHost, (row.id, found.id))
        if there is None:
            raise NotFound(f"Cannot remove host {host} in aggregate {number}")
        session.delete(there)
        session.flush()
        if reason := _settle_zone(session, context, found):
            raise Conflict(f"Cannot remove host from aggregate {number}. Reason: {reason}")
        return _flushed(session, row)


def _set_zone(
    session: Session, context: Context, row: Aggregate, zone: str | None, prefix: str
) -> None:
    row.availability_zone = zone
    session.flush()
    for host in aggregates.lock_hosts(session, row.id):
        if reason := _settle_zone(session, context, host):
            raise RequestError(f"{prefix} Reason: {reason}")


def _settle_zone(session: Session, context: Context, host: Hypervisor) -> str | None:
    """Write the zone that its aggregates give a locked host; return why that cannot be, if so."""
    zones = aggregates.zones_of(session, host.id)
    if len(zones) > 1:
        return f"Host {host.name} already in availability zone '{host.availability_zone}'."
    zone, default = next(iter(zones), None), context.settings.availability_zone
    moves = (zone or default) != (host.availability_zone or default)
    if moves and hypervisors.has_servers(session, host.id):
        return _IN_USE
    host.availability_zone = zone
    return None


def _locked(session: Session, number: int) -> Aggregate:
    return _found(aggregates.lock(session, number), number)


def _found(row: Aggregate | None, number: int) -> Aggregate:
    if row is None:
        raise NotFound(f"Aggregate {number} could not be found.")
    return row


def _host(session: Session, name: str) -> Hypervisor:
    host = hypervisors.lock_named(session, name)
    if host is None:
        raise NotFound(f"Compute host {name} could not be found.")
    return host


def _refuse_taken(session: Session, name: str) -> None:
    if aggregates.is_taken(session, name):
        raise Conflict(f"Aggregate {name} already exists.")


def _flushed(session: Session, row: Aggregate) -> AggregateView:
    session.flush()
    return _views(session, [row])[0]


def _views(session: Session, rows: Sequence[Aggregate]) -> list[AggregateView]:
    hosts = aggregates.hosts(session, [row.id for row in rows])
    return [_view(row, hosts[row.id]) for row in rows]


def _view(row: Aggregate, hosts: Sequence[str]) -> AggregateView:
    zone = row.availability_zone
    return AggregateView(
        id=row.id,
        number=row.number,
        name=row.name,
        availability_zone=zone,
        metadata={**row.facts, **({ZONE: zone} if zone is not None else {})},
        hosts=tuple(hosts),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
