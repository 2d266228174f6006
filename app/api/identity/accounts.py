"""Projects, users and the domain, as far as one may see one's own."""

from typing import Any

from marshmallow import Schema, fields

from app.api.auth import caller, context
from app.api.dialects import IDENTITY
from app.api.identity.domain import DOMAIN
from app.api.links import base_url
from app.api.routes import Routes
from app.services import accounts
from app.services.accounts import ProjectView, UserView

routes = Routes(IDENTITY, "accounts", "Projects and users, as far as they are one's own.", "/v3")


class Links(Schema):
    """Where this is, and for lists where they go on."""

    class Meta:
        include = {"self": fields.String(required=True)}

    next = fields.String(allow_none=True)
    previous = fields.String(allow_none=True)


class ProjectSchema(Schema):
    """A project."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    domain_id = fields.String(required=True)
    description = fields.String(required=True)
    enabled = fields.Boolean(required=True)
    is_domain = fields.Boolean(required=True)
    parent_id = fields.String(required=True)
    tags = fields.List(fields.String(), required=True)
    options = fields.Dict(required=True)
    links = fields.Nested(Links, required=True)


class ProjectAnswer(Schema):
    """A project, wrapped."""

    project = fields.Nested(ProjectSchema, required=True)


class ProjectsAnswer(Schema):
    """Projects."""

    projects = fields.List(fields.Nested(ProjectSchema), required=True)
    links = fields.Nested(Links, required=True)


class UserSchema(Schema):
    """A user."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    domain_id = fields.String(required=True)
    enabled = fields.Boolean(required=True)
    options = fields.Dict(required=True)
    password_expires_at = fields.String(allow_none=True, required=True)
    default_project_id = fields.String()
    links = fields.Nested(Links, required=True)


class UserAnswer(Schema):
    """A user, wrapped."""

    user = fields.Nested(UserSchema, required=True)


class DomainSchema(Schema):
    """The domain."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    description = fields.String(required=True)
    enabled = fields.Boolean(required=True)
    links = fields.Nested(Links, required=True)


class DomainsAnswer(Schema):
    """Domains: the one."""

    domains = fields.List(fields.Nested(DomainSchema), required=True)
    links = fields.Nested(Links, required=True)


@routes.endpoint("GET", "/auth/projects", "projects:list", returns=ProjectsAnswer)
def list_projects() -> Any:
    """List the projects in which one has a role"""
    mine = accounts.projects_of(context(), caller().user_id)
    return {"projects": [_project(view) for view in mine], "links": _list_links("auth/projects")}


@routes.endpoint("GET", "/auth/domains", "domains:list", returns=DomainsAnswer)
def list_domains() -> Any:
    """List the domains: there is one"""
    domain = {**DOMAIN, "description": "", "enabled": True, "links": _links("domains/default")}
    return {"domains": [domain], "links": _list_links("auth/domains")}


@routes.endpoint(
    "GET", "/projects/<project_id>", "projects:show", returns=ProjectAnswer, errors=(404,)
)
def show_project(project_id: str) -> Any:
    """Show a project of one's own"""
    return {"project": _project(accounts.get_project(context(), caller(), project_id))}


@routes.endpoint("GET", "/users/<user_id>", "users:show", returns=UserAnswer, errors=(404,))
def show_user(user_id: str) -> Any:
    """Show oneself"""
    return {"user": _user(accounts.get_user(context(), caller(), user_id))}


@routes.endpoint(
    "GET", "/users/<user_id>/projects", "projects:list", returns=ProjectsAnswer, errors=(404,)
)
def list_user_projects(user_id: str) -> Any:
    """List the projects in which one has a role"""
    accounts.get_user(context(), caller(), user_id)
    theirs = accounts.projects_of(context(), user_id)
    links = _list_links(f"users/{user_id}/projects")
    return {"projects": [_project(view) for view in theirs], "links": links}


def _project(view: ProjectView) -> dict[str, Any]:
    return {
        "id": view.id,
        "name": view.name,
        "domain_id": DOMAIN["id"],
        "description": view.description,
        "enabled": view.enabled,
        "is_domain": False,
        "parent_id": DOMAIN["id"],
        "tags": [],
        "options": {},
        "links": _links(f"projects/{view.id}"),
    }


def _user(view: UserView) -> dict[str, Any]:
    user = {
        "id": view.id,
        "name": view.name,
        "domain_id": DOMAIN["id"],
        "enabled": view.enabled,
        "options": {},
        "password_expires_at": None,
        "links": _links(f"users/{view.id}"),
    }
    if view.default_project_id:
        user["default_project_id"] = view.default_project_id
    return user


def _links(path: str) -> dict[str, Any]:
    return {"self": f"{base_url()}/identity/v3/{path}"}


def _list_links(path: str) -> dict[str, Any]:
    return {**_links(path), "next": None, "previous": None}
