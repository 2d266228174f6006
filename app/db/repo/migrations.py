"""Queries on migrations."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Select, String, cast, func, or_, select
from sqlalchemy.orm import Session

from app.db.models import Hypervisor, Migration, Run
from app.db.repo.paging import Key, Page, page
from app.db.repo.runs import OPEN
from tasks.pipelines import JOURNEYS, RESIZES


def unsettled(session: Session, server_id: str) -> Migration | None:
    """Return the server's resize that can still be confirmed or taken back, locked, or None."""
    query = _unsettled(server_id).with_for_update().execution_options(populate_existing=True)
    return session.scalars(query).one_or_none()


def look(session: Session, server_id: str) -> Migration | None:
    """As `unsettled`, without a lock."""
    return session.scalars(_unsettled(server_id)).one_or_none()


def _unsettled(server_id: str) -> Select[Migration]:
    return select(Migration).where(Migration.server_id == server_id, Migration.settled_at.is_(None))


def of_run(session: Session, run_id: str) -> Migration | None:
    """Return the migration that the run carries out, or None."""
    return session.scalars(select(Migration).where(Migration.run_id == run_id)).one_or_none()


def carries(session: Session, image_id: str) -> bool:
    """Say whether a server that is on its way has one of its disks in this image."""
    is_one = cast(Migration.carried, String).contains(image_id, autoescape=True)
    query = select(Migration.id).where(Migration.settled_at.is_(None), is_one)
    return session.scalar(query.limit(1)) is not None


def servers_between(session: Session, hypervisor_id: str) -> set[str]:
    """Return ids of the servers that may be on this host when their migration is settled."""
    here = or_(Migration.source_id == hypervisor_id, Migration.dest_id == hypervisor_id)
    query = select(Migration.server_id).where(Migration.settled_at.is_(None), here)
    return set(session.scalars(query))


def is_needed(session: Session, hypervisor_id: str) -> bool:
    """Say whether a server is being moved from this host, or back to it."""
    query = select(Migration.id).join(Run, Run.server_id == Migration.server_id)
    query = query.where(
        Migration.settled_at.is_(None),
        Migration.source_id == hypervisor_id,
        Run.state == OPEN,
        Run.pipeline.in_(RESIZES | JOURNEYS),
    )
    return session.scalar(query.limit(1)) is not None


def waiting_since(session: Session, moment: datetime, limit: int) -> list[str]:
    """Return the ids of servers whose resize waits for a word since before then."""
    query = select(Migration.server_id).where(
        Migration.settled_at.is_(None), Migration.waits_since < moment
    )
    return list(session.scalars(query.order_by(Migration.waits_since).limit(limit)))


def give_up(session: Session, server_id: str, moment: datetime) -> Migration | None:
    """Settle the server's resize because the server is going; return it if there was one."""
    found = unsettled(session, server_id)
    if found is not None:
        found.status = "confirmed" if found.status == "finished" else "error"
        found.settled_at = moment
    return found


def listed(
    session: Session,
    facts: Mapping[str, str],
    host: str | None,
    changes_since: datetime | None,
    part: Page,
) -> list[tuple[Migration, Hypervisor | None]]:
    """Return a page of migrations, newest first, with their destinations that are still there.
    `facts`: column -> what it must be; `host`: the name of the source or the destination."""
    query = select(Migration).where(*(getattr(Migration, n) == v for n, v in facts.items()))
    if host is not None:
        query = query.where(or_(Migration.source == host, Migration.dest == host))
    if changes_since is not None:
        changed_at = func.coalesce(Migration.updated_at, Migration.created_at)
        query = query.where(changed_at >= changes_since)
    keys = [Key(Migration.id, descending=True), Key(Migration.run_id, descending=True)]
    rows = list(session.scalars(page(session, query, keys, part.marker, part.limit)))
    ids = {row.dest_id for row in rows}
    hosts = {h.id: h for h in session.scalars(select(Hypervisor).where(Hypervisor.id.in_(ids)))}
    return [(row, hosts.get(row.dest_id or "")) for row in rows]
