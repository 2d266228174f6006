"""Server groups: servers that are to be on one host, or on hosts of their own."""

from typing import Any

from marshmallow import EXCLUDE, Schema, fields, validate

from app.api.auth import caller, context
from app.api.compute.schema import Json, Strict, Text, answer, name_like, wrapped
from app.api.dialects import COMPUTE
from app.api.paging import MAX_LIMIT
from app.api.routes import Routes
from app.services import server_groups
from app.services.affinity import AFFINITY, ANTI_AFFINITY
from app.services.server_groups import ServerGroupView

routes = Routes(
    COMPUTE, "server_groups", "Servers to be kept together, or apart.", "/v2.1/os-server-groups"
)


class ServerGroupSchema(Schema):
    """A group; `policies` has one, and `metadata` nothing, at 2.1."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    policies = fields.List(fields.String(), required=True)
    members = fields.List(fields.String(), required=True)
    metadata = fields.Dict(required=True)


class CreateServerGroup(Strict):
    """A group to be made."""

    name = Text(required=True, validate=name_like)
    policies = fields.List(
        Text(validate=validate.OneOf((AFFINITY, ANTI_AFFINITY))),
        required=True,
        validate=validate.Length(equal=1),
    )


class ServerGroupQuery(Schema):
    """Which groups a list is to have."""

    class Meta:
        unknown = EXCLUDE

    limit = fields.Integer(validate=validate.Range(min=0))
    offset = fields.Integer(validate=validate.Range(min=0, max=2**31 - 1))
    all_projects = fields.String(metadata={"description": "If given: of all projects."})


ServerGroup = answer("ServerGroupAnswer", server_group=fields.Nested(ServerGroupSchema))
ServerGroups = answer(
    "ServerGroupsAnswer",
    server_groups=fields.List(fields.Nested(ServerGroupSchema), required=True),
)


@routes.endpoint("GET", "", "server_groups:list", query=ServerGroupQuery, returns=ServerGroups)
def list_server_groups(query: Json) -> Any:
    """List server groups"""
    found = server_groups.listed(
        context(),
        caller(),
        all_projects="all_projects" in query,
        limit=min(query.get("limit", MAX_LIMIT), MAX_LIMIT),
        offset=query.get("offset", 0),
    )
    return {"server_groups": [_body(view) for view in found]}


@routes.endpoint("GET", "/<group_id>", "server_groups:show", returns=ServerGroup, errors=(404,))
def show_server_group(group_id: str) -> Any:
    """Show a server group"""
    return {"server_group": _body(server_groups.get(context(), caller(), group_id))}


@routes.endpoint(
    "POST",
    "",
    "server_groups:create",
    body=wrapped("server_group", CreateServerGroup),
    returns=ServerGroup,
)
def create_server_group(body: Json) -> Any:
    """Make a server group; servers join it when they are made, by the hint `group`"""
    asked = body["server_group"]
    made = server_groups.create(context(), caller(), asked["name"], asked["policies"][0])
    return {"server_group": _body(made)}


@routes.endpoint("DELETE", "/<group_id>", "server_groups:delete", status=204, errors=(404,))
def delete_server_group(group_id: str) -> None:
    """Forget a server group; its servers stay where they are"""
    server_groups.delete(context(), caller(), group_id)


def _body(view: ServerGroupView) -> Json:
    return {
        "id": view.id,
        "name": view.name,
        "policies": [view.policy],
        "members": list(view.members),
        "metadata": {},
    }
