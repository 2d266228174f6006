"""Availability zones: where there are hosts, as everybody sees it, and with which, as operators
do."""

from typing import Any

from marshmallow import Schema, fields

from app.api.auth import context
from app.api.compute.schema import Json, answer
from app.api.compute.services import BINARY
from app.api.dialects import COMPUTE
from app.api.routes import Routes
from app.api.times import bare_micro_time
from app.services import hypervisors
from app.services.hypervisors import HypervisorView

routes = Routes(COMPUTE, "zones", "Where servers can be.", "/v2.1/os-availability-zone")


class ZoneState(Schema):
    """Whether a zone can take servers."""

    available = fields.Boolean(required=True)


class Zone(Schema):
    """A zone; its hosts are for operators."""

    zoneName = fields.String(required=True)  # noqa: N815
    zoneState = fields.Nested(ZoneState, required=True)  # noqa: N815
    hosts = fields.Dict(required=True, allow_none=True)


Zones = answer("ZonesAnswer", availabilityZoneInfo=fields.List(fields.Nested(Zone), required=True))


@routes.endpoint("GET", "", "zones:list", returns=Zones)
def list_zones() -> Any:
    """List the zones in which there are hosts"""
    found = hypervisors.zones(context())
    return {"availabilityZoneInfo": [_zone(name, views, None) for name, views in found.items()]}


@routes.endpoint("GET", "/detail", "zones:detail", returns=Zones)
def list_zones_detail() -> Any:
    """List the zones with their hosts"""
    found = hypervisors.zones(context())
    hosts = {
        name: {view.name: {BINARY: _worker(view)} for view in views}
        for name, views in found.items()
    }
    return {
        "availabilityZoneInfo": [_zone(name, views, hosts[name]) for name, views in found.items()]
    }


def _zone(name: str, views: list[HypervisorView], hosts: Json | None) -> Json:
    is_available = any(view.enabled for view in views)
    return {"zoneName": name, "zoneState": {"available": is_available}, "hosts": hosts}


def _worker(view: HypervisorView) -> Json:
    return {
        "active": view.enabled,
        "available": view.alive,
        "updated_at": bare_micro_time(view.last_seen_at),
    }
