"""Queries on servers and on their runs, as their owners see them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, literal, not_, or_, select
from sqlalchemy.orm import Session, joinedload, selectinload

from app.db.models import FixedAddress, Hypervisor, Port, RequestSpec, Run, Server, ServerTag
from app.db.repo.paging import Key, Page, page

#: What lists can be ordered by.
ORDERS: dict[str, Any] = {
    "uuid": Server.id,
    "display_name": Server.name,
    "vm_state": Server.vm_state,
    "created_at": Server.created_at,
    "updated_at": func.coalesce(Server.updated_at, Server.created_at),
    "launched_at": func.coalesce(Server.launched_at, Server.created_at),
    "host": func.coalesce(Server.hypervisor_id, ""),
    "node": func.coalesce(Server.hypervisor_id, ""),
    "hostname": Server.hostname,
    "access_ip_v4": Server.access_ipv4,
    "access_ip_v6": Server.access_ipv6,
    "image_ref": Server.image_id,
    "instance_type_id": Server.flavor_id,
    "key_name": func.coalesce(Server.key_name, ""),
    "power_state": Server.power_state,
    "project_id": Server.project_id,
    "task_state": func.coalesce(Server.task_state, ""),
    "terminated_at": func.coalesce(Server.deleted_at, Server.created_at),
    "user_id": Server.user_id,
}

#: With these a server is read whole in four queries, however many servers there are.
_WHOLE = (
    joinedload(Server.hypervisor),
    joinedload(Server.fault),
    selectinload(Server.ports).joinedload(Port.network),
    selectinload(Server.tags),
    selectinload(Server.ports).selectinload(Port.floating_ips),
)


#: Statuses that say what a host was seen to do. They hold as long as it is heard of; after that the
#: server is shown with Nova's UNKNOWN.
OBSERVED = ("ACTIVE", "SHUTOFF", "PAUSED", "SUSPENDED", "REBOOT", "HARD_REBOOT", "RESCUE")
UNKNOWN = "UNKNOWN"


@dataclass(frozen=True)
class ShownSpec:
    """What is shown of what was asked for. The user data is base64, and empty if not read."""

    extra_specs: dict[str, str]
    user_data: str = ""


#: Of a server that is deleted.
NO_SPEC = ShownSpec({})


@dataclass(frozen=True)
class TagFilter:
    """All of which tags, any of which, not all of which, and none of which servers have."""

    every: Sequence[str] = ()
    some: Sequence[str] = ()
    not_every: Sequence[str] = ()
    not_any: Sequence[str] = ()


@dataclass(frozen=True)
class ServerFilter:
    """Which servers are wanted. `project_id` None is every project's. A host not heard of since
    `alive_since` is silent."""

    project_id: str | None
    alive_since: datetime
    deleted: bool = False
    changes_since: datetime | None = None
    #: A pattern for LIKE, with `\\` as its escape.
    name_like: str | None = None
    host: str | None = None
    #: The zone of its host; empty: without a host.
    zone: str | None = None
    #: The zone of hosts whose aggregates give them none.
    default_zone: str = ""
    #: Patterns as of `name_like`, each of which one of its addresses must fit.
    addresses: Sequence[str] = ()
    #: column of Server -> values, one of which it must have
    facts: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    tags: TagFilter = field(default_factory=TagFilter)


def get(session: Session, server_id: str, *, also_deleted: bool = False) -> Server | None:
    """Return a server that is not deleted unless it may be, with all that is shown of it, or
    None."""
    query = select(Server).where(Server.id == server_id)
    if not also_deleted:
        query = query.where(Server.deleted_at.is_(None))
    return session.scalars(query.options(*_WHOLE)).unique().one_or_none()


def placed(session: Session, server_ids: Collection[str]) -> dict[str, bool]:
    """Return which of these servers are there, and whether each has a host."""
    query = select(Server.id, Server.hypervisor_id).where(
        Server.id.in_(server_ids), Server.deleted_at.is_(None)
    )
    return {server_id: host is not None for server_id, host in session.execute(query)}


def on_host(session: Session, host: str, among: Collection[str]) -> list[str]:
    """Return those of the servers, by id, that are on the host of that name."""
    query = (
        select(Server.id)
        .join(Hypervisor, Hypervisor.id == Server.hypervisor_id)
        .where(Server.id.in_(among), Server.deleted_at.is_(None), Hypervisor.name == host)
        .order_by(Server.id)
    )
    return list(session.scalars(query))


def lock(session: Session, server_id: str) -> None:
    """Lock a server's row, before it is read, against others who change what its owner says of it.
    Whoever does so takes no run's lock after it (see `lock_runs`), and keeps nobody from writing
    rows that refer to the server."""
    query = select(Server.id).where(Server.id == server_id)
    session.execute(query.with_for_update(key_share=True))


def listed(session: Session, wanted: ServerFilter, part: Page) -> list[Server]:
    """Return a page of the servers that pass the filter, newest first unless ordered otherwise."""
    order = part.order or (("created_at", True),)
    keys = [Key(ORDERS[name], descending) for name, descending in order if name != "uuid"]
    keys.append(Key(Server.id, descending=order[-1][1]))
    query: Select[Any] = select(Server).where(*_conditions(wanted))
    query = page(session, query, keys, part.marker, part.limit)
    return list(session.scalars(query.options(*_WHOLE)).unique())


def _conditions(wanted: ServerFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.project_id is not None:
        conditions.append(Server.project_id == wanted.project_id)
    if wanted.changes_since is not None:
        # Who asks for changes must learn of deletions too.
        changed = func.coalesce(Server.updated_at, Server.created_at)
        conditions.append(changed >= wanted.changes_since)
    else:
        alive = Server.deleted_at.is_(None)
        conditions.append(~alive if wanted.deleted else alive)
    if wanted.name_like is not None:
        conditions.append(Server.name.ilike(wanted.name_like, escape="\\"))
    if wanted.host is not None:
        host = select(Hypervisor.id).where(Hypervisor.name == wanted.host)
        conditions.append(Server.hypervisor_id.in_(host))
    if wanted.zone == "":
        conditions.append(Server.hypervisor_id.is_(None))
    elif wanted.zone is not None:
        zone = func.coalesce(Hypervisor.availability_zone, wanted.default_zone)
        there = select(Hypervisor.id).where(zone == wanted.zone)
        conditions.append(Server.hypervisor_id.in_(there))
    for pattern in wanted.addresses:
        alike = FixedAddress.address.like(pattern, escape="\\")
        holders = select(Port.server_id).join(Port.addresses).where(alike)
        conditions.append(Server.id.in_(holders))
    for name, values in wanted.facts.items():
        column = getattr(Server, name)
        shown = column.in_(values) if name != "status" else _has_status(values, wanted.alive_since)
        conditions.append(shown)
    return [*conditions, *_tagged(wanted.tags)]


def _tagged(wanted: TagFilter) -> list[ColumnElement[bool]]:
    conditions = [_has(tag) for tag in wanted.every]
    if wanted.some:
        conditions.append(or_(*map(_has, wanted.some)))
    if wanted.not_every:
        conditions.append(not_(and_(*map(_has, wanted.not_every))))
    conditions += [not_(_has(tag)) for tag in wanted.not_any]
    return conditions


def _has(tag: str) -> ColumnElement[bool]:
    return Server.id.in_(select(ServerTag.server_id).where(ServerTag.tag == tag))


def _has_status(values: Sequence[str], alive_since: datetime) -> ColumnElement[bool]:
    """Find servers by the status that is shown of them."""
    silent = select(Hypervisor.id).where(
        or_(Hypervisor.last_seen_at < alive_since, Hypervisor.forced_down)
    )
    unknown = Server.status.in_(OBSERVED) & func.coalesce(Server.hypervisor_id, "").in_(silent)
    known = Server.status.in_(values) & ~unknown
    return known | unknown if UNKNOWN in values else known


def specs(
    session: Session, server_ids: Sequence[str], *, with_user_data: bool
) -> dict[str, ShownSpec]:
    """Return what is shown of what was asked for, by server. User data is large: it is read only if
    it is wanted."""
    user_data = RequestSpec.user_data if with_user_data else literal("")
    query = select(RequestSpec.server_id, RequestSpec.extra_specs, user_data)
    rows = session.execute(query.where(RequestSpec.server_id.in_(server_ids)))
    return {server_id: ShownSpec(dict(given), data) for server_id, given, data in rows}


def lock_runs(session: Session, server_id: str) -> list[Run]:
    """Lock all of the server's runs, those that have ended included. Deletes of one server take
    turns here: a stage locks its run before it writes the server, so nobody may start with the
    server's own row."""
    query = select(Run).where(Run.server_id == server_id).order_by(Run.created_at, Run.id)
    return list(session.scalars(query.with_for_update()))


def runs_of(session: Session, server_id: str) -> list[Run]:
    """Return the server's runs with their attempts and stages, newest first."""
    query = select(Run).where(Run.server_id == server_id)
    query = query.options(selectinload(Run.attempts), selectinload(Run.stages))
    return list(session.scalars(query.order_by(Run.created_at.desc(), Run.id)))


def shelved_before(session: Session, moment: datetime, limit: int) -> list[str]:
    """Return ids of servers that have been shelved before then and are on a host still."""
    query = select(Server.id).where(
        Server.vm_state == "shelved",
        Server.shelved_at < moment,
        Server.task_state.is_(None),
        Server.hypervisor_id.is_not(None),
        Server.deleted_at.is_(None),
    )
    return list(session.scalars(query.order_by(Server.shelved_at).limit(limit)))
