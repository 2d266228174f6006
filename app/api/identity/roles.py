"""Roles, and who has which where."""

from typing import Any

from marshmallow import EXCLUDE, Schema, fields

from app.api.auth import context
from app.api.dialects import IDENTITY
from app.api.identity.domain import DOMAIN
from app.api.identity.schema import Json, Links, links, list_links
from app.api.identity.tokens_schema import DomainView
from app.api.routes import Routes
from app.services import assignments, roles
from app.services.assignments import AssignmentView, Place
from app.services.pages import AssignmentFilter
from app.services.roles import RoleView

routes = Routes(IDENTITY, "roles", "Roles, and who has which where.", "/v3")

_IN_PROJECT = "/projects/<project_id>/users/<user_id>/roles"


class RoleSchema(Schema):
    """A role."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    domain_id = fields.String(allow_none=True, required=True)
    description = fields.String(allow_none=True, required=True)
    options = fields.Dict(required=True)
    links = fields.Nested(Links, required=True)


class RoleAnswer(Schema):
    """A role, wrapped."""

    role = fields.Nested(RoleSchema, required=True)


class RolesAnswer(Schema):
    """Roles."""

    roles = fields.List(fields.Nested(RoleSchema), required=True)
    links = fields.Nested(Links, required=True)


class RoleQuery(Schema):
    """Which roles a list is to have. Unknown parameters are ignored."""

    class Meta:
        unknown = EXCLUDE

    name = fields.String()
    domain_id = fields.String()


class AssignedRole(Schema):
    """A role; its name only if names were asked for."""

    id = fields.String(required=True)
    name = fields.String()


class AssignmentSide(AssignedRole):
    """A user or a project; name and domain only if names were asked for."""

    domain = fields.Nested(DomainView)


class AssignmentScope(Schema):
    """Where a role was given."""

    project = fields.Nested(AssignmentSide, required=True)


class AssignmentLinks(Schema):
    """Where an assignment is."""

    assignment = fields.String(required=True)


class AssignmentSchema(Schema):
    """A user has a role in a project."""

    role = fields.Nested(AssignedRole, required=True)
    user = fields.Nested(AssignmentSide, required=True)
    scope = fields.Nested(AssignmentScope, required=True)
    links = fields.Nested(AssignmentLinks, required=True)


class AssignmentsAnswer(Schema):
    """Role assignments."""

    role_assignments = fields.List(fields.Nested(AssignmentSchema), required=True)
    links = fields.Nested(Links, required=True)


class AssignmentQuery(Schema):
    """Which assignments a list is to have. Unknown parameters are ignored. `effective` and
    `include_names` may stand there without a value."""

    class Meta:
        unknown = EXCLUDE

    user_id = fields.String(data_key="user.id")
    role_id = fields.String(data_key="role.id")
    project_id = fields.String(data_key="scope.project.id")
    # Nobody has a role by these.
    group_id = fields.String(data_key="group.id")
    scope_domain_id = fields.String(data_key="scope.domain.id")
    scope_system = fields.String(data_key="scope.system")
    effective = fields.String()
    include_names = fields.String()


@routes.endpoint("GET", "/roles", "roles:list", query=RoleQuery, returns=RolesAnswer)
def list_roles(query: Json) -> Any:
    """List the roles; there are five"""
    found = [role for role in roles.ROLES if query.get("name") in (None, role.name)]
    # Roles of a domain's own are something else.
    found = [] if query.get("domain_id") else found
    return {"roles": [_role(role) for role in found], "links": list_links("roles")}


@routes.endpoint("GET", "/roles/<role_id>", "roles:list", returns=RoleAnswer, errors=(404,))
def show_role(role_id: str) -> Any:
    """Show a role"""
    return {"role": _role(roles.get(role_id))}


@routes.endpoint(
    "GET",
    "/role_assignments",
    "role_assignments:list",
    query=AssignmentQuery,
    returns=AssignmentsAnswer,
    errors=(404,),
)
def list_assignments(query: Json) -> Any:
    """List who has which role where; `effective` adds the roles that a role holds"""
    role_id = query.get("role_id")
    wanted = AssignmentFilter(
        query.get("user_id"),
        query.get("project_id"),
        None if role_id is None else roles.get(role_id).name,
    )
    found = assignments.listed(context(), wanted, effective=_is_set(query, "effective"))
    if query.keys() & {"group_id", "scope_domain_id", "scope_system"}:
        found = []
    named = _is_set(query, "include_names")
    bodies = [_assignment(each, named=named) for each in found]
    return {"role_assignments": bodies, "links": list_links("role_assignments")}


@routes.endpoint("GET", _IN_PROJECT, "role_assignments:list", returns=RolesAnswer, errors=(404,))
def list_roles_in_project(project_id: str, user_id: str) -> Any:
    """List the roles that were given to a user in a project"""
    found = assignments.roles_at(context(), Place(user_id, project_id))
    path = f"projects/{project_id}/users/{user_id}/roles"
    return {"roles": [_role(role) for role in found], "links": list_links(path)}


@routes.endpoint(
    "GET", f"{_IN_PROJECT}/<role_id>", "role_assignments:list", status=204, errors=(404,)
)
def check_role(project_id: str, user_id: str, role_id: str) -> None:
    """Say whether a role was given to a user in a project"""
    assignments.check(context(), Place(user_id, project_id), role_id)


@routes.endpoint(
    "PUT", f"{_IN_PROJECT}/<role_id>", "role_assignments:give", status=204, errors=(404,)
)
def give_role(project_id: str, user_id: str, role_id: str) -> None:
    """Give a user a role in a project"""
    assignments.give(context(), Place(user_id, project_id), role_id)


@routes.endpoint(
    "DELETE", f"{_IN_PROJECT}/<role_id>", "role_assignments:take", status=204, errors=(404,)
)
def take_role(project_id: str, user_id: str, role_id: str) -> None:
    """Take a role in a project away from a user; tokens lose it at once"""
    assignments.take(context(), Place(user_id, project_id), role_id)


def _is_set(query: Json, name: str) -> bool:
    """Keystone's flags are set by being there, unless they say 0 or false."""
    return name in query and query[name].lower() not in ("0", "false")


def _role(role: RoleView) -> Json:
    return {
        "id": role.id,
        "name": role.name,
        "domain_id": None,
        "description": None,
        "options": {},
        "links": links(f"roles/{role.id}"),
    }


def _assignment(view: AssignmentView, *, named: bool) -> Json:
    role: Json = {"id": view.role.id}
    user: Json = {"id": view.user_id}
    project: Json = {"id": view.project_id}
    if named:
        role["name"] = view.role.name
        user |= {"name": view.user_name, "domain": DOMAIN}
        project |= {"name": view.project_name, "domain": DOMAIN}
    path = f"projects/{view.project_id}/users/{view.user_id}/roles/{view.role.id}"
    return {
        "role": role,
        "user": user,
        "scope": {"project": project},
        "links": {"assignment": links(path)["self"]},
    }
