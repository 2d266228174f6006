"""With which servers a server shares its host, and with which it must not: by its group, or by the
hints of its create."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from app.db.models import Project, RequestSpec, Server, ServerGroup, ServerGroupMember
from app.db.repo import server_groups
from app.services.context import Caller
from tasks.errors import QuotaExceeded, RequestError

AFFINITY, ANTI_AFFINITY = "affinity", "anti-affinity"

#: Where the request spec's hints keep the ids of servers.
_SAME, _DIFFERENT = "same_host", "different_host"


@dataclass(frozen=True)
class Hints:
    """What a create says of its neighbours: the id of a group, and ids of servers."""

    group_id: str | None = None
    same_host: tuple[str, ...] = ()
    different_host: tuple[str, ...] = ()

    def kept(self) -> dict[str, Any]:
        """Return what the request spec keeps of it."""
        given = {_SAME: self.same_host, _DIFFERENT: self.different_host}
        return {name: list(ids) for name, ids in given.items() if ids}


@dataclass(frozen=True)
class Neighbours:
    """Ids of the hypervisors that a server may only be on, if any are said, of those that it must
    not be on, and of those that are better for it than others, or worse."""

    keep_to: tuple[str, ...] | None = None
    keep_from: tuple[str, ...] = field(default=())
    company: tuple[tuple[str, int], ...] = field(default=())


def check(session: Session, caller: Caller, hints: Hints) -> ServerGroup | None:
    """Return the group that is asked for, locked. Raises RequestError for what is not there."""
    for name, ids in ((_SAME, hints.same_host), (_DIFFERENT, hints.different_host)):
        for server_id in ids:
            server = session.get(Server, server_id)
            if server is None or server.deleted_at or server.project_id != caller.project_id:
                raise RequestError(f"{name}: instance {server_id} could not be found.")
    if hints.group_id is None:
        return None
    group = server_groups.lock(session, hints.group_id)
    if group is None or group.project_id != caller.project_id:
        raise RequestError(f"group: instance group {hints.group_id} could not be found.")
    return group


def join(session: Session, project: Project, group: ServerGroup, servers: list[Server]) -> None:
    """Make the project's servers, whose rows are there, members of the locked group. Raises
    QuotaExceeded."""
    most = project.quota_server_group_members
    there = len(server_groups.members(session, [group.id])[group.id])
    if 0 <= most < there + len(servers):
        raise QuotaExceeded("Quota exceeded, too many servers in group")
    session.add_all(ServerGroupMember(server_id=one.id, group_id=group.id) for one in servers)


def neighbours(session: Session, spec: RequestSpec) -> Neighbours:
    """Return where a server may be, as its neighbours are now. Its group is locked: of two that are
    placed at the same moment, one sees where the other one went."""
    keep_to: set[str] | None = None
    keep_from: set[str] = set()
    company: dict[str, int] = {}
    if same := spec.hints.get(_SAME):
        keep_to = set(server_groups.homes(session, same))
    if different := spec.hints.get(_DIFFERENT):
        keep_from |= set(server_groups.hosts(session, different))
    group = server_groups.lock_of(session, spec.server_id)
    if group is not None:
        others = set(server_groups.members(session, [group.id])[group.id]) - {spec.server_id}
        hosts = server_groups.hosts(session, others)
        if group.is_soft:
            company = (
                {host: -count for host, count in hosts.items()}
                if group.policy == ANTI_AFFINITY
                else server_groups.homes(session, others)
            )
        elif group.policy == ANTI_AFFINITY:
            most = group.max_server_per_host or 1
            keep_from |= {host for host, count in hosts.items() if count >= most}
        elif hosts:
            homes = set(server_groups.homes(session, others))
            keep_to = homes if keep_to is None else keep_to & homes
    return Neighbours(
        None if keep_to is None else tuple(sorted(keep_to)),
        tuple(sorted(keep_from)),
        tuple(sorted(company.items())),
    )
