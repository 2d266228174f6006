"""Security groups in compute's words, which know only what is let in; and the network API's groups
and rules as compute gave them before there was one."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_interface
from typing import Any

from marshmallow import EXCLUDE, Schema, fields, validate

from app.api.auth import caller, context
from app.api.compute.schema import Count, Flag, Json, Strict, Text, answer, wrapped
from app.api.dialects import COMPUTE
from app.api.gates import Gate
from app.api.routes import Routes
from app.services import security_groups
from app.services.security_groups import Changes, GroupView, NewGroup, RuleView
from app.services.security_rules import NewRule
from tasks.errors import Conflict, Forbidden, OverQuota, RequestError

routes = Routes(
    COMPUTE,
    "security-groups",
    "The network API's security groups, in compute's words; up to 2.35.",
    "/v2.1/os-security-groups",
)
rule_routes = Routes(
    COMPUTE,
    "security-group-rules",
    "What they let in; up to 2.35.",
    "/v2.1/os-security-group-rules",
)

_TCP_UDP = frozenset({"tcp", "udp"})
_PROTOCOLS = _TCP_UDP | {"icmp"}
_ANYWHERE = {4: "0.0.0.0/0", 6: "::/0"}
_MAX_PORT = 65535


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


class ComputeGroupQuery(Schema):
    """Which groups to list. What is unknown is ignored."""

    class Meta:
        unknown = EXCLUDE

    limit = fields.Integer(validate=validate.Range(min=0))
    offset = fields.Integer(validate=validate.Range(min=0))
    all_tenants = fields.String(metadata={"description": "Every project's, for administrators."})


class SetComputeGroup(Strict):
    """What a group is called, and what it is for."""

    name = Text(required=True, validate=validate.Length(min=1, max=255))
    description = Text(required=True, validate=validate.Length(max=255))


class CreateComputeRule(Strict):
    """What is to be let in: from a block of addresses, or from the servers of a group."""

    parent_group_id = fields.UUID(required=True)
    ip_protocol = Text(allow_none=True)
    from_port = Count(allow_none=True, validate=validate.Range(min=-1, max=_MAX_PORT))
    to_port = Count(allow_none=True, validate=validate.Range(min=-1, max=_MAX_PORT))
    cidr = Text(allow_none=True)
    group_id = fields.UUID(allow_none=True)


SetComputeGroupRequest = wrapped("security_group", SetComputeGroup)
ComputeGroupAnswer = answer(
    "ComputeSecurityGroupAnswer", security_group=fields.Nested(ComputeGroup, required=True)
)
ComputeGroups = answer(
    "ComputeSecurityGroupsAnswer",
    security_groups=fields.List(fields.Nested(ComputeGroup), required=True),
)
ComputeRuleAnswer = answer(
    "ComputeSecurityGroupRuleAnswer", security_group_rule=fields.Nested(ComputeRule, required=True)
)


@routes.endpoint(
    "GET",
    "",
    "security_groups:list",
    query=ComputeGroupQuery,
    returns=ComputeGroups,
    until=Gate.NO_PROXIES,
)
def list_groups(query: Json) -> Any:
    """List the project's security groups"""
    is_of_all = query.get("all_tenants", "0") in Flag.truthy | {""}
    own = {} if is_of_all else {"project_id": [caller().project_id]}
    views = security_groups.listed(context(), caller(), own)
    views.sort(key=lambda view: (view.project_id, view.name))
    first = query.get("offset", 0)
    last = first + query["limit"] if "limit" in query else None
    return {"security_groups": write_groups(views[first:last])}


@routes.endpoint(
    "POST",
    "",
    "security_groups:create",
    body=SetComputeGroupRequest,
    returns=ComputeGroupAnswer,
    until=Gate.NO_PROXIES,
)
def create_group(body: Json) -> Any:
    """Make a security group, which lets nothing in"""
    with _nova_refusals():
        view = security_groups.create(context(), caller(), NewGroup(**body["security_group"]))
    return {"security_group": write_groups([view])[0]}


@routes.endpoint(
    "GET",
    "/<group_id>",
    "security_groups:list",
    returns=ComputeGroupAnswer,
    errors=(404,),
    until=Gate.NO_PROXIES,
)
def show_group(group_id: str) -> Any:
    """Show a security group"""
    view = security_groups.get(context(), caller(), group_id)
    return {"security_group": write_groups([view])[0]}


@routes.endpoint(
    "PUT",
    "/<group_id>",
    "security_groups:update",
    body=SetComputeGroupRequest,
    returns=ComputeGroupAnswer,
    errors=(404,),
    until=Gate.NO_PROXIES,
)
def update_group(body: Json, group_id: str) -> Any:
    """Change a security group's name and description"""
    changes = Changes(**body["security_group"])
    with _nova_refusals():
        view = security_groups.update(context(), caller(), group_id, changes)
    return {"security_group": write_groups([view])[0]}


