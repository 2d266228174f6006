"""What a create would do, without doing it."""

from typing import Any

from marshmallow import Schema, fields

from app.api.auth import caller, context
from app.api.compute.servers import read_server
from app.api.compute.servers_schema import CreateServerRequest
from app.api.dialects import BYRE
from app.api.routes import Routes
from app.services import plans
from app.services.plans import PlannedServer, PlanView, Verdict

routes = Routes(BYRE, "plans", "What a create would do.", "/byre/v1/plan")

Json = dict[str, Any]


class PlannedAddressSchema(Schema):
    """An address that a server would get."""

    network_id = fields.String(required=True)
    subnet_id = fields.String(required=True)
    address = fields.String(required=True)


class PlannedServerSchema(Schema):
    """Where a server would go, or the reason why it would go nowhere. The host's name is told to
    operators only; owners get `host_id`. So is `domain_xml`, how the host would describe the
    server's domain, or `domain_xml_reason`, why it did not."""

    name = fields.String(required=True)
    host_id = fields.String(required=True)
    host = fields.String(allow_none=True)
    addresses = fields.List(fields.Nested(PlannedAddressSchema), required=True)
    reason = fields.String(required=True, allow_none=True)
    domain_xml = fields.String(allow_none=True)
    domain_xml_reason = fields.String(allow_none=True)


class VerdictSchema(Schema):
    """How many hosts a rule of the scheduler refuses; which ones is told to operators only."""

    rule = fields.String(required=True)
    refuses = fields.Integer(required=True)
    hosts = fields.List(fields.String())


class PlannedStage(Schema):
    """A stage that would be run, and how long it may take, in seconds."""

    name = fields.String(required=True)
    side = fields.String(required=True)
    limit_s = fields.Float(required=True)


class Plan(Schema):
    """What would be done. The rules' verdicts are on the first server, as the hosts are now."""

    possible = fields.Boolean(required=True)
    servers = fields.List(fields.Nested(PlannedServerSchema), required=True)
    hosts = fields.Integer(required=True)
    rules = fields.List(fields.Nested(VerdictSchema), required=True)
    stages = fields.List(fields.Nested(PlannedStage), required=True)


class PlanAnswer(Schema):
    """A plan."""

    plan = fields.Nested(Plan, required=True)


@routes.endpoint(
    "POST", "", "plans:make", body=CreateServerRequest, returns=PlanAnswer, errors=(409, 413)
)
def make_plan(body: Json) -> Any:
    """Tell what a create with the same body would do: nothing is written, no room is held

    A request that a create would refuse is refused in the same way. Administrators wait up to ten
    seconds for what hosts say of the domains.
    """
    view = plans.plan(context(), caller(), read_server(body))
    return {"plan": _plan(view, for_admin=caller().is_admin)}


def _plan(view: PlanView, *, for_admin: bool) -> Json:
    return {
        "possible": all(server.reason is None for server in view.servers),
        "servers": [_server(server, for_admin=for_admin) for server in view.servers],
        "hosts": view.hosts,
        "rules": [_verdict(verdict, for_admin=for_admin) for verdict in view.verdicts],
        "stages": [
            {"name": stage.name, "side": stage.side, "limit_s": stage.limit_s}
            for stage in view.stages
        ],
    }


def _server(server: PlannedServer, *, for_admin: bool) -> Json:
    body = {
        "name": server.name,
        "host_id": server.host_id,
        "addresses": [vars(each) for each in server.addresses],
        "reason": server.reason,
    }
    if not for_admin:
        return body
    return {
        **body,
        "host": server.host,
        "domain_xml": server.domain_xml,
        "domain_xml_reason": server.domain_xml_reason,
    }


def _verdict(verdict: Verdict, *, for_admin: bool) -> Json:
    body = {"rule": verdict.rule, "refuses": len(verdict.hosts)}
    return {**body, "hosts": list(verdict.hosts)} if for_admin else body
