"""Is what was allowed at the request still there, and still allowed? Asked again by the pipeline.

Between the request and the build an image can be deleted, a flavor's project limit lowered.
"""

from sqlalchemy.orm import Session

from app.db.models import Flavor, Image, Project, RequestSpec, Server
from app.db.repo import addresses, quota, security_groups
from app.db.session import Sessions, reading
from app.services.image_fit import check_fits
from tasks.errors import ImageUnusable, NotFound, QuotaExceeded, StaleMessage


def check(sessions: Sessions, server_id: str) -> None:
    """Raises NotFound, ImageUnusable, QuotaExceeded; StaleMessage if the server was deleted."""
    with reading(sessions) as session:
        server = session.get_one(Server, server_id)
        spec = session.get(RequestSpec, server_id)
        if spec is None:
            raise StaleMessage(f"Server {server_id} was deleted meanwhile.")
        _check_image(session, server)
        if server.shelved_image_id is None:
            # One that is shelved has its sizes and its ports already.
            _check_flavor(session, server)
            _check_networks(session, spec)
            _check_groups(session, spec)
        _check_quota(session, server)


def _check_flavor(session: Session, server: Server) -> None:
    if session.get(Flavor, server.flavor_id) is None:
        raise NotFound(f"Flavor {server.flavor_id} is gone.")


def _check_image(session: Session, server: Server) -> None:
    image = session.get(Image, server.disk_image_id)
    if image is None:
        raise ImageUnusable(f"Image {server.disk_image_id} is gone.")
    check_fits(image, root_gib=server.root_gib, memory_mib=server.memory_mib)


def _check_networks(session: Session, spec: RequestSpec) -> None:
    there = {network.id for network in addresses.networks(session, spec.network_ids)}
    for network_id in spec.network_ids:
        if network_id not in there:
            raise NotFound(f"Network {network_id} is gone.")


def _check_groups(session: Session, spec: RequestSpec) -> None:
    there = security_groups.names(session, spec.security_group_ids)
    for group_id in spec.security_group_ids:
        if group_id not in there:
            raise NotFound(f"Security group {group_id} is gone.")


def _check_quota(session: Session, server: Server) -> None:
    """The server itself is among those counted."""
    project = session.get_one(Project, server.project_id)
    used = quota.usage(session, project.id)
    limits = (
        ("servers", used.servers, project.quota_servers),
        ("cores", used.vcpus, project.quota_vcpus),
        ("MiB of memory", used.memory_mib, project.quota_memory_mib),
    )
    for what, count, limit in limits:
        if 0 <= limit < count:
            raise QuotaExceeded(f"Quota exceeded: {count} {what} of {limit} allowed.")
