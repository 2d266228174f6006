"""Server groups: servers that are to be on one host, or on hosts of their own."""

from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate, validates_schema

from app.api.auth import caller, context
from app.api.compute.schema import Count, Json, Strict, Text, answer, name_like, wrapped
from app.api.dialects import COMPUTE
from app.api.gates import Gate
from app.api.paging import MAX_LIMIT
from app.api.routes import Routes
from app.api.versioned import Versioned, since, until
from app.services import server_groups
from app.services.affinity import AFFINITY, ANTI_AFFINITY
from app.services.server_groups import SOFT, ServerGroupView

routes = Routes(
    COMPUTE, "server_groups", "Servers to be kept together, or apart.", "/v2.1/os-server-groups"
)


class GroupRules(Strict):
    """How the policy is to be understood."""

    max_server_per_host = Count(validate=validate.Range(min=1, max=2**31 - 1))


class ServerGroupSchema(Versioned):
    """A group; `policies` has one, and `metadata` nothing."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    policies = until(Gate.GROUP_RULES, fields.List(fields.String()))
    policy = since(Gate.GROUP_RULES, fields.String())
    rules = since(Gate.GROUP_RULES, fields.Nested(GroupRules))
    members = fields.List(fields.String(), required=True)
    metadata = until(Gate.GROUP_RULES, fields.Dict())
    project_id = since(Gate.GROUP_OWNER, fields.String())
    user_id = since(Gate.GROUP_OWNER, fields.String())


def _policy(value: str) -> None:
    known = [AFFINITY, ANTI_AFFINITY]
    if Gate.SOFT_POLICIES.is_open:
        known += [f"{SOFT}{policy}" for policy in known]
    if value not in known:
        raise ValidationError(f"Must be one of: {', '.join(known)}.")


class CreateServerGroup(Strict):
    """A group to be made."""

    name = Text(required=True, validate=name_like)
    policies = until(
        Gate.GROUP_RULES,
        fields.List(Text(validate=_policy), validate=validate.Length(equal=1)),
    )
    policy = since(Gate.GROUP_RULES, Text(validate=_policy))
    rules = since(Gate.GROUP_RULES, fields.Nested(GroupRules))

    @validates_schema
    def _check_whole(self, data: Json, **_: Any) -> None:
        needed = "policy" if Gate.GROUP_RULES.is_open else "policies"
        if needed not in data:
            raise ValidationError("Missing data for required field.", needed)
        if data.get("rules") and data["policy"] != ANTI_AFFINITY:
            raise ValidationError("Only anti-affinity policy supports rules.", "rules")


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
    policy = asked["policy"] if Gate.GROUP_RULES.is_open else asked["policies"][0]
    most = asked.get("rules", {}).get("max_server_per_host")
    made = server_groups.create(context(), caller(), asked["name"], policy, most)
    return {"server_group": _body(made)}


@routes.endpoint("DELETE", "/<group_id>", "server_groups:delete", status=204, errors=(404,))
def delete_server_group(group_id: str) -> None:
    """Forget a server group; its servers stay where they are"""
    server_groups.delete(context(), caller(), group_id)


def _body(view: ServerGroupView) -> Json:
    most = view.max_server_per_host
    return {
        "id": view.id,
        "name": view.name,
        "policies": [view.policy],
        "members": list(view.members),
        "metadata": {},
        "policy": view.policy,
        "rules": {} if most is None else {"max_server_per_host": most},
        "project_id": view.project_id,
        "user_id": view.user_id,
    }
