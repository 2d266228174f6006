"""Servers as their owners see them: list, show, rename, delete. app.services.new_servers creates
them."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from app.db.models import Server
from app.db.repo import security_groups, servers
from app.db.repo.paging import Page
from app.db.repo.servers import NO_SPEC, ServerFilter, TagFilter
from app.db.session import reading
from app.runs.start import Asker, request_delete
from app.scheduling.rules import alive_since
from app.services.context import Caller, Context
from app.services.server_views import ServerView, server_view
from tasks.errors import Conflict, NotFound


@dataclass(frozen=True)
class Wanted:
    """Which servers a list is to have."""

    all_projects: bool = False
    project_id: str | None = None
    deleted: bool = False
    changes_since: datetime | None = None
    name: str | None = None
    host: str | None = None
    #: Parts of addresses, each of which one of its addresses must have.
    addresses: Sequence[str] = ()
    availability_zone: str | None = None
    #: column of Server -> values, one of which it must have
    facts: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    tags: TagFilter = field(default_factory=TagFilter)


def listed(context: Context, caller: Caller, wanted: Wanted, part: Page) -> list[ServerView]:
    """Return a page of servers: the project's, or for an administrator everybody's.

    Raises Forbidden.
    """
    if wanted.all_projects:
        caller.check("compute:servers:list:all_projects")
    project_id = wanted.project_id if wanted.all_projects else caller.project_id
    row_filter = ServerFilter(
        project_id=project_id,
        # As in Nova: who is no administrator is shown what lives, whatever was asked.
        deleted=wanted.deleted and caller.is_admin,
        changes_since=wanted.changes_since,
        name_like=like_pattern(wanted.name) if wanted.name else None,
        host=wanted.host if caller.is_admin else None,
        zone=wanted.availability_zone,
        default_zone=context.settings.availability_zone,
        addresses=[like_pattern(part) for part in wanted.addresses],
        facts=wanted.facts,
        tags=wanted.tags,
        alive_since=alive_since(context.settings),
    )
    with reading(context.sessions) as session:
        rows = servers.listed(session, row_filter, part)
        return _views(session, context, rows, with_user_data=caller.is_admin)


def get(context: Context, caller: Caller, server_id: str) -> ServerView:
    """Return a server. Raises NotFound."""
    with reading(context.sessions) as session:
        row = found(servers.get(session, server_id), caller, server_id)
        return _views(session, context, [row])[0]


def _views(
    session: Session, context: Context, rows: Sequence[Server], *, with_user_data: bool = True
) -> list[ServerView]:
    ids, since = [row.id for row in rows], alive_since(context.settings)
    groups = security_groups.names_of_servers(session, ids)
    specs = servers.specs(session, ids, with_user_data=with_user_data)
    return [
        server_view(row, since, specs.get(row.id, NO_SPEC), tuple(groups[row.id])) for row in rows
    ]


def placed(context: Context, server_ids: Collection[str]) -> dict[str, bool]:
    """Return which of these servers there are, of any project, and whether each has a host."""
    with reading(context.sessions) as session:
        return servers.placed(session, server_ids)


def update(
    context: Context, caller: Caller, server_id: str, changes: Mapping[str, str | None]
) -> ServerView:
    """Change what its owner says of a server: column -> value. Its guest keeps the host name that
    it was started with. Raises NotFound."""
    with context.sessions.begin() as session:
        servers.lock(session, server_id)
        row = found(servers.get(session, server_id), caller, server_id)
        for column, value in changes.items():
            setattr(row, column, value)
        session.flush()
        return _views(session, context, [row])[0]


def delete(context: Context, caller: Caller, server_id: str) -> None:
    """Wish to be rid of a server; asking again does no harm. Raises NotFound, and
    Conflict while it is locked."""
    with context.sessions.begin() as session:
        servers.lock_runs(session, server_id)
        server = found(servers.get(session, server_id), caller, server_id)
        refuse_locked(server, caller)
        asker = Asker(caller.request_id, caller.user_id)
        begun = request_delete(session, server, asker=asker, settings=context.settings)
    for run in begun:
        context.publisher.publish(run.id)


def found(row: Server | None, caller: Caller, server_id: str) -> Server:
    """Return the row if the caller may see it. Raises NotFound."""
    if row is None or not (row.project_id == caller.project_id or caller.is_admin):
        raise NotFound(f"Instance {server_id} could not be found.")
    return row


def for_action(session: Session, caller: Caller, server_id: str) -> Server:
    """Return the server, with its runs locked until the transaction ends: nobody else begins one
    meanwhile. Raises NotFound, and Conflict if it is locked against changes."""
    servers.lock_runs(session, server_id)
    server = found(servers.get(session, server_id), caller, server_id)
    refuse_locked(server, caller)
    return server


def refuse_locked(server: Server, caller: Caller) -> None:
    """Refuse to change a locked server, but to who may. Raises Conflict."""
    if server.locked_by is not None and not caller.may("compute:servers:change:locked"):
        raise Conflict(f"Instance {server.id} is locked")


#: The parts of a regular expression that people use for names; the rest is taken as plain text.
_PARTS = re.compile(r"\\(?P<plain>.)|(?P<any>\.\*)|(?P<one>\.)|(?P<rest>.)", re.DOTALL)


def like_pattern(expression: str) -> str:
    """Return a LIKE pattern for a name filter, in which Nova takes regular expressions.

    Known are `^`, `$`, `.`, `.*` and a backslash before a plain character. A database's own
    expressions could be made to run for minutes by whoever asks; LIKE cannot.
    """
    anchored_start = expression.startswith("^")
    anchored_end = expression.endswith("$") and not expression.endswith("\\$")
    inner = expression[anchored_start : len(expression) - anchored_end]
    pattern = "".join(_like(match) for match in _PARTS.finditer(inner))
    return f"{'' if anchored_start else '%'}{pattern}{'' if anchored_end else '%'}"


def _like(match: re.Match[str]) -> str:
    if match["any"]:
        return "%"
    if match["one"]:
        return "_"
    character = match["plain"] or match["rest"]
    return f"\\{character}" if character in "%_\\" else character
