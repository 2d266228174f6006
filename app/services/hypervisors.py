"""The hypervisors as operators see them, and the availability zones as everybody does."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from app.db.models import Hypervisor
from app.db.repo import fabric, hypervisors
from app.db.repo.hypervisors import Held
from app.db.session import reading
from app.scheduling.rules import alive_since
from app.services.context import Context
from app.services.server_views import is_heard
from tasks.errors import NotFound

_GIB = 1024**3


@dataclass(frozen=True)
class HypervisorView:
    """A host, what it has, and what is promised of it."""

    id: str
    number: int
    name: str
    host_ip: str
    worker: str
    alive: bool
    enabled: bool
    disabled_reason: str | None
    zone: str
    forced_down: bool
    last_seen_at: datetime
    hypervisor_type: str
    hypervisor_version: int
    domain_type: str
    architecture: str
    cpu_model: str
    running_domains: int
    servers: int
    vcpus: int
    vcpus_used: int
    memory_mib: int
    memory_mib_used: int
    disk_gib: int
    disk_gib_used: int
    free_disk_gib: int
    #: What cached images take up, rounded up.
    image_cache_gib: int
    uefi: bool
    vif_limits: bool
    dedicated_vcpus: int
    dedicated_vcpus_used: int
    free_dedicated_vcpus: int
    #: As `uptime` says it; empty if the host does not tell.
    uptime: str


@dataclass(frozen=True)
class FabricView:
    """What a host has to carry out of networks and security groups, and what it has."""

    host: str
    alive: bool
    wanted: int
    carried_out: int
    pending: bool
    changed_at: datetime
    sent: int
    sent_at: datetime | None
    sends: int


def fabrics(context: Context) -> list[FabricView]:
    """Return how far each host is."""
    since = alive_since(context.settings)
    with reading(context.sessions) as session:
        return [
            FabricView(
                host=host.name,
                alive=host.last_seen_at >= since,
                wanted=state.revision,
                carried_out=host.fabric_carried_out,
                pending=host.fabric_carried_out < state.revision,
                changed_at=state.changed_at,
                sent=state.sent_revision,
                sent_at=state.sent_at,
                sends=state.sends,
            )
            for host, state in fabric.listed(session)
        ]


def listed(context: Context) -> list[HypervisorView]:
    """Return all hosts."""
    with reading(context.sessions) as session:
        return _views(session, context, hypervisors.listed(session))


def zones(context: Context) -> dict[str, list[HypervisorView]]:
    """Return the zones in which there are hosts, by name, with their hosts."""
    found: dict[str, list[HypervisorView]] = {}
    for view in listed(context):
        found.setdefault(view.zone, []).append(view)
    return dict(sorted(found.items()))


@dataclass(frozen=True)
class HostResources:
    """A host, and what each project holds of it."""

    host: HypervisorView
    held: tuple[Held, ...]


def resources(context: Context, name: str) -> HostResources:
    """Return what a host has, and who holds what of it. Raises NotFound."""
    with reading(context.sessions) as session:
        row = hypervisors.by_name(session, name)
        if row is None:
            raise NotFound(f"Compute host {name} could not be found.")
        held = hypervisors.held(session, row.id)
        return HostResources(_views(session, context, [row])[0], tuple(held))


def matching(context: Context, pattern: str) -> list[HypervisorView]:
    """Return the hosts whose names hold the pattern. Raises NotFound if there are none."""
    found = [view for view in listed(context) if pattern in view.name]
    if not found:
        raise NotFound(f"No hypervisor matching '{pattern}' could be found.")
    return found


def servers_of(context: Context, views: Sequence[HypervisorView]) -> dict[str, list[str]]:
    """Return the ids of the servers on each of these hosts, by the host's id."""
    with reading(context.sessions) as session:
        return hypervisors.servers_of(session, [view.id for view in views])


def get(context: Context, key: int | str) -> HypervisorView:
    """Return a host by its number, or by its id. Raises NotFound."""
    with reading(context.sessions) as session:
        if isinstance(key, int):
            row = hypervisors.by_number(session, key)
        else:
            row = session.get(Hypervisor, key)
        if row is None:
            raise NotFound(f"Compute host {key} could not be found.")
        return _views(session, context, [row])[0]


def force_down(context: Context, name: str, *, forced: bool) -> None:
    """Say that a host is down, whatever is heard of it, or no more. Raises NotFound."""
    with context.sessions.begin() as session:
        _named(session, name).forced_down = forced


def change(
    context: Context,
    hypervisor_id: str,
    *,
    enabled: bool | None,
    reason: str | None,
    forced_down: bool | None,
) -> HypervisorView:
    """Let a host get new servers or not, and say that it is down or not; None leaves as it is.
    Raises NotFound."""
    with context.sessions.begin() as session:
        row = session.get(Hypervisor, hypervisor_id)
        if row is None:
            raise NotFound(f"Service {hypervisor_id} could not be found.")
        if enabled is not None:
            row.enabled, row.disabled_reason = enabled, None if enabled else reason
        if forced_down is not None:
            row.forced_down = forced_down
        return _views(session, context, [row])[0]


def set_enabled(context: Context, name: str, *, enabled: bool, reason: str | None = None) -> None:
    """Let a host get new servers, or not; those that it has stay. Raises NotFound."""
    with context.sessions.begin() as session:
        row = _named(session, name)
        row.enabled, row.disabled_reason = enabled, None if enabled else reason


def _named(session: Session, name: str) -> Hypervisor:
    row = hypervisors.by_name(session, name)
    if row is None:
        raise NotFound(f"No hypervisor is named {name}.")
    return row


def _views(session: Session, context: Context, rows: list[Hypervisor]) -> list[HypervisorView]:
    since = alive_since(context.settings)
    servers = hypervisors.servers_on(session, [row.id for row in rows])
    zone = context.settings.availability_zone
    return [_view(row, since, servers.get(row.id, 0), zone) for row in rows]


def _view(row: Hypervisor, since: datetime, servers: int, default_zone: str) -> HypervisorView:
    return HypervisorView(
        id=row.id,
        number=row.number,
        name=row.name,
        host_ip=row.host_ip,
        worker=row.worker,
        alive=is_heard(row, since),
        enabled=row.enabled,
        disabled_reason=row.disabled_reason,
        zone=row.availability_zone or default_zone,
        forced_down=row.forced_down,
        last_seen_at=row.last_seen_at,
        hypervisor_type=row.hypervisor_type,
        hypervisor_version=row.hypervisor_version,
        domain_type=row.domain_type,
        architecture=row.architecture,
        cpu_model=row.cpu_model,
        running_domains=row.running_domains,
        servers=servers,
        vcpus=row.vcpus,
        vcpus_used=row.vcpus_used,
        memory_mib=row.memory_mib,
        memory_mib_used=row.memory_mib_used,
        disk_gib=row.disk_gib,
        disk_gib_used=row.disk_gib_used,
        free_disk_gib=row.free_disk_gib,
        image_cache_gib=-(-row.image_cache_bytes // _GIB),
        uefi=row.uefi,
        vif_limits=row.vif_limits,
        dedicated_vcpus=row.dedicated_vcpus,
        dedicated_vcpus_used=row.dedicated_vcpus_used,
        free_dedicated_vcpus=row.free_dedicated_vcpus,
        uptime=row.uptime,
    )
