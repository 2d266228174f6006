"""What a project may have, and what it has."""

from dataclasses import dataclass

from app.db.models import Project
from app.db.repo import networks, quota, security_groups, server_groups
from app.db.session import reading
from app.services.context import Caller, Context


@dataclass(frozen=True)
class LimitsView:
    """Limits (-1 is none) and what is used of them."""

    servers: int
    vcpus: int
    memory_mib: int
    servers_used: int
    vcpus_used: int
    memory_mib_used: int
    keypairs: int
    security_groups: int
    security_group_rules: int
    security_groups_used: int
    server_groups: int
    server_group_members: int
    server_groups_used: int
    floating_ips: int
    floating_ips_used: int
    metadata_items: int
    injected_files: int
    injected_file_content_bytes: int


def get(context: Context, caller: Caller) -> LimitsView:
    """Return the limits of the caller's project."""
    with reading(context.sessions) as session:
        project = session.get_one(Project, caller.project_id)
        used = quota.usage(session, project.id)
        groups = security_groups.count(session, project.id)
        groups_of_servers = server_groups.count(session, project.id)
        floating_ips = networks.used(session, project.id, "floatingip")
    return LimitsView(
        project.quota_servers,
        project.quota_vcpus,
        project.quota_memory_mib,
        used.servers,
        used.vcpus,
        used.memory_mib,
        project.quota_key_pairs,
        project.quota_security_groups,
        project.quota_security_group_rules,
        groups,
        project.quota_server_groups,
        project.quota_server_group_members,
        groups_of_servers,
        project.quota_floating_ips,
        floating_ips,
        project.quota_metadata_items,
        project.quota_injected_files,
        project.quota_injected_file_content_bytes,
    )
