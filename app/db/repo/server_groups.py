"""Queries on server groups, and on where their servers are."""

from collections.abc import Collection, Sequence

from sqlalchemy import Select, and_, case, func, or_, select
from sqlalchemy.orm import Session

from app.db.models import Allocation, Migration, Server, ServerGroup, ServerGroupMember


def get(session: Session, group_id: str) -> ServerGroup | None:
    """Return the group, or None."""
    return session.get(ServerGroup, group_id)


def lock(session: Session, group_id: str) -> ServerGroup | None:
    """Return the group, or None, so that until the commit nobody else places one of its servers
    or makes one in it."""
    query = select(ServerGroup).where(ServerGroup.id == group_id).with_for_update(key_share=True)
    return session.scalars(query.execution_options(populate_existing=True)).one_or_none()


def lock_of(session: Session, server_id: str) -> ServerGroup | None:
    """Return the server's group, locked, or None."""
    member = session.get(ServerGroupMember, server_id)
    return None if member is None else lock(session, member.group_id)


def listed(
    session: Session, project_id: str | None, limit: int, offset: int
) -> Sequence[ServerGroup]:
    """Return a page of the project's groups, or of all projects', oldest first."""
    query = select(ServerGroup).order_by(ServerGroup.created_at, ServerGroup.id)
    if project_id is not None:
        query = query.where(ServerGroup.project_id == project_id)
    return session.scalars(query.limit(limit).offset(offset)).all()


def count(session: Session, project_id: str) -> int:
    """Return how many groups the project has."""
    query = select(func.count()).select_from(ServerGroup).filter_by(project_id=project_id)
    return session.scalar(query) or 0


def members(session: Session, group_ids: Collection[str]) -> dict[str, list[str]]:
    """Return the ids of the groups' servers, oldest first, without those that were deleted."""
    query = (
        select(ServerGroupMember.group_id, Server.id)
        .join(Server, Server.id == ServerGroupMember.server_id)
        .where(ServerGroupMember.group_id.in_(group_ids), Server.deleted_at.is_(None))
        .order_by(Server.created_at, Server.id)
    )
    found: dict[str, list[str]] = {group_id: [] for group_id in group_ids}
    for group_id, server_id in session.execute(query):
        found[group_id].append(server_id)
    return found


def hosts(session: Session, server_ids: Collection[str]) -> dict[str, int]:
    """Return the ids of the hypervisors that hold room for any of these servers, and for how
    many."""
    query = select(Allocation.hypervisor_id, func.count())
    query = query.where(Allocation.server_id.in_(server_ids))
    return _by_host(session, query)


def homes(session: Session, server_ids: Collection[str]) -> dict[str, int]:
    """The same, but of two hosts on which a server holds room only the one that it is to be on when
    all goes well: that it moves to, or is taken back to."""
    goes = Migration.status.in_(("migrating", "finished"))
    home = case(
        (Migration.id.is_(None), Server.hypervisor_id),
        (goes, func.coalesce(Migration.dest_id, Migration.source_id)),
        else_=Migration.source_id,
    )
    is_moving = and_(Migration.server_id == Server.id, Migration.settled_at.is_(None))
    query = select(Allocation.hypervisor_id, func.count())
    query = query.join(Server, Server.id == Allocation.server_id)
    query = query.outerjoin(Migration, is_moving)
    query = query.where(
        Server.id.in_(server_ids), or_(home.is_(None), home == Allocation.hypervisor_id)
    )
    return _by_host(session, query)


def _by_host(session: Session, query: Select[str, int]) -> dict[str, int]:
    query = query.group_by(Allocation.hypervisor_id).order_by(Allocation.hypervisor_id)
    return dict(session.execute(query).all())
