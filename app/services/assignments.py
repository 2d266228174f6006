"""Role assignments: which user has which role in which project."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.db.models import RoleAssignment
from app.db.repo import identity
from app.db.repo.identity import AssignmentFilter
from app.db.session import added, reading
from app.services import projects, roles, users
from app.services.context import Context
from app.services.roles import RoleView
from tasks.errors import NotFound


@dataclass(frozen=True)
class AssignmentView:
    """A user's role in a project."""

    user_id: str
    user_name: str
    project_id: str
    project_name: str
    role: RoleView


@dataclass(frozen=True)
class Place:
    """A user in a project."""

    user_id: str
    project_id: str


def listed(
    context: Context, wanted: AssignmentFilter, *, effective: bool = False
) -> list[AssignmentView]:
    """Return the assignments; effective ones are also those that a role holds."""
    asked = AssignmentFilter(wanted.user_id, wanted.project_id) if effective else wanted
    with reading(context.sessions) as session:
        rows = identity.assignments(session, asked)
    found = {
        AssignmentView(row.user_id, row.user_name, row.project_id, row.project_name, role)
        for row in rows
        for role in map(roles.by_name, roles.expand([row.role]) if effective else [row.role])
        if wanted.role in (None, role.name)
    }
    return sorted(found, key=lambda each: (each.project_name, each.user_name, each.role.name))


def roles_at(context: Context, place: Place) -> list[RoleView]:
    """Return the roles that were given to the user in the project. Raises NotFound."""
    with reading(context.sessions) as session:
        _check(session, place)
        given = identity.roles_in(session, place.user_id, place.project_id)
    return [roles.by_name(name) for name in given]


def check(context: Context, place: Place, role_id: str) -> None:
    """Return if the user was given the role in the project. Raises NotFound."""
    if roles.get(role_id) not in roles_at(context, place):
        raise _missing(role_id, place)


def give(context: Context, place: Place, role_id: str) -> None:
    """See to it that the user has the role in the project. Raises NotFound."""
    role = roles.get(role_id)
    with context.sessions.begin() as session:
        _check(session, place)
        add(session, place, role)


def take(context: Context, place: Place, role_id: str) -> None:
    """Take the role away; tokens that the user has lose it at once. Raises NotFound."""
    role = roles.get(role_id)
    with context.sessions.begin() as session:
        _check(session, place)
        if not identity.remove_assignment(session, place.user_id, place.project_id, role.name):
            raise _missing(role_id, place)


def add(session: Session, place: Place, role: RoleView) -> None:
    """Give the role unless the user has it. One who gives it at the same moment does no harm."""
    if role.name not in identity.roles_in(session, place.user_id, place.project_id):
        given = RoleAssignment(user_id=place.user_id, project_id=place.project_id, role=role.name)
        added(session, given)


def _check(session: Session, place: Place) -> None:
    projects.found(session, place.project_id)
    users.found(session, place.user_id)


def _missing(role_id: str, place: Place) -> NotFound:
    return NotFound(
        f"Could not find role assignment with role: {role_id}, user: {place.user_id}, project:"
        f" {place.project_id}."
    )
