"""Which project a token is for: what was asked for, and what the user may have."""

from dataclasses import dataclass
from typing import Literal

from sqlalchemy.orm import Session

from app.db.models import Project, User
from app.db.repo import identity
from tasks.errors import Unauthorized

#: What a refused login is told, whatever was wrong.
WRONG = "The request you have made requires authentication."


@dataclass(frozen=True)
class Scope:
    """Which project a token is wanted for. `default` is the user's own choice."""

    kind: Literal["default", "unscoped", "project"] = "default"
    project_id: str | None = None
    project_name: str | None = None


def project_for(session: Session, user: User, scope: Scope) -> Project | None:
    """Return the project; None for a token without one. Raises Unauthorized."""
    project = _wanted_project(session, user, scope)
    if project is None:
        if scope.kind == "project":
            raise Unauthorized(WRONG, project=scope.project_name or scope.project_id)
        return None
    if not (project.enabled and identity.roles_in(session, user.id, project.id)):
        if scope.kind == "default":
            return None
        raise Unauthorized(WRONG, project=project.id)
    return project


def _wanted_project(session: Session, user: User, scope: Scope) -> Project | None:
    if scope.kind == "unscoped":
        return None
    if scope.kind == "default":
        default = user.default_project_id
        return identity.project_by_id(session, default) if default else None
    if scope.project_id is not None:
        return identity.project_by_id(session, scope.project_id)
    return identity.project_by_name(session, scope.project_name or "")
