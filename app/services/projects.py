"""Projects: what one may see of them, and how an administrator makes and removes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.db.models import Project
from app.db.models.base import new_id, now
from app.db.repo import identity, quota, tokens
from app.db.repo.identity import AccountFilter
from app.db.session import added, reading
from app.services import compute_quotas
from app.services.account_names import PROJECT_NAME, check_name
from app.services.context import Caller, Context
from config.settings import ControlSettings
from tasks.errors import Conflict, NotFound


@dataclass(frozen=True)
class ProjectView:
    """A project as its members see it."""

    id: str
    name: str
    description: str
    enabled: bool


@dataclass(frozen=True)
class NewProject:
    """A project to be made."""

    name: str
    description: str = ""
    enabled: bool = True


def listed(context: Context, wanted: AccountFilter) -> list[ProjectView]:
    """Return the projects, by name."""
    with reading(context.sessions) as session:
        return [_view(row) for row in identity.projects(session, wanted)]


def of_user(context: Context, user_id: str) -> list[ProjectView]:
    """Return the projects in which the user has a role."""
    with reading(context.sessions) as session:
        return [_view(row) for row in identity.projects_of(session, user_id)]


def get(context: Context, caller: Caller, project_id: str) -> ProjectView:
    """Return a project that the caller may see: one of their own. Raises NotFound."""
    with reading(context.sessions) as session:
        project = found(session, project_id)
        mine = project_id in {row.id for row in identity.projects_of(session, caller.user_id)}
    if not (mine or caller.may("identity:projects:show:others")):
        raise _missing(project_id)
    return _view(project)


def create(context: Context, new: NewProject) -> ProjectView:
    """Make a project with the settings' limits. Raises Conflict, RequestError."""
    check_name(new.name, PROJECT_NAME)
    with context.sessions.begin() as session:
        row = _row(session, context.settings, new)
        if not added(session, row):
            raise _taken(new.name)
        return _view(row)


def change(context: Context, project_id: str, changes: Mapping[str, Any]) -> ProjectView:
    """Set some of name, description, enabled. Nobody's token is worth anything in a disabled
    project; its servers run on. Raises NotFound, Conflict."""
    if "name" in changes:
        check_name(changes["name"], PROJECT_NAME)
    with context.sessions.begin() as session:
        row = found(session, project_id)
        for name, value in changes.items():
            setattr(row, name, value)
        try:
            session.flush()
        except IntegrityError as error:
            raise _taken(changes["name"]) from error
        return _view(row)


def delete(context: Context, project_id: str) -> None:
    """Remove a project that has nothing any more. Raises NotFound, Conflict."""
    with context.sessions.begin() as session:
        row = found(session, project_id)
        # Who makes a server or a network holds this lock.
        quota.lock_project(session, row.id)
        if has := identity.things_in(session, row.id):
            raise Conflict(f"Project {row.name} still has {', '.join(has)}. Remove them first.")
        tokens.remove_of_project(session, row.id)
        identity.end_project(session, row, now())


def found(session: Session, project_id: str) -> Project:
    """Return the project. Raises NotFound."""
    project = identity.project_by_id(session, project_id)
    if project is None:
        raise _missing(project_id)
    return project


def named(session: Session, name: str) -> Project:
    """Return the project of this name. Raises NotFound."""
    project = identity.project_by_name(session, name)
    if project is None:
        raise _missing(name)
    return project


def ensure(session: Session, settings: ControlSettings, name: str) -> Project:
    """Return the project of this name, made now with the settings' limits unless it is there."""
    project = identity.project_by_name(session, name)
    if project is None:
        check_name(name, PROJECT_NAME)
        project = _row(session, settings, NewProject(name))
        session.add(project)
        session.flush()
    return project


def _row(session: Session, settings: ControlSettings, new: NewProject) -> Project:
    row = Project(
        id=new_id(),
        name=new.name,
        description=new.description,
        enabled=new.enabled,
        quota_security_groups=settings.quota_security_groups,
        quota_security_group_rules=settings.quota_security_group_rules,
        quota_networks=settings.quota_networks,
        quota_subnets=settings.quota_subnets,
        quota_ports=settings.quota_ports,
        quota_routers=settings.quota_routers,
        quota_floating_ips=settings.quota_floating_ips,
    )
    compute_quotas.follow_defaults(session, settings, row)
    return row


def _taken(name: str) -> Conflict:
    return Conflict(f"There is a project {name} already.")


def _missing(project_id: str) -> NotFound:
    return NotFound(f"Could not find project: {project_id}.")


def _view(project: Project) -> ProjectView:
    return ProjectView(project.id, project.name, project.description, project.enabled)
