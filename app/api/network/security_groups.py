"""Security groups: what may reach the ports in them, and what these may reach."""

from typing import Any

from flask import request
from marshmallow import Schema, fields, validate

from app.api.auth import caller, context
from app.api.compute.schema import Flag, Strict, Text, wrapped
from app.api.dialects import NETWORK
from app.api.links import LinkSchema
from app.api.network.common import Common
from app.api.network.lists import Json, facts, project, select
from app.api.network.security_rules import RuleSchema, rule_body
from app.api.routes import Routes
from app.api.times import second_time
from app.services import security_groups
from app.services.security_groups import Changes, GroupView, NewGroup

routes = Routes(
    NETWORK, "security-groups", "What may reach ports, and what they may.", "/v2.0/security-groups"
)

#: field -> column, for the filters that the database applies
_FACTS = {"id": "id", "name": "name", "project_id": "project_id"}

_WORDS = validate.Length(max=255)


class GroupSchema(Common):
    """A group with its rules."""

    stateful = fields.Boolean()
    shared = fields.Boolean()
    security_group_rules = fields.List(fields.Nested(RuleSchema))


class GroupsAnswer(Schema):
    """Groups."""

    security_groups = fields.List(fields.Nested(GroupSchema), required=True)
    security_groups_links = fields.List(fields.Nested(LinkSchema))


class GroupAnswer(Schema):
    """A group, wrapped."""

    security_group = fields.Nested(GroupSchema, required=True)


class CreateGroup(Strict):
    """A group to be made. Its name and description are shown as they were written."""

    name = Text(load_default="", validate=_WORDS)
    description = Text(load_default="", validate=_WORDS)
    stateful = Flag(load_default=True)
    project_id = Text()
    tenant_id = Text()


class UpdateGroup(Strict):
    """What is to be changed of a group."""

    name = Text(validate=_WORDS)
    description = Text(validate=_WORDS)
    stateful = Flag()


CreateGroupRequest = wrapped("security_group", CreateGroup)
UpdateGroupRequest = wrapped("security_group", UpdateGroup)


@routes.endpoint("GET", "", "security_groups:list", returns=GroupsAnswer, errors=(400,))
def list_groups() -> Any:
    """List the project's security groups; any field is a filter"""
    narrow = facts(request.args, _FACTS)
    bodies = [_body(view) for view in security_groups.listed(context(), caller(), narrow)]
    return select("security_groups", bodies, request.args, GroupSchema().fields)


@routes.endpoint(
    "POST",
    "",
    "security_groups:create",
    body=CreateGroupRequest,
    returns=GroupAnswer,
    status=201,
    errors=(409,),
)
def create_group(body: Json) -> Any:
    """Make a security group, which lets everything out and nothing in"""
    asked = body["security_group"]
    new = NewGroup(
        name=asked["name"],
        description=asked["description"],
        stateful=asked["stateful"],
        project_id=asked.get("project_id", asked.get("tenant_id")),
    )
    return {"security_group": _body(security_groups.create(context(), caller(), new))}


@routes.endpoint("GET", "/<group_id>", "security_groups:list", returns=GroupAnswer, errors=(404,))
def show_group(group_id: str) -> Any:
    """Show a security group"""
    body = _body(security_groups.get(context(), caller(), group_id))
    return {"security_group": project(body, request.args.getlist("fields"))}


@routes.endpoint(
    "PUT",
    "/<group_id>",
    "security_groups:update",
    body=UpdateGroupRequest,
    returns=GroupAnswer,
    errors=(404, 409),
)
def update_group(body: Json, group_id: str) -> Any:
    """Change a security group; `default` keeps its name"""
    changes = Changes(**body["security_group"])
    view = security_groups.update(context(), caller(), group_id, changes)
    return {"security_group": _body(view)}


@routes.endpoint("DELETE", "/<group_id>", "security_groups:delete", status=204, errors=(404, 409))
def delete_group(group_id: str) -> None:
    """Remove a security group that no port is in; rules that name it go with it"""
    security_groups.delete(context(), caller(), group_id)


def _body(view: GroupView) -> Json:
    return {
        "id": view.id,
        "name": view.name,
        "tenant_id": view.project_id,
        "project_id": view.project_id,
        "description": view.description,
        "stateful": view.stateful,
        "shared": False,
        "tags": list(view.tags),
        "revision_number": view.revision,
        "created_at": second_time(view.created_at),
        "updated_at": second_time(view.updated_at or view.created_at),
        "security_group_rules": [rule_body(rule) for rule in view.rules],
    }
