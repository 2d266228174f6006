"""Queries on what projects' servers were, over time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from app.db.models import Flavor, Server
from app.db.repo.paging import Key, Page, page


@dataclass(frozen=True)
class UsedServer:
    """A server that ran, also one that is deleted since, with the sizes that it had last."""

    id: str
    project_id: str
    name: str
    flavor: str
    vcpus: int
    memory_mib: int
    #: Root and ephemeral disk.
    disk_gib: int
    launched_at: datetime
    deleted_at: datetime | None
    vm_state: str


def servers_between(
    session: Session,
    start: datetime,
    stop: datetime,
    project_id: str | None,
    part: Page | None = None,
) -> Sequence[UsedServer]:
    """Return the project's servers, or all projects', that were up at some time between these
    moments, oldest first; only a part of them, if one is wanted. A flavor that is gone is named by
    its id. Raises RequestError for an unknown marker."""
    columns: Any = (
        Server.id,
        Server.project_id,
        Server.name,
        func.coalesce(Flavor.name, Server.flavor_id),
        Server.vcpus,
        Server.memory_mib,
        Server.root_gib + Server.ephemeral_gib,
        Server.launched_at,
        Server.deleted_at,
        Server.vm_state,
    )
    query = (
        select(*columns)
        .outerjoin(Flavor, Flavor.id == Server.flavor_id)
        .where(
            Server.launched_at < stop, or_(Server.deleted_at.is_(None), Server.deleted_at > start)
        )
    )
    if project_id is not None:
        query = query.where(Server.project_id == project_id)
    order = (Server.project_id, Server.launched_at, Server.id)
    if part is None:
        query = query.order_by(*order)
    else:
        keys = [Key(column, descending=False) for column in order]
        query = page(session, query, keys, part.marker, part.limit)
    rows: Any = session.execute(query)
    return [UsedServer(*row) for row in rows]
