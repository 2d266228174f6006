"""Servers' security groups, which compute changes for all of a server's interfaces at once."""

from typing import Any

from marshmallow import Schema, fields

from app.api.auth import caller, context
from app.api.compute.schema import Json, answer
from app.api.dialects import COMPUTE
from app.api.routes import Routes
from app.services import server_security
from app.services.security_groups import GroupView, RuleView

routes = Routes(COMPUTE, "server-security", "Security groups of servers.", "/v2.1/servers")

_TCP_UDP = frozenset({"tcp", "udp"})


class ComputeRule(Schema):
    """What a group lets in, in compute's words. -1 is any."""

    id = fields.String(required=True)
    parent_group_id = fields.String(required=True)
    ip_protocol = fields.String(required=True, allow_none=True)
    from_port = fields.Integer(required=True, allow_none=True)
    to_port = fields.Integer(required=True, allow_none=True)
    group = fields.Dict(required=True)
    ip_range = fields.Dict(required=True)


class ComputeGroup(Schema):
    """A group, in compute's words."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    description = fields.String(required=True)
    tenant_id = fields.String(required=True)
    rules = fields.List(fields.Nested(ComputeRule), required=True)


ComputeGroups = answer(
    "ServerSecurityGroupsAnswer",
    security_groups=fields.List(fields.Nested(ComputeGroup), required=True),
)


@routes.endpoint(
    "GET",
    "/<server_id>/os-security-groups",
    "servers:show",
    returns=ComputeGroups,
    errors=(404,),
)
def list_server_groups(server_id: str) -> Any:
    """List the security groups of a server's interfaces"""
    found = server_security.of_server(context(), caller(), server_id)
    return {"security_groups": [_group(view) for view in found]}


def _group(view: GroupView) -> Json:
    return {
        "id": view.id,
        "name": view.name,
        "description": view.description,
        "tenant_id": view.project_id,
        # Compute knows no rules of what goes out.
        "rules": [_rule(rule, view) for rule in view.rules if rule.direction == "ingress"],
    }


def _rule(rule: RuleView, group: GroupView) -> Json:
    low, high = _ports(rule)
    named = rule.remote_group_id is not None
    anywhere = "0.0.0.0/0" if rule.version == 4 else "::/0"
    return {
        "id": rule.id,
        "parent_group_id": rule.group_id,
        "ip_protocol": rule.protocol,
        "from_port": low,
        "to_port": high,
        "group": {"name": group.name, "tenant_id": rule.project_id} if named else {},
        "ip_range": {} if named else {"cidr": rule.remote_prefix or anywhere},
    }


def _ports(rule: RuleView) -> tuple[int | None, int | None]:
    if rule.protocol is None or rule.port_min is not None or rule.port_max is not None:
        return rule.port_min, rule.port_max
    return (1, 65535) if rule.protocol in _TCP_UDP else (-1, -1)
