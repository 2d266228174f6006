"""How many servers, processors and how much memory a project may have. -1 is without limit."""

from collections.abc import Mapping

from sqlalchemy.orm import Session

from app.db.models import Project
from app.db.repo import identity, quota, server_groups
from app.db.session import reading
from app.services.context import Caller, Context
from app.services.network_quotas import Quota
from tasks.errors import Forbidden, NotFound, RequestError

#: resource, as in Nova -> column of Project
COLUMNS = {"instances": "quota_servers", "cores": "quota_vcpus", "ram": "quota_memory_mib"}


def get(context: Context, caller: Caller, project_id: str) -> dict[str, Quota]:
    """Return a project's limits by resource, and what is used of them. Raises Forbidden,
    NotFound."""
    if not caller.is_admin and project_id != caller.project_id:
        raise Forbidden("Policy doesn't allow os_compute_api:os-quota-sets:show to be performed.")
    with reading(context.sessions) as session:
        project = identity.project_by_id(session, project_id)
        if project is None:
            raise NotFound(f"Project {project_id} could not be found.")
        groups = server_groups.count(session, project.id)
        of_groups = Quota(context.settings.quota_server_groups, groups)
        return {**_quotas(session, project), "server_groups": of_groups}


def defaults(context: Context) -> dict[str, int]:
    """Return the limits of a new project, by resource."""
    return {name: getattr(context.settings, column) for name, column in COLUMNS.items()}


def change(
    context: Context, project_id: str, limits: Mapping[str, int], *, forced: bool
) -> dict[str, Quota]:
    """Set some of a project's limits, not below what is used unless forced. Raises NotFound,
    RequestError."""
    with context.sessions.begin() as session:
        project = quota.lock_project(session, project_id)
        before = _quotas(session, project)
        for resource, limit in limits.items():
            if not forced and 0 <= limit < before[resource].used:
                raise RequestError(
                    f"Quota limit {limit} for {resource} must be greater than or equal to already"
                    f" used and reserved {before[resource].used}."
                )
            setattr(project, COLUMNS[resource], limit)
        return _quotas(session, project)


def reset(context: Context, project_id: str) -> None:
    """Give a project the limits of a new one. Raises NotFound."""
    with context.sessions.begin() as session:
        project = quota.lock_project(session, project_id)
        for resource, limit in defaults(context).items():
            setattr(project, COLUMNS[resource], limit)


def _quotas(session: Session, project: Project) -> dict[str, Quota]:
    used = quota.usage(session, project.id)
    counts = {"instances": used.servers, "cores": used.vcpus, "ram": used.memory_mib}
    return {name: Quota(getattr(project, column), counts[name]) for name, column in COLUMNS.items()}
