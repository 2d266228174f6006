"""What is shown of a server, as a frozen value made from its rows."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from app.db.models import Fault, Hypervisor, Port, Server
from app.db.repo.servers import OBSERVED, UNKNOWN, ShownSpec
from app.runs.checkpoint import NO_STATE


@dataclass(frozen=True)
class AddressView:
    """One address of a server on a network."""

    network: str
    address: str
    #: 4 or 6
    version: int
    mac: str
    #: A floating IP that stands for another one.
    is_floating: bool = False


@dataclass(frozen=True)
class FaultView:
    """Why a server is in ERROR. `details` are for its owner too: the console's last lines."""

    code: int
    message: str
    details: str
    created_at: datetime


@dataclass(frozen=True)
class SizeView:
    """What a server has of its flavor, as it was when it was asked for."""

    flavor_name: str
    vcpus: int
    memory_mib: int
    root_gib: int
    ephemeral_gib: int
    swap_mib: int
    extra_specs: dict[str, str]


@dataclass(frozen=True)
class ServerView:
    """A server with its addresses, its fault if it has one, and its host for operators."""

    id: str
    name: str
    description: str | None
    hostname: str
    project_id: str
    user_id: str
    status: str
    vm_state: str
    task_state: str | None
    power_state: int
    flavor_id: str
    size: SizeView
    image_id: str
    key_name: str | None
    metadata: dict[str, str]
    tags: tuple[str, ...]
    is_locked: bool
    access_ipv4: str
    access_ipv6: str
    disk_config: str
    config_drive: bool
    created_at: datetime
    updated_at: datetime
    launched_at: datetime | None
    deleted_at: datetime | None
    addresses: tuple[AddressView, ...]
    #: Names, each once.
    security_groups: tuple[str, ...]
    fault: FaultView | None
    #: The hypervisor's name; none until one is claimed. For operators.
    host: str | None
    #: The zone that its aggregates give its host; none: the settings' zone, if it has a host.
    zone: str | None
    #: What owners see of it: tells whether two of their servers share a host, and no more.
    host_id: str
    #: Nova's word for how its host is; for operators.
    host_status: str
    #: By which request it was made, and as which of its servers.
    reservation_id: str
    launch_index: int
    #: base64; for operators.
    user_data: str | None


def server_view(
    row: Server, alive_since: datetime, spec: ShownSpec, security_groups: tuple[str, ...] = ()
) -> ServerView:
    """Return what is shown of the row; ports, fault, tags and hypervisor are read with it. What was
    last known of a server whose host has fallen silent since `alive_since` is not shown as if it
    were so now."""
    host = row.hypervisor.name if row.hypervisor is not None else None
    is_known = _is_known(row, alive_since)
    return ServerView(
        id=row.id,
        name=row.name,
        description=row.description,
        hostname=row.hostname,
        project_id=row.project_id,
        user_id=row.user_id,
        status=row.status if is_known else UNKNOWN,
        vm_state=row.vm_state,
        task_state=row.task_state,
        power_state=row.power_state if is_known else NO_STATE,
        flavor_id=row.flavor_id,
        size=_size(row, spec.extra_specs),
        image_id=row.image_id,
        key_name=row.key_name,
        metadata=dict(row.user_metadata),
        tags=tuple(each.tag for each in row.tags),
        is_locked=row.locked_by is not None,
        access_ipv4=row.access_ipv4,
        access_ipv6=row.access_ipv6,
        disk_config=row.disk_config,
        config_drive=row.config_drive,
        created_at=row.created_at,
        updated_at=row.updated_at or row.created_at,
        launched_at=row.launched_at,
        deleted_at=row.deleted_at,
        addresses=tuple(view for port in row.ports for view in _addresses(port)),
        security_groups=security_groups,
        fault=_fault(row.fault),
        host=host,
        zone=row.hypervisor.availability_zone if row.hypervisor is not None else None,
        host_id=host_id(row.project_id, host),
        host_status=_host_status(row.hypervisor, alive_since),
        reservation_id=row.reservation_id,
        launch_index=row.launch_index,
        user_data=spec.user_data or None,
    )


def _size(row: Server, extra_specs: dict[str, str]) -> SizeView:
    return SizeView(
        flavor_name=row.flavor_name,
        vcpus=row.vcpus,
        memory_mib=row.memory_mib,
        root_gib=row.root_gib,
        ephemeral_gib=row.ephemeral_gib,
        swap_mib=row.swap_mib,
        extra_specs=extra_specs,
    )


def _addresses(port: Port) -> list[AddressView]:
    """Return the port's addresses, each before the floating IPs that stand for it."""
    found = []
    for held in port.addresses:
        found.append(AddressView(port.network.name, held.address, held.subnet.version, port.mac))
        found += [
            AddressView(port.network.name, one.address, 4, port.mac, is_floating=True)
            for one in port.floating_ips
            if one.fixed_address == held.address
        ]
    return found


def _is_known(row: Server, alive_since: datetime) -> bool:
    if row.hypervisor is None or row.status not in OBSERVED:
        return True
    return is_heard(row.hypervisor, alive_since)


def is_heard(host: Hypervisor, alive_since: datetime) -> bool:
    """Say whether a host is up: heard of lately, and not said to be down by an operator."""
    return host.last_seen_at >= alive_since and not host.forced_down


def _host_status(host: Hypervisor | None, alive_since: datetime) -> str:
    if host is None:
        return ""
    if host.forced_down:
        return "DOWN"
    if not is_heard(host, alive_since):
        return "UNKNOWN"
    return "UP" if host.enabled else "MAINTENANCE"


def host_id(project_id: str, host: str | None) -> str:
    """Return a host's name as one project may see it; empty when there is none."""
    return hashlib.sha224(f"{project_id}{host}".encode()).hexdigest() if host else ""


def _fault(row: Fault | None) -> FaultView | None:
    if row is None:
        return None
    return FaultView(row.code, row.message, row.details, row.created_at)
