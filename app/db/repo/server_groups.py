"""Queries on server groups, and on where their servers are."""

from collections.abc import Collection, Sequence

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from app.db.models import Allocation, Server, ServerGroup, ServerGroupMember


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


def homes(session: Session, server_ids: Collection[str]) -> set[str]:
    """Return the ids of the hypervisors where any of these servers is, or is to be made. Of the two
    on which a server holds room that moves, it is the one that it was taken to last."""
    query = select(Allocation.hypervisor_id).join(Server, Server.id == Allocation.server_id)
    here = or_(Server.hypervisor_id.is_(None), Server.hypervisor_id == Allocation.hypervisor_id)
    return set(session.scalars(query.where(Server.id.in_(server_ids), here)))


def hosts(session: Session, server_ids: Collection[str]) -> dict[str, int]:
    """Return the ids of the hypervisors that hold room for any of these servers, and for how
    many."""
    query = select(Allocation.hypervisor_id, func.count())
    query = query.where(Allocation.server_id.in_(server_ids)).group_by(Allocation.hypervisor_id)
    rows = session.execute(query.order_by(Allocation.hypervisor_id))
    return {hypervisor_id: count for hypervisor_id, count in rows}  # noqa: C416 - rows are no pairs