@routes.endpoint(
    "DELETE",
    "/<group_id>",
    "security_groups:delete",
    status=202,
    errors=(400, 404),
    until=Gate.NO_PROXIES,
)
def delete_group(group_id: str) -> None:
    """Remove a security group that no server is in"""
    with _nova_refusals():
        security_groups.delete(context(), caller(), group_id)


@rule_routes.endpoint(
    "POST",
    "",
    "security_group_rules:create",
    body=wrapped("security_group_rule", CreateComputeRule),
    returns=ComputeRuleAnswer,
    errors=(404,),
    until=Gate.NO_PROXIES,
)
def create_rule(body: Json) -> Any:
    """Let something in"""
    new = _read_rule(body["security_group_rule"])
    with _nova_refusals():
        (made,) = security_groups.create_rules(context(), caller(), [new])
    return {"security_group_rule": _write_rules([made])[0]}


@rule_routes.endpoint(
    "DELETE",
    "/<rule_id>",
    "security_group_rules:delete",
    status=202,
    errors=(404,),
    until=Gate.NO_PROXIES,
)
def delete_rule(rule_id: str) -> None:
    """Let it in no more"""
    security_groups.delete_rule(context(), caller(), rule_id)


@contextmanager
def _nova_refusals() -> Iterator[None]:
    """Nova passes the network API's conflicts on as bad requests, and its quotas as forbidden."""
    try:
        yield
    except OverQuota as error:
        raise Forbidden(error.public) from error
    except Conflict as error:
        raise RequestError(error.public) from error


# --- reading -------------------------------------------------------------------------------------


def _read_rule(asked: Json) -> NewRule:
    """Return the rule. As Nova has it, one that names no group must say protocol and ports."""
    protocol = (asked.get("ip_protocol") or "").lower() or None
    low, high = asked.get("from_port"), asked.get("to_port")
    if protocol not in (None, *_PROTOCOLS):
        raise RequestError(f"Invalid IP protocol {protocol:.40}.")
    group = asked.get("group_id")
    if group is None and None in (protocol, low, high):
        raise RequestError("Not enough parameters to build a valid rule.")
    if group is not None and protocol in _TCP_UDP and low is None and high is None:
        low, high = 1, _MAX_PORT
    # Without a block it is anywhere, of IPv4.
    block = None if group is not None else asked.get("cidr") or _ANYWHERE[4]
    return NewRule(
        group_id=str(asked["parent_group_id"]),
        direction="ingress",
        version=6 if block is not None and _is_v6(block) else 4,
        protocol=protocol,
        port_min=None if low == -1 else low,
        port_max=None if high == -1 else high,
        remote_prefix=block,
        remote_group_id=None if group is None else str(group),
    )


def _is_v6(block: str) -> bool:
    try:
        return ip_interface(block).version == 6
    except ValueError as error:
        raise RequestError(f"cidr: {block[:60]!r} is no block of addresses.") from error


# --- writing -------------------------------------------------------------------------------------


def write_groups(views: Sequence[GroupView]) -> list[Json]:
    """Return groups as compute shows them: it knows no rules of what goes out."""
    let_in = [rule for view in views for rule in view.rules if rule.direction == "ingress"]
    bodies = _write_rules(let_in)
    return [
        {
            "id": view.id,
            "name": view.name,
            "description": view.description,
            "tenant_id": view.project_id,
            "rules": [rule for rule in bodies if rule["parent_group_id"] == view.id],
        }
        for view in views
    ]


def _write_rules(rules: Sequence[RuleView]) -> list[Json]:
    """Return rules as compute shows them. One that names a group that the caller does not see is
    not shown, as in Nova."""
    named = {rule.remote_group_id for rule in rules} - {None}
    groups: dict[str | None, GroupView] = {}
    if named:
        facts = {"id": [str(group_id) for group_id in named]}
        found = security_groups.listed(context(), caller(), facts)
        groups = {view.id: view for view in found}
    return [
        _rule(rule, groups.get(rule.remote_group_id))
        for rule in rules
        if rule.remote_group_id is None or rule.remote_group_id in groups
    ]


def _rule(rule: RuleView, group: GroupView | None) -> Json:
    low, high = _ports(rule)
    block = rule.remote_prefix or _ANYWHERE[rule.version]
    return {
        "id": rule.id,
        "parent_group_id": rule.group_id,
        "ip_protocol": rule.protocol,
        "from_port": low,
        "to_port": high,
        "group": {} if group is None else {"name": group.name, "tenant_id": group.project_id},
        "ip_range": {"cidr": block} if group is None else {},
    }


def _ports(rule: RuleView) -> tuple[int | None, int | None]:
    if rule.protocol is None or rule.port_min is not None or rule.port_max is not None:
        return rule.port_min, rule.port_max
    return (1, _MAX_PORT) if rule.protocol in _TCP_UDP else (-1, -1)
