"""Server groups: what a project keeps together, or apart."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.db.models import ServerGroup
from app.db.models.base import new_id, now
from app.db.repo import quota, server_groups
from app.db.session import reading
from app.services.context import Caller, Context
from tasks.errors import NotFound, QuotaExceeded

#: Before a policy that may be left aside if no host suits it.
SOFT = "soft-"


@dataclass(frozen=True)
class ServerGroupView:
    """A group and the ids of its servers."""

    id: str
    name: str
    project_id: str
    user_id: str
    policy: str
    max_server_per_host: int | None
    members: tuple[str, ...]


def listed(
    context: Context, caller: Caller, *, all_projects: bool, limit: int, offset: int
) -> list[ServerGroupView]:
    """Return a page of the project's groups; of all projects for an administrator who asks for
    it. Raises Forbidden."""
    if all_projects:
        caller.check("compute:server_groups:list:all_projects")
    with reading(context.sessions) as session:
        whose = None if all_projects else caller.project_id
        return _views(session, server_groups.listed(session, whose, limit, offset))


def get(context: Context, caller: Caller, group_id: str) -> ServerGroupView:
    """Return a group. Raises NotFound."""
    with reading(context.sessions) as session:
        group = server_groups.get(session, group_id)
        return _views(session, [_visible(group, caller, group_id)])[0]


def create(
    context: Context,
    caller: Caller,
    name: str,
    policy: str,
    max_server_per_host: int | None = None,
) -> ServerGroupView:
    """Make a group, of which nothing is a member yet. Raises QuotaExceeded."""
    with context.sessions.begin() as session:
        most = quota.lock_project(session, caller.project_id).quota_server_groups
        if 0 <= most <= server_groups.count(session, caller.project_id):
            raise QuotaExceeded("Quota exceeded, too many server groups.")
        group = ServerGroup(
            id=new_id(),
            project_id=caller.project_id,
            user_id=caller.user_id,
            name=name,
            policy=policy.removeprefix(SOFT),
            is_soft=policy.startswith(SOFT),
            max_server_per_host=max_server_per_host,
            created_at=now(),
        )
        session.add(group)
        session.flush()
        return _view(group, [])


def delete(context: Context, caller: Caller, group_id: str) -> None:
    """Forget a group; its servers stay where they are. Raises NotFound."""
    with context.sessions.begin() as session:
        group = server_groups.lock(session, group_id)
        session.delete(_visible(group, caller, group_id))


def _visible(group: ServerGroup | None, caller: Caller, group_id: str) -> ServerGroup:
    if group is None or not (caller.is_admin or group.project_id == caller.project_id):
        raise NotFound(f"Instance group {group_id} could not be found.")
    return group


def _views(session: Session, groups: Sequence[ServerGroup]) -> list[ServerGroupView]:
    members = server_groups.members(session, [group.id for group in groups])
    return [_view(group, members[group.id]) for group in groups]


def _view(group: ServerGroup, members: Sequence[str]) -> ServerGroupView:
    return ServerGroupView(
        id=group.id,
        name=group.name,
        project_id=group.project_id,
        user_id=group.user_id,
        policy=f"{SOFT if group.is_soft else ''}{group.policy}",
        max_server_per_host=group.max_server_per_host,
        members=tuple(members),
    )
