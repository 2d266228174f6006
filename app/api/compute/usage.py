"""Usage: how long a project's servers were up, and how much they were, within a span of time."""

from datetime import UTC
from typing import Any

from marshmallow import EXCLUDE, Schema, fields, validate

from app.api.auth import caller, context
from app.api.compute.schema import Flag, Json, answer, links_field
from app.api.dialects import COMPUTE
from app.api.gates import Gate
from app.api.links import next_page
from app.api.paging import read_page
from app.api.routes import Routes
from app.api.times import IN_CALENDAR, bare_micro_time
from app.api.versioned import Versioned, since
from app.services import usage
from app.services.usage import ProjectUsage, ServerUsage, Wanted

routes = Routes(
    COMPUTE, "usage", "What projects have used, in hours.", "/v2.1/os-simple-tenant-usage"
)


class UsageQuery(Versioned):
    """Of which span; by default of the last four weeks. What is unknown is ignored."""

    class Meta:
        unknown = EXCLUDE

    start = fields.AwareDateTime(format="iso", validate=IN_CALENDAR, default_timezone=UTC)
    end = fields.AwareDateTime(format="iso", validate=IN_CALENDAR, default_timezone=UTC)
    detailed = fields.String(metadata={"description": "`1`: each server too."})
    limit = since(Gate.USAGE_PAGES, fields.Integer(validate=validate.Range(min=0)))
    marker = since(
        Gate.USAGE_PAGES, fields.String(metadata={"description": "The last server's id."})
    )


class ServerUsageSchema(Schema):
    """A server that was up within the span."""

    instance_id = fields.String(required=True)
    name = fields.String(required=True)
    hours = fields.Float(required=True)
    tenant_id = fields.String(required=True)
    flavor = fields.String(required=True)
    memory_mb = fields.Integer(required=True)
    local_gb = fields.Integer(required=True)
    vcpus = fields.Integer(required=True)
    started_at = fields.String(required=True)
    ended_at = fields.String(required=True, allow_none=True)
    state = fields.String(required=True)
    uptime = fields.Integer(required=True)


class UsageSchema(Schema):
    """A project's usage; of one without any nothing is said."""

    tenant_id = fields.String()
    start = fields.String()
    stop = fields.String()
    total_hours = fields.Float()
    total_memory_mb_usage = fields.Float()
    total_vcpus_usage = fields.Float()
    total_local_gb_usage = fields.Float()
    server_usages = fields.List(fields.Nested(ServerUsageSchema))


Usages = answer(
    "UsagesAnswer",
    tenant_usages=fields.List(fields.Nested(UsageSchema), required=True),
    tenant_usages_links=since(Gate.USAGE_PAGES, links_field(required=False)),
)
Usage = answer(
    "UsageAnswer",
    tenant_usage=fields.Nested(UsageSchema, required=True),
    tenant_usage_links=since(Gate.USAGE_PAGES, links_field(required=False)),
)


@routes.endpoint("GET", "", "usage:list", query=UsageQuery, returns=Usages)
def list_usage(query: Json) -> Any:
    """List every project's usage

    From 2.40 on in pages, each of so many servers of all projects; the sums are a page's.
    """
    wanted = _wanted(query)
    found = usage.listed(context(), wanted)
    is_detailed = query.get("detailed") in Flag.truthy
    body: Json = {"tenant_usages": [_body(one, detailed=is_detailed) for one in found]}
    return body | _next("tenant_usages_links", wanted, found)


@routes.endpoint("GET", "/<project_id>", "usage:show", query=UsageQuery, returns=Usage)
def show_usage(query: Json, project_id: str) -> Any:
    """Show a project's usage, with each server's

    From 2.40 on in pages of so many servers; the sums are a page's.
    """
    wanted = _wanted(query)
    found = usage.get(context(), caller(), project_id, wanted)
    body: Json = {"tenant_usage": _body(found, detailed=True) if found.servers else {}}
    return body | _next("tenant_usage_links", wanted, [found])


def _wanted(query: Json) -> Wanted:
    part = read_page(query, ()) if Gate.USAGE_PAGES.is_open else None
    return Wanted(query.get("start"), query.get("end"), part)


def _next(name: str, wanted: Wanted, found: list[ProjectUsage]) -> Json:
    servers = [one.server.id for project in found for one in project.servers]
    if wanted.part is None or not servers or len(servers) < wanted.part.limit:
        return {}
    return {name: [{"rel": "next", "href": next_page(servers[-1])}]}


def _body(found: ProjectUsage, *, detailed: bool) -> Json:
    body: Json = {
        "tenant_id": found.project_id,
        "start": bare_micro_time(found.start),
        "stop": bare_micro_time(found.stop),
        "total_hours": found.hours,
        "total_memory_mb_usage": found.memory_mib_hours,
        "total_vcpus_usage": found.vcpu_hours,
        "total_local_gb_usage": found.disk_gib_hours,
    }
    if detailed:
        body["server_usages"] = [_server(one) for one in found.servers]
    return body


def _server(one: ServerUsage) -> Json:
    server = one.server
    return {
        "instance_id": server.id,
        "name": server.name,
        "hours": one.hours,
        "tenant_id": server.project_id,
        "flavor": server.flavor,
        "memory_mb": server.memory_mib,
        "local_gb": server.disk_gib,
        "vcpus": server.vcpus,
        "started_at": bare_micro_time(server.launched_at),
        "ended_at": bare_micro_time(server.deleted_at),
        "state": "terminated" if server.deleted_at else server.vm_state,
        "uptime": one.uptime_s,
    }
