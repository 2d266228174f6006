"""What a project may have of compute: servers, processors, memory and so on. -1 is without limit.

A project's limits are its row's. Those that no administrator has set for it follow the defaults:
when a default changes, they are changed with it, so that whoever claims reads one row.
"""

from collections.abc import Mapping

from sqlalchemy.orm import Session

from app.db.models import Project, QuotaDefault
from app.db.repo import identity, networks, quota, server_groups
from app.db.session import reading
from app.services.context import Caller, Context
from app.services.network_quotas import Quota
from config.settings import ControlSettings
from tasks.errors import NotFound, RequestError

#: resource, as in Nova -> column of Project, and setting of the same name
COLUMNS = {
    "instances": "quota_servers",
    "cores": "quota_vcpus",
    "ram": "quota_memory_mib",
    "key_pairs": "quota_key_pairs",
    "metadata_items": "quota_metadata_items",
    "server_groups": "quota_server_groups",
    "server_group_members": "quota_server_group_members",
    "injected_files": "quota_injected_files",
    "injected_file_content_bytes": "quota_injected_file_content_bytes",
    "injected_file_path_bytes": "quota_injected_file_path_bytes",
}

#: Nova's word for a limit of network's -> (column of Project, network's word)
OF_NETWORK = {
    "security_groups": ("quota_security_groups", "security_group"),
    "floating_ips": ("quota_floating_ips", "floatingip"),
    "security_group_rules": ("quota_security_group_rules", "security_group_rule"),
}


def get(context: Context, caller: Caller, project_id: str) -> dict[str, Quota]:
    """Return a project's limits by resource, and what is used of them; network's too. Raises
    Forbidden, NotFound."""
    if project_id != caller.project_id:
        caller.check("compute:quotas:show:others")
    with reading(context.sessions) as session:
        project = identity.project_by_id(session, project_id)
        if project is None:
            raise NotFound(f"Project {project_id} could not be found.")
        return _quotas(session, project)


def defaults(context: Context) -> dict[str, int]:
    """Return the limits, by resource, of projects without their own; network's too."""
    with reading(context.sessions) as session:
        found = _defaults(session, context.settings)
    settings = context.settings
    return found | {name: getattr(settings, column) for name, (column, _) in OF_NETWORK.items()}


def change_defaults(context: Context, limits: Mapping[str, int]) -> dict[str, int]:
    """Set some of the limits of projects without their own, now and later, and return all."""
    with context.sessions.begin() as session:
        for resource, limit in limits.items():
            session.merge(QuotaDefault(resource=resource, limit=limit))
        for project in quota.lock_all(session):
            for resource in limits.keys() - set(project.own_quotas):
                setattr(project, COLUMNS[resource], limits[resource])
    return defaults(context)


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
        project.own_quotas = sorted({*project.own_quotas, *limits})
        return _quotas(session, project)


def reset(context: Context, project_id: str) -> None:
    """Let a project have no limits of its own any more. Raises NotFound."""
    with context.sessions.begin() as session:
        project = quota.lock_project(session, project_id)
        follow_defaults(session, context.settings, project)


def follow_defaults(session: Session, settings: ControlSettings, project: Project) -> None:
    """Give a project the limits of those without their own."""
    for resource, limit in _defaults(session, settings).items():
        setattr(project, COLUMNS[resource], limit)
    project.own_quotas = []


def _defaults(session: Session, settings: ControlSettings) -> dict[str, int]:
    settled = {name: getattr(settings, column) for name, column in COLUMNS.items()}
    return settled | quota.defaults(session)


def _quotas(session: Session, project: Project) -> dict[str, Quota]:
    """Key pairs, metadata, files and members are counted for each user, server and group: as in
    Nova, nothing is in use of them in a project."""
    used = quota.usage(session, project.id)
    counts = {
        "instances": used.servers,
        "cores": used.vcpus,
        "ram": used.memory_mib,
        "server_groups": server_groups.count(session, project.id),
    }
    own = {
        name: Quota(getattr(project, column), counts.get(name, 0))
        for name, column in COLUMNS.items()
    }
    return own | {
        name: Quota(getattr(project, column), networks.used(session, project.id, word))
        for name, (column, word) in OF_NETWORK.items()
    }
