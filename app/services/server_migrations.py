"""Which servers were resized, and how that ended, for administrators: Nova's migrations."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from app.db.models import Hypervisor, Migration
from app.db.repo import migrations
from app.db.repo.paging import Page
from app.db.session import reading
from app.services.context import Context


@dataclass(frozen=True)
class MigrationView:
    """One resize of a server."""

    id: int
    uuid: str
    kind: str
    status: str
    server_id: str
    source: str
    dest: str
    #: The destination's address; none if it is there no more.
    dest_ip: str | None
    old_flavor_id: str
    new_flavor_id: str
    created_at: datetime
    updated_at: datetime | None


@dataclass(frozen=True)
class WantedMigrations:
    """Which are wanted. `facts`: column -> what it must be; `host`: source or destination."""

    facts: Mapping[str, str]
    host: str | None = None
    changes_since: datetime | None = None


def listed(context: Context, wanted: WantedMigrations, part: Page) -> list[MigrationView]:
    """Return a page of migrations, newest first. Raises RequestError for an unknown marker."""
    with reading(context.sessions) as session:
        rows = migrations.listed(session, wanted.facts, wanted.host, wanted.changes_since, part)
        return [_view(row, host) for row, host in rows]


def _view(row: Migration, dest: Hypervisor | None) -> MigrationView:
    return MigrationView(
        id=row.id,
        uuid=row.run_id,
        kind=row.kind,
        status=row.status,
        server_id=row.server_id,
        source=row.source,
        dest=row.dest,
        dest_ip=dest.host_ip if dest is not None else None,
        old_flavor_id=row.old_size["flavor_id"],
        new_flavor_id=row.new_size["flavor_id"],
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
