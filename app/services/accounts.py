"""Projects and users: what one may see of them, and how an operator makes them."""

from dataclasses import dataclass
from typing import Literal

from sqlalchemy.orm import Session

from app.db.models import Project, RoleAssignment, User
from app.db.models.base import new_id
from app.db.repo import identity
from app.db.session import reading
from app.services.context import Caller, Context
from app.services.passwords import hash_password
from config.settings import ControlSettings
from tasks.errors import NotFound

Role = Literal["reader", "member", "admin"]


@dataclass(frozen=True)
class ProjectView:
    """A project as its members see it."""

    id: str
    name: str
    description: str
    enabled: bool


@dataclass(frozen=True)
class UserView:
    """A user as they see themselves."""

    id: str
    name: str
    enabled: bool
    default_project_id: str | None


def projects_of(context: Context, user_id: str) -> list[ProjectView]:
    """Return the projects in which the user has a role."""
    with reading(context.sessions) as session:
        return [_project_view(row) for row in identity.projects_of(session, user_id)]


def get_project(context: Context, caller: Caller, project_id: str) -> ProjectView:
    """Return a project that the caller may see: one of their own. Raises NotFound."""
    with reading(context.sessions) as session:
        project = identity.project_by_id(session, project_id)
        mine = project_id in {row.id for row in identity.projects_of(session, caller.user_id)}
    if project is None or not (mine or caller.is_admin):
        raise NotFound(f"Could not find project: {project_id}.")
    return _project_view(project)


def get_user(context: Context, caller: Caller, user_id: str) -> UserView:
    """Return a user: the caller, or any for an administrator. Raises NotFound."""
    with reading(context.sessions) as session:
        user = identity.user_by_id(session, user_id)
    if user is None or not (user.id == caller.user_id or caller.is_admin):
        raise NotFound(f"Could not find user: {user_id}.")
    return UserView(user.id, user.name, user.enabled, user.default_project_id)


def ensure_project(session: Session, settings: ControlSettings, name: str) -> Project:
    """Return the project of this name, made now with the settings' limits unless it is there."""
    project = identity.project_by_name(session, name)
    if project is None:
        project = Project(
            id=new_id(),
            name=name,
            quota_servers=settings.quota_servers,
            quota_vcpus=settings.quota_vcpus,
            quota_memory_mib=settings.quota_memory_mib,
            quota_security_groups=settings.quota_security_groups,
            quota_security_group_rules=settings.quota_security_group_rules,
            quota_networks=settings.quota_networks,
            quota_subnets=settings.quota_subnets,
            quota_ports=settings.quota_ports,
        )
        session.add(project)
        session.flush()
    return project


def ensure_user(
    session: Session, name: str, password: str | None, project: Project, role: Role
) -> tuple[User, bool]:
    """Return the user of this name and whether they were made now; with the role in the project.

    A password that is given is theirs from now on; a new user needs one.
    """
    user = identity.user_by_name(session, name)
    made = user is None
    if user is None:
        if password is None:
            raise ValueError(f"user {name} is new and needs a password")
        user = User(id=new_id(), name=name, default_project_id=project.id, password_hash="")
        session.add(user)
    if password is not None:
        user.password_hash = hash_password(password)
    session.flush()
    if role not in identity.roles_in(session, user.id, project.id):
        session.add(RoleAssignment(user_id=user.id, project_id=project.id, role=role))
    return user, made


def _project_view(project: Project) -> ProjectView:
    return ProjectView(project.id, project.name, project.description, project.enabled)
