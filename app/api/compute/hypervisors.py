"""Hypervisors: what each host has, and what of it is promised."""

import json
from typing import Any

from marshmallow import Schema, fields
from werkzeug import exceptions

from app.api.auth import context
from app.api.compute.schema import Json, answer, small_number
from app.api.dialects import COMPUTE
from app.api.gates import Gate
from app.api.routes import Routes
from app.services import hypervisors
from app.services.hypervisors import HypervisorView
from app.services.server_names import instance_name
from tasks.errors import NotFound

routes = Routes(COMPUTE, "hypervisors", "The hosts of servers, for operators.", "/v2.1")


class HypervisorBrief(Schema):
    """A hypervisor, and whether it works."""

    id = fields.Integer(required=True)
    hypervisor_hostname = fields.String(required=True)
    state = fields.String(required=True)
    status = fields.String(required=True)


class HypervisorService(Schema):
    """The hypervisor's worker."""

    id = fields.Integer(required=True)
    host = fields.String(required=True)
    disabled_reason = fields.String(required=True, allow_none=True)


class HypervisorSums(Schema):
    """What there is and what of it is promised."""

    vcpus = fields.Integer(required=True)
    vcpus_used = fields.Integer(required=True)
    memory_mb = fields.Integer(required=True)
    memory_mb_used = fields.Integer(required=True)
    free_ram_mb = fields.Integer(required=True)
    local_gb = fields.Integer(required=True)
    local_gb_used = fields.Integer(required=True)
    free_disk_gb = fields.Integer(required=True)
    disk_available_least = fields.Integer(required=True)
    running_vms = fields.Integer(required=True)
    current_workload = fields.Integer(required=True)


class HypervisorFull(HypervisorBrief, HypervisorSums):
    """A hypervisor in full."""

    host_ip = fields.String(required=True)
    hypervisor_type = fields.String(required=True)
    hypervisor_version = fields.Integer(required=True)
    cpu_info = fields.String(required=True)
    service = fields.Nested(HypervisorService, required=True)


class HypervisorStatistics(HypervisorSums):
    """All hypervisors together."""

    count = fields.Integer(required=True)


class HypervisorUptime(HypervisorBrief):
    """For how long a hypervisor is up."""

    uptime = fields.String(required=True)


class HypervisorServer(Schema):
    """A server, by what it is called on its host."""

    name = fields.String(required=True)
    uuid = fields.String(required=True)


class HypervisorServers(HypervisorBrief):
    """A hypervisor with its servers."""

    servers = fields.List(fields.Nested(HypervisorServer))


Hypervisors = answer(
    "HypervisorsAnswer", hypervisors=fields.List(fields.Nested(HypervisorBrief), required=True)
)
HypervisorsDetail = answer(
    "HypervisorsDetailAnswer",
    hypervisors=fields.List(fields.Nested(HypervisorFull), required=True),
)
HypervisorAnswer = answer(
    "HypervisorAnswer", hypervisor=fields.Nested(HypervisorFull, required=True)
)
Uptime = answer("HypervisorUptimeAnswer", hypervisor=fields.Nested(HypervisorUptime, required=True))
HypervisorsServers = answer(
    "HypervisorsServersAnswer",
    hypervisors=fields.List(fields.Nested(HypervisorServers), required=True),
)
Statistics = answer(
    "HypervisorStatisticsAnswer",
    hypervisor_statistics=fields.Nested(HypervisorStatistics, required=True),
)


@routes.endpoint("GET", "/os-hypervisors", "hypervisors:list", returns=Hypervisors)
def list_hypervisors() -> Any:
    """List hypervisors"""
    return {"hypervisors": [_brief(view) for view in hypervisors.listed(context())]}


@routes.endpoint("GET", "/os-hypervisors/detail", "hypervisors:list", returns=HypervisorsDetail)
def list_hypervisors_detail() -> Any:
    """List hypervisors in full"""
    return {"hypervisors": [_full(view) for view in hypervisors.listed(context())]}


@routes.endpoint("GET", "/os-hypervisors/statistics", "hypervisors:list", returns=Statistics)
def show_statistics() -> Any:
    """Add up all hypervisors that are enabled"""
    views = [view for view in hypervisors.listed(context()) if view.enabled]
    sums = [_sums(view) for view in views]
    names = HypervisorSums().fields
    totals = {name: sum(each[name] for each in sums) for name in names}
    return {"hypervisor_statistics": {**totals, "count": len(views)}}


