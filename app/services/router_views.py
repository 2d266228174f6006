"""What is shown of routers and floating IPs, as frozen values made from their rows."""

from dataclasses import dataclass

from app.db.models import FloatingIp, Hypervisor, Router
from app.runs.routing_spec import is_carried
from app.services.network_views import PortView, ThingView, notes, port_view

ACTIVE, DOWN, ERROR = "ACTIVE", "DOWN", "ERROR"


@dataclass(frozen=True, kw_only=True)
class RouterView(ThingView):
    """A router."""

    admin_state_up: bool
    external_network_id: str | None


@dataclass(frozen=True, kw_only=True)
class FloatingIpView(ThingView):
    """A floating IP, and the port that it stands for."""

    network_id: str
    address: str
    fixed_address: str | None
    router_id: str | None
    status: str
    port: PortView | None


def router_view(row: Router) -> RouterView:
    """Return what is shown of a router."""
    return RouterView(
        **notes(row),
        name=row.name,
        project_id=row.project_id,
        admin_state_up=row.admin_state_up,
        external_network_id=row.external_network_id,
    )


def floating_ip_view(
    row: FloatingIp, host: Hypervisor | None, *, is_router_up: bool
) -> FloatingIpView:
    """Return what is shown of a floating IP, whose port is on the host."""
    return FloatingIpView(
        **notes(row),
        name=row.address,
        project_id=row.project_id,
        network_id=row.network_id,
        address=row.address,
        fixed_address=row.fixed_address,
        router_id=row.router_id,
        status=_status(row, host, is_router_up=is_router_up),
        port=None if row.port is None else port_view(row.port),
    )


def _status(row: FloatingIp, host: Hypervisor | None, *, is_router_up: bool) -> str:
    """ACTIVE is what the host said that it has carried out."""
    if row.port_id is None or host is None or not is_router_up:
        return DOWN
    if not is_carried(row.network, host):
        return ERROR
    if row.told_revision is None or host.fabric_carried_out < row.told_revision:
        return DOWN
    return ERROR if row.id in host.refused_floating_ips else ACTIVE
