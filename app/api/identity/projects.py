"""Projects: an administrator makes and removes them; everybody sees their own."""

from typing import Any

from marshmallow import Schema, fields, validate

from app.api.auth import caller, context
from app.api.compute.schema import Flag, Strict, Text, name_like, wrapped
from app.api.dialects import IDENTITY
from app.api.identity.domain import DOMAIN
from app.api.identity.schema import (
    AccountQuery,
    DomainId,
    Json,
    Links,
    NoOptions,
    NullableText,
    account_name,
    links,
    list_links,
    read_filter,
)
from app.api.routes import Routes
from app.services import projects, users
from app.services.projects import NewProject, ProjectView

routes = Routes(IDENTITY, "projects", "Projects: what owns servers and has limits.", "/v3")


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


class ChangeProject(Strict):
    """What of a project is to be another."""

    name = Text(validate=[name_like, validate.Length(max=64)])
    description = NullableText(255)
    enabled = Flag()
    domain_id = DomainId()
    # There is no tree of projects: each is below the domain.
    parent_id = DomainId()
    is_domain = Flag(allow_none=True, validate=validate.OneOf((False,)))
    tags = fields.List(Text(), validate=validate.Length(max=0))
    options = NoOptions()


class CreateProject(ChangeProject):
    """A project to be made."""

    name = account_name(64)


class ProjectQuery(AccountQuery):
    """Which projects a list is to have."""

    class Meta(AccountQuery.Meta):
        include = {
            name: fields.String(metadata={"description": "No project has tags."})
            for name in ("tags", "tags-any")
        }

    parent_id = fields.String()
    is_domain = Flag()


@routes.endpoint("GET", "/auth/projects", "projects:list_own", returns=ProjectsAnswer)
def list_own_projects() -> Any:
    """List the projects in which one has a role"""
    return _answer(projects.of_user(context(), caller().user_id), "auth/projects")


@routes.endpoint("GET", "/projects", "projects:list", query=ProjectQuery, returns=ProjectsAnswer)
def list_projects(query: Json) -> Any:
    """List all projects"""
    wanted = read_filter(query)
    nowhere = (
        query.get("is_domain")
        or query.get("parent_id", DOMAIN["id"]) != DOMAIN["id"]
        or query.keys() & {"tags", "tags-any"}
    )
    found = [] if wanted is None or nowhere else projects.listed(context(), wanted)
    return _answer(found, "projects")


@routes.endpoint(
    "POST",
    "/projects",
    "projects:create",
    body=wrapped("project", CreateProject),
    returns=ProjectAnswer,
    status=201,
    errors=(409,),
)
def create_project(body: Json) -> Any:
    """Make a project"""
    asked = body["project"]
    new = NewProject(
        asked["name"], asked.get("description") or "", enabled=asked.get("enabled", True)
    )
    return {"project": _project(projects.create(context(), new))}


@routes.endpoint(
    "GET", "/projects/<project_id>", "projects:show", returns=ProjectAnswer, errors=(404,)
)
def show_project(project_id: str) -> Any:
    """Show a project: one's own, or for an administrator any"""
    return {"project": _project(projects.get(context(), caller(), project_id))}


@routes.endpoint(
    "PATCH",
    "/projects/<project_id>",
    "projects:change",
    body=wrapped("project", ChangeProject),
    returns=ProjectAnswer,
    errors=(404, 409),
)
def change_project(body: Json, project_id: str) -> Any:
    """Change a project's name, description, or whether it is enabled"""
    asked = body["project"]
    changes = {name: asked[name] for name in ("name", "enabled") if name in asked}
    if "description" in asked:
        changes["description"] = asked["description"] or ""
    return {"project": _project(projects.change(context(), project_id, changes))}


@routes.endpoint(
    "DELETE", "/projects/<project_id>", "projects:delete", status=204, errors=(404, 409)
)
def delete_project(project_id: str) -> None:
    """Remove a project that has no servers, images, networks or ports any more"""
    projects.delete(context(), project_id)


@routes.endpoint(
    "GET", "/users/<user_id>/projects", "projects:list_own", returns=ProjectsAnswer, errors=(404,)
)
def list_user_projects(user_id: str) -> Any:
    """List the projects in which a user has a role: oneself, or for an administrator anybody"""
    users.get(context(), caller(), user_id)
    return _answer(projects.of_user(context(), user_id), f"users/{user_id}/projects")


def _answer(found: list[ProjectView], path: str) -> Json:
    return {"projects": [_project(view) for view in found], "links": list_links(path)}


def _project(view: ProjectView) -> Json:
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
        "links": links(f"projects/{view.id}"),
    }