@routes.endpoint(
    "GET",
    "/os-hypervisors/<hypervisor_id>",
    "hypervisors:show",
    returns=HypervisorAnswer,
    errors=(404,),
)
def show_hypervisor(hypervisor_id: str) -> Any:
    """Show a hypervisor"""
    return {"hypervisor": _full(_find(hypervisor_id))}


@routes.endpoint(
    "GET",
    "/os-hypervisors/<hypervisor_id>/uptime",
    "hypervisors:show",
    returns=Uptime,
    errors=(404, 501),
)
def show_uptime(hypervisor_id: str) -> Any:
    """Show for how long a hypervisor is up, as its own `uptime` says it"""
    view = _find(hypervisor_id)
    if not view.uptime:
        # What clients take for "not known".
        raise exceptions.NotImplemented("Virt driver does not implement uptime function.")
    return {"hypervisor": {**_brief(view), "uptime": view.uptime}}


@routes.endpoint(
    "GET",
    "/os-hypervisors/<pattern>/search",
    "hypervisors:search",
    returns=Hypervisors,
    errors=(404,),
    until=Gate.UUIDS,
)
def search_hypervisors(pattern: str) -> Any:
    """List the hypervisors whose names hold a pattern"""
    return {"hypervisors": [_brief(view) for view in hypervisors.matching(context(), pattern)]}


@routes.endpoint(
    "GET",
    "/os-hypervisors/<pattern>/servers",
    "hypervisors:search",
    returns=HypervisorsServers,
    errors=(404,),
    until=Gate.UUIDS,
)
def list_servers_of_hypervisors(pattern: str) -> Any:
    """List the hypervisors whose names hold a pattern, with their servers"""
    views = hypervisors.matching(context(), pattern)
    there = hypervisors.servers_of(context(), views)
    return {"hypervisors": [_with_servers(view, there.get(view.id, [])) for view in views]}


def _with_servers(view: HypervisorView, server_ids: list[str]) -> Json:
    servers = [{"name": instance_name(one), "uuid": one} for one in server_ids]
    # As in Nova, a host without servers says nothing of them.
    return _brief(view) | ({"servers": servers} if servers else {})


def _find(hypervisor_id: str) -> HypervisorView:
    number = small_number(hypervisor_id)
    if number is None:
        raise NotFound(f"Hypervisor with ID '{hypervisor_id}' could not be found.")
    return hypervisors.get(context(), number)


def _brief(view: HypervisorView) -> Json:
    return {
        "id": view.number,
        "hypervisor_hostname": view.name,
        "state": "up" if view.alive else "down",
        "status": "enabled" if view.enabled else "disabled",
    }


def _sums(view: HypervisorView) -> Json:
    return {
        "vcpus": view.vcpus,
        "vcpus_used": view.vcpus_used,
        "memory_mb": view.memory_mib,
        "memory_mb_used": view.memory_mib_used,
        "free_ram_mb": view.memory_mib - view.memory_mib_used,
        "local_gb": view.disk_gib,
        "local_gb_used": view.disk_gib_used + view.image_cache_gib,
        "free_disk_gb": view.disk_gib - view.disk_gib_used - view.image_cache_gib,
        "disk_available_least": view.free_disk_gib,
        "running_vms": view.servers,
        "current_workload": 0,
    }


def _full(view: HypervisorView) -> Json:
    cpu = {
        "arch": view.architecture,
        "model": view.cpu_model,
        "domain_type": view.domain_type,
        "uefi": view.uefi,
        "vif_limits": view.vif_limits,
        # Nova has no field of its own for them; they are not among `vcpus`.
        "dedicated_vcpus": view.dedicated_vcpus,
        "dedicated_vcpus_used": view.dedicated_vcpus_used,
        "dedicated_vcpus_free": view.free_dedicated_vcpus,
    }
    return {
        **_brief(view),
        **_sums(view),
        "host_ip": view.host_ip,
        "hypervisor_type": view.hypervisor_type,
        "hypervisor_version": view.hypervisor_version,
        # Text that holds JSON, until 2.28.
        "cpu_info": json.dumps(cpu),
        "service": {
            "id": view.number,
            "host": view.name,
            "disabled_reason": view.disabled_reason,
        },
    }
