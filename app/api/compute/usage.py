"""Usage: how long a project's servers were up, and how much they were, within a span of time."""

from datetime import UTC
from typing import Any

from marshmallow import EXCLUDE, Schema, fields

from app.api.auth import caller, context
from app.api.compute.schema import Flag, Json, answer
from app.api.dialects import COMPUTE
from app.api.routes import Routes
from app.api.times import IN_CALENDAR, bare_micro_time
from app.services import usage
from app.services.usage import ProjectUsage, ServerUsage

routes = Routes(
    COMPUTE, "usage", "What projects have used, in hours.", "/v2.1/os-simple-tenant-usage"
)


class UsageQuery(Schema):
    """Of which span; by default of the last four weeks. What is unknown is ignored."""

    class Meta:
        unknown = EXCLUDE

    start = fields.AwareDateTime(format="iso", validate=IN_CALENDAR, default_timezone=UTC)
    end = fields.AwareDateTime(format="iso", validate=IN_CALENDAR, default_timezone=UTC)
    detailed = fields.String(metadata={"description": "`1`: each server too."})


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
    "UsagesAnswer", tenant_usages=fields.List(fields.Nested(UsageSchema), required=True)
)
Usage = answer("UsageAnswer", tenant_usage=fields.Nested(UsageSchema, required=True))


@routes.endpoint("GET", "", "usage:list", query=UsageQuery, returns=Usages)
def list_usage(query: Json) -> Any:
    """List every project's usage"""
    found = usage.listed(context(), query.get("start"), query.get("end"))
    is_detailed = query.get("detailed") in Flag.truthy
    return {"tenant_usages": [_body(one, detailed=is_detailed) for one in found]}


@routes.endpoint("GET", "/<project_id>", "usage:show", query=UsageQuery, returns=Usage)
def show_usage(query: Json, project_id: str) -> Any:
    """Show a project's usage, with each server's"""
    span = query.get("start"), query.get("end")
    found = usage.get(context(), caller(), project_id, *span)
    return {"tenant_usage": _body(found, detailed=True) if found.servers else {}}


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
