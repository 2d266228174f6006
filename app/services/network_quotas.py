"""How many of the network API's things a project may have. -1 is without limit."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.db.models import Project
from app.db.repo import identity, networks, quota
from app.db.session import reading
from app.services.context import Caller, Context
from app.services.network_errors import InvalidInput
from tasks.errors import NotFound, OverQuota

#: resource -> column of Project
COLUMNS = {
    "network": "quota_networks",
    "subnet": "quota_subnets",
    "port": "quota_ports",
    "router": "quota_routers",
    "floatingip": "quota_floating_ips",
    "security_group": "quota_security_groups",
    "security_group_rule": "quota_security_group_rules",
}


@dataclass(frozen=True)
class Quota:
    """A limit, and what is used of it."""

    limit: int
    used: int


def check(session: Session, project_id: str, resource: str, count: int = 1) -> None:
    """Make sure that the project may have so many more; the project is locked until the commit.
    Raises OverQuota, NotFound."""
    project = quota.lock_project(session, project_id)
    limit = getattr(project, COLUMNS[resource])
    if 0 <= limit < networks.used(session, project_id, resource) + count:
        raise OverQuota(f"Quota exceeded for resources: ['{resource}'].")


def get(context: Context, caller: Caller, project_id: str) -> dict[str, Quota]:
    """Return a project's limits by resource. Raises NotFound."""
    with reading(context.sessions) as session:
        return _quotas(session, _found(session, caller, project_id))


def change(
    context: Context, caller: Caller, project_id: str, limits: dict[str, int], *, checked: bool
) -> dict[str, Quota]:
    """Set some of a project's limits; `checked` ones not below what is used. Raises NotFound,
    Forbidden, InvalidInput."""
    with context.sessions.begin() as session:
        project = _found(session, caller, project_id)
        for resource, limit in limits.items():
            used = networks.used(session, project_id, resource) if checked else 0
            if 0 <= limit < used:
                raise InvalidInput(f"{resource}: {used} are in use.")
            setattr(project, COLUMNS[resource], limit)
        session.flush()
        return _quotas(session, project)


def reset(context: Context, caller: Caller, project_id: str) -> None:
    """Give a project the limits of a new one. Raises NotFound."""
    with context.sessions.begin() as session:
        project = _found(session, caller, project_id)
        for column in COLUMNS.values():
            setattr(project, column, getattr(context.settings, column))


def _found(session: Session, caller: Caller, project_id: str) -> Project:
    if project_id != caller.project_id:
        caller.check("network:quotas:show:others")
    project = identity.project_by_id(session, project_id)
    if project is None:
        raise NotFound(f"Project {project_id} could not be found.")
    return project


def _quotas(session: Session, project: Project) -> dict[str, Quota]:
    return {
        name: Quota(getattr(project, column), networks.used(session, project.id, name))
        for name, column in COLUMNS.items()
    }
