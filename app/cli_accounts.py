"""`byre user`, `byre project`, `byre role`: accounts, also where no administrator can log in."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer

from app.cli_context import open_context
from app.db.session import reading
from app.services import assignments, projects, roles, users
from app.services.assignments import Place
from app.services.context import Context
from app.services.pages import AccountFilter, AssignmentFilter
from app.services.projects import NewProject

groups = {
    name: typer.Typer(no_args_is_help=True, help=text)
    for name, text in (
        ("user", "Users."),
        ("project", "Projects."),
        ("role", "Who has which role where: reader, member, manager, admin, service."),
    )
}

Password = Annotated[str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True)]
InProject = Annotated[str, typer.Option("--project")]
OfUser = Annotated[str, typer.Option("--user")]
NewName = Annotated[str | None, typer.Option("--name", help="the name from now on")]
Description = Annotated[str | None, typer.Option()]
Enabled = Annotated[bool | None, typer.Option("--enable/--disable")]


@groups["user"].command("create")
def create_user(
    name: str,
    project: Annotated[str, typer.Option(help="made unless it is there")],
    role: Annotated[str, typer.Option()] = "member",
    admin: Annotated[bool, typer.Option("--admin", help="the same as --role admin")] = False,  # noqa: FBT002
    password: Password = "",
) -> None:
    """Make a user with a role in a project, or give a known one the role and the password."""
    role = "admin" if admin else role
    with open_context() as context:
        roles.by_name(role)
        with context.sessions.begin() as session:
            home = projects.ensure(session, context.settings, project)
            users.ensure(session, name, password, home.id, role)
    print(f"{name} has the role {role} in {project}.")


@groups["user"].command("list")
def list_users() -> None:
    """List all users."""
    with open_context() as context:
        rows = users.listed(context, AccountFilter())
    _table(("ID", "NAME", "STATE"), ((row.id, row.name, _state(row.enabled)) for row in rows))


@groups["user"].command("set")
def change_user(
    user: str,
    name: NewName = None,
    email: Annotated[str | None, typer.Option()] = None,
    description: Description = None,
    enabled: Enabled = None,
) -> None:
    """Change a user. One who is disabled is logged out."""
    changes = _given(name=name, email=email, description=description, enabled=enabled)
    with open_context() as context:
        users.change(context, _user_id(context, user), changes)


@groups["user"].command("password")
def set_password(user: str, password: Password = "") -> None:
    """Give a user another password: they are logged out, and wrong ones count no more."""
    with open_context() as context:
        users.change(context, _user_id(context, user), {"password": password})


@groups["user"].command("delete")
def delete_user(user: str) -> None:
    """Remove a user with their roles, keypairs and application credentials."""
    with open_context() as context:
        users.delete(context, _user_id(context, user))


@groups["project"].command("create")
def create_project(name: str, description: Description = None) -> None:
    """Make a project; prints its id."""
    with open_context() as context:
        print(projects.create(context, NewProject(name, description or "")).id)


@groups["project"].command("list")
def list_projects() -> None:
    """List all projects."""
    with open_context() as context:
        rows = projects.listed(context, AccountFilter())
    _table(("ID", "NAME", "STATE"), ((row.id, row.name, _state(row.enabled)) for row in rows))


@groups["project"].command("set")
def change_project(
    project: str, name: NewName = None, description: Description = None, enabled: Enabled = None
) -> None:
    """Change a project. In one that is disabled nobody can do anything; its servers run on."""
    changes = _given(name=name, description=description, enabled=enabled)
    with open_context() as context:
        projects.change(context, _project_id(context, project), changes)


@groups["project"].command("delete")
def delete_project(project: str) -> None:
    """Remove a project that has no servers, images, networks or ports any more."""
    with open_context() as context:
        projects.delete(context, _project_id(context, project))


@groups["role"].command("add")
def add_role(role: str, user: OfUser, project: InProject) -> None:
    """Give a user a role in a project. Can be repeated."""
    with open_context() as context:
        assignments.give(context, _place(context, user, project), roles.by_name(role).id)


@groups["role"].command("remove")
def remove_role(role: str, user: OfUser, project: InProject) -> None:
    """Take a role in a project away from a user; what they are logged in with loses it at once."""
    with open_context() as context:
        assignments.take(context, _place(context, user, project), roles.by_name(role).id)


@groups["role"].command("list")
def list_roles(
    user: Annotated[str | None, typer.Option()] = None,
    project: Annotated[str | None, typer.Option()] = None,
) -> None:
    """List who has which role where."""
    with open_context() as context:
        wanted = AssignmentFilter(
            user_id=_user_id(context, user) if user else None,
            project_id=_project_id(context, project) if project else None,
        )
        rows = assignments.listed(context, wanted)
    _table(
        ("USER", "PROJECT", "ROLE"),
        ((row.user_name, row.project_name, row.role.name) for row in rows),
    )


def _place(context: Context, user: str, project: str) -> Place:
    return Place(_user_id(context, user), _project_id(context, project))


def _user_id(context: Context, name: str) -> str:
    with reading(context.sessions) as session:
        return users.named(session, name).id


def _project_id(context: Context, name: str) -> str:
    with reading(context.sessions) as session:
        return projects.named(session, name).id


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _state(enabled: bool) -> str:  # noqa: FBT001 - it is what it is about
    return "enabled" if enabled else "disabled"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        print("  ".join(map(str.ljust, line, widths)).rstrip())
