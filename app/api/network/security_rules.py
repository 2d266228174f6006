"""The rules of security groups. Each allows something; none is ever changed, only removed."""

from collections.abc import Mapping
from typing import Any

from flask import request
from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from app.api.auth import caller, context
from app.api.compute.schema import Strict, Text
from app.api.dialects import NETWORK
from app.api.links import LinkSchema
from app.api.network.lists import Json, project, select
from app.api.routes import Routes
from app.api.times import second_time
from app.services import security_groups
from app.services.security_groups import RuleView
from app.services.security_rules import NewRule

routes = Routes(
    NETWORK, "security-group-rules", "What security groups allow.", "/v2.0/security-group-rules"
)

_ETHERTYPES = {"ipv4": 4, "ipv6": 6}
#: Rules made by one request.
MAX_BULK = 1000


class RuleSchema(Schema):
    """A rule."""

    id = fields.String()
    tenant_id = fields.String()
    project_id = fields.String()
    security_group_id = fields.String()
    direction = fields.String()
    ethertype = fields.String()
    protocol = fields.String(allow_none=True)
    port_range_min = fields.Integer(allow_none=True)
    port_range_max = fields.Integer(allow_none=True)
    remote_ip_prefix = fields.String(allow_none=True)
    normalized_cidr = fields.String(allow_none=True)
    remote_group_id = fields.String(allow_none=True)
    remote_address_group_id = fields.String(allow_none=True)
    description = fields.String()
    revision_number = fields.Integer()
    created_at = fields.String()
    updated_at = fields.String()


class RulesAnswer(Schema):
    """Rules."""

    security_group_rules = fields.List(fields.Nested(RuleSchema), required=True)
    security_group_rules_links = fields.List(fields.Nested(LinkSchema))


class RuleAnswer(Schema):
    """A rule, wrapped."""

    security_group_rule = fields.Nested(RuleSchema, required=True)


class CreatedRules(Schema):
    """The rule that was made, or the rules."""

    security_group_rule = fields.Nested(RuleSchema)
    security_group_rules = fields.List(fields.Nested(RuleSchema))


class Protocol(fields.String):
    """A protocol's name or number; clients send numbers both ways."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ValidationError(f"{value!r} is neither a name nor a number.")
        return str(value)


class PortNumber(fields.Integer):
    """A whole number, or a text that spells one. What it may be depends on the protocol."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(value, bool | float):
            raise ValidationError(f"Invalid value for port {value!r}")
        number = super()._deserialize(value, *args, **kwargs)
        if number is not None and not -65535 <= number <= 65535:
            raise ValidationError(f"Invalid value for port {str(value)[:20]}")
        return number


class CreateRule(Strict):
    """A rule to be made."""

    security_group_id = Text(required=True)
    direction = Text(required=True, validate=validate.OneOf(("ingress", "egress")))
    ethertype = Text(allow_none=True)
    protocol = Protocol(allow_none=True)
    port_range_min = PortNumber(allow_none=True)
    port_range_max = PortNumber(allow_none=True)
    remote_ip_prefix = Text(allow_none=True)
    remote_group_id = Text(allow_none=True)
    #: Address groups are not known; clients send the field all the same.
    remote_address_group_id = Text(allow_none=True, validate=validate.Equal(None))
    description = Text(allow_none=True, validate=validate.Length(max=255))
    project_id = Text()
    tenant_id = Text()

    @validates_schema
    def _check_ethertype(self, data: Mapping[str, Any], **_: Any) -> None:
        if (data.get("ethertype") or "IPv4").lower() not in _ETHERTYPES:
            raise ValidationError("Must be one of: IPv4, IPv6.", "ethertype")


class CreateRulesRequest(Strict):
    """One rule, or several at once."""

    security_group_rule = fields.Nested(CreateRule)
    security_group_rules = fields.List(
        fields.Nested(CreateRule), validate=validate.Length(min=1, max=MAX_BULK)
    )

    @validates_schema
    def _check_one(self, data: Mapping[str, Any], **_: Any) -> None:
        if len(data) != 1:
            raise ValidationError("must hold security_group_rule or security_group_rules.")


@routes.endpoint("GET", "", "security_group_rules:list", returns=RulesAnswer, errors=(400,))
def list_rules() -> Any:
    """List the rules of the project's security groups; any field is a filter"""
    groups = request.args.getlist("security_group_id") or None
    bodies = [rule_body(view) for view in security_groups.list_rules(context(), caller(), groups)]
    return select("security_group_rules", bodies, request.args, RuleSchema().fields)


@routes.endpoint(
    "POST",
    "",
    "security_group_rules:create",
    body=CreateRulesRequest,
    returns=CreatedRules,
    status=201,
    errors=(404, 409),
)
def create_rules(body: Json) -> Any:
    """Add a rule to a security group, or several rules: all of them or none"""
    if "security_group_rule" in body:
        asked = [_read(body["security_group_rule"])]
        made = security_groups.create_rules(context(), caller(), asked)
        return {"security_group_rule": rule_body(made[0])}
    asked = [_read(each) for each in body["security_group_rules"]]
    made = security_groups.create_rules(context(), caller(), asked)
    return {"security_group_rules": [rule_body(view) for view in made]}


@routes.endpoint(
    "GET", "/<rule_id>", "security_group_rules:list", returns=RuleAnswer, errors=(404,)
)
def show_rule(rule_id: str) -> Any:
    """Show a rule"""
    body = rule_body(security_groups.get_rule(context(), caller(), rule_id))
    return {"security_group_rule": project(body, request.args.getlist("fields"))}


@routes.endpoint("DELETE", "/<rule_id>", "security_group_rules:delete", status=204, errors=(404,))
def delete_rule(rule_id: str) -> None:
    """Remove a rule"""
    security_groups.delete_rule(context(), caller(), rule_id)


def _read(asked: Json) -> NewRule:
    return NewRule(
        group_id=asked["security_group_id"],
        direction=asked["direction"],
        version=6 if (asked.get("ethertype") or "IPv4").lower() == "ipv6" else 4,
        protocol=asked.get("protocol"),
        port_min=asked.get("port_range_min"),
        port_max=asked.get("port_range_max"),
        remote_prefix=asked.get("remote_ip_prefix"),
        remote_group_id=asked.get("remote_group_id"),
        description=asked.get("description") or "",
        project_id=asked.get("project_id", asked.get("tenant_id")),
    )


def rule_body(view: RuleView) -> Json:
    """Return a rule as it is shown."""
    return {
        "id": view.id,
        "tenant_id": view.project_id,
        "project_id": view.project_id,
        "security_group_id": view.group_id,
        "direction": view.direction,
        "ethertype": f"IPv{view.version}",
        "protocol": view.protocol,
        "port_range_min": view.port_min,
        "port_range_max": view.port_max,
        "remote_ip_prefix": view.remote_prefix,
        "normalized_cidr": view.normalized_prefix,
        "remote_group_id": view.remote_group_id,
        "remote_address_group_id": None,
        "description": view.description,
        # Rules never change.
        "revision_number": 0,
        "created_at": second_time(view.created_at),
        "updated_at": second_time(view.updated_at or view.created_at),
    }
