"""Hypervisors: what each host has, and what of it is promised."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from marshmallow import EXCLUDE, Schema, fields, validate, validates_schema
from werkzeug import exceptions

from app.api.auth import context
from app.api.compute.schema import Flag, Json, answer, links_field, read_uuid, small_number
from app.api.dialects import COMPUTE
from app.api.gates import Gate
from app.api.links import next_page
from app.api.paging import MAX_LIMIT
from app.api.routes import Routes
from app.api.versioned import Changed, Versioned, since
from app.services import hypervisors
from app.services.hypervisors import HypervisorView
from app.services.server_names import instance_name
from tasks.errors import NotFound, RequestError

routes = Routes(COMPUTE, "hypervisors", "The hosts of servers, for operators.", "/v2.1")


class HypervisorServer(Schema):
    """A server, by what it is called on its host."""

    uuid = fields.String(required=True)
    name = fields.String(required=True)


class HypervisorBrief(Versioned):
    """A hypervisor, and whether it works."""

    id = Changed(Gate.UUIDS, fields.Integer(), fields.String(), required=True)
    hypervisor_hostname = fields.String(required=True)
    state = fields.String(required=True)
    status = fields.String(required=True)
    servers = since(Gate.UUIDS, fields.List(fields.Nested(HypervisorServer)))


class HypervisorService(Schema):
    """The hypervisor's worker."""

    id = Changed(Gate.UUIDS, fields.Integer(), fields.String(), required=True)
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
    cpu_info = Changed(Gate.CPU_INFO, fields.String(), fields.Dict(), required=True)
    service = fields.Nested(HypervisorService, required=True)


class HypervisorStatistics(HypervisorSums):
    """All hypervisors together."""

    count = fields.Integer(required=True)


class HypervisorUptime(HypervisorBrief):
    """For how long a hypervisor is up."""

    uptime = fields.String(required=True)


class HypervisorServers(HypervisorBrief):
    """A hypervisor with its servers."""

    servers = fields.List(fields.Nested(HypervisorServer))


class HypervisorFilter(Versioned):
    """Whether to tell a hypervisor's servers."""

    class Meta:
        unknown = EXCLUDE

    with_servers = since(Gate.UUIDS, Flag())

    @validates_schema(pass_original=True)
    def _check_unknown(self, _data: Json, original: Mapping[str, Any], **_: Any) -> None:
        """From 2.53 on, as in Nova, no parameter is left out silently."""
        if Gate.UUIDS.is_open:
            self.refuse_unknown(original)


class HypervisorQuery(HypervisorFilter):
    """Which hypervisors to list."""

    limit = since(Gate.HYPERVISOR_PAGES, fields.Integer(validate=validate.Range(min=0)))
    marker = since(Gate.HYPERVISOR_PAGES, fields.String())
    hypervisor_hostname_pattern = since(
        Gate.UUIDS, fields.String(validate=validate.Length(min=1, max=255))
    )


Hypervisors = answer(
    "HypervisorsAnswer",
    hypervisors=fields.List(fields.Nested(HypervisorBrief), required=True),
    hypervisors_links=since(Gate.HYPERVISOR_PAGES, links_field(required=False)),
)
HypervisorsDetail = answer(
    "HypervisorsDetailAnswer",
    hypervisors=fields.List(fields.Nested(HypervisorFull), required=True),
    hypervisors_links=since(Gate.HYPERVISOR_PAGES, links_field(required=False)),
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


@routes.endpoint(
    "GET",
    "/os-hypervisors",
    "hypervisors:list",
    query=HypervisorQuery,
    returns=Hypervisors,
    errors=(404,),
)
def list_hypervisors(query: Json) -> Any:
    """List hypervisors"""
    return _list(query, _brief)


@routes.endpoint(
    "GET",
    "/os-hypervisors/detail",
    "hypervisors:list",
    query=HypervisorQuery,
    returns=HypervisorsDetail,
    errors=(404,),
)
def list_hypervisors_detail(query: Json) -> Any:
    """List hypervisors in full"""
    return _list(query, _full)


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
    query=HypervisorFilter,
    returns=HypervisorAnswer,
    errors=(404,),
)
def show_hypervisor(query: Json, hypervisor_id: str) -> Any:
    """Show a hypervisor"""
    [body] = _bodies(query, [_find(hypervisor_id)], _full)
    return {"hypervisor": body}


@routes.endpoint(
    "GET",
    "/os-hypervisors/<hypervisor_id>/uptime",
    "hypervisors:show",
    returns=Uptime,
    errors=(400, 404, 501),
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
    return {"hypervisors": [_brief(view) | _servers(there.get(view.id, [])) for view in views]}


def _servers(server_ids: list[str]) -> Json:
    servers = [{"name": instance_name(one), "uuid": one} for one in server_ids]
    # As in Nova, a host without servers says nothing of them.
    return {"servers": servers} if servers else {}


def _list(query: Json, write: Callable[[HypervisorView], Json]) -> Json:
    views = hypervisors.listed(context())
    pattern = query.get("hypervisor_hostname_pattern")
    if pattern is not None:
        if "limit" in query or "marker" in query:
            raise RequestError(
                "Paging over hypervisors with the hypervisor_hostname_pattern query parameter is"
                " not supported."
            )
        found = hypervisors.matching(context(), pattern)
        return {"hypervisors": _bodies(query, found, write)}
    marker, limit = query.get("marker"), min(query.get("limit", MAX_LIMIT), MAX_LIMIT)
    keys = [str(_key(view)) for view in views]
    if marker is not None and marker not in keys:
        raise RequestError(f"Marker [{marker}] not found.")
    begin = 0 if marker is None else keys.index(marker) + 1
    found = views[begin : begin + limit] if Gate.HYPERVISOR_PAGES.is_open else views
    body: Json = {"hypervisors": _bodies(query, found, write)}
    if found and len(found) == limit:
        body["hypervisors_links"] = [{"rel": "next", "href": next_page(str(_key(found[-1])))}]
    return body


def _bodies(
    query: Json, views: list[HypervisorView], write: Callable[[HypervisorView], Json]
) -> list[Json]:
    if not query.get("with_servers"):
        return [write(view) for view in views]
    there = hypervisors.servers_of(context(), views)
    return [write(view) | _servers(there.get(view.id, [])) for view in views]


def _key(view: HypervisorView) -> int | str:
    """By what it is named in paths: a number, until 2.53."""
    return view.id if Gate.UUIDS.is_open else view.number


def _find(hypervisor_id: str) -> HypervisorView:
    if Gate.UUIDS.is_open:
        return hypervisors.get(context(), read_uuid(hypervisor_id))
    number = small_number(hypervisor_id)
    if number is None:
        raise NotFound(f"Hypervisor with ID '{hypervisor_id}' could not be found.")
    return hypervisors.get(context(), number)


def _brief(view: HypervisorView) -> Json:
    return {
        "id": _key(view),
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
        "cpu_info": cpu if Gate.CPU_INFO.is_open else json.dumps(cpu),
        "service": {
            "id": _key(view),
            "host": view.name,
            "disabled_reason": view.disabled_reason,
        },
    }
