"""Which projects may use a private flavor, besides administrators."""

from sqlalchemy.orm import Session

from app.db.models import Flavor, FlavorAccess
from app.db.repo import flavors, identity
from app.db.session import reading
from app.services.context import Context
from tasks.errors import Conflict, NotFound, RequestError


def listed(context: Context, flavor_id: str) -> list[str]:
    """Return the ids of the projects. Raises NotFound, for a public flavor too."""
    with reading(context.sessions) as session:
        if _found(flavors.get(session, flavor_id), flavor_id).is_public:
            raise NotFound("Access list not available for public flavors.")
        return flavors.projects_with_access(session, flavor_id)


def give(context: Context, flavor_id: str, project_id: str) -> list[str]:
    """Let a project use the flavor, and return the ids of all that may. Raises NotFound,
    Conflict, RequestError."""
    with context.sessions.begin() as session:
        if _locked(session, flavor_id).is_public:
            raise Conflict("Can not add access to a public flavor.")
        if identity.project_by_id(session, project_id) is None:
            raise RequestError(f"tenant: project {project_id} could not be found.")
        if flavors.has_access(session, flavor_id, project_id):
            raise Conflict(
                f"Flavor access already exists for flavor {flavor_id} and project {project_id}"
                " combination."
            )
        session.add(FlavorAccess(flavor_id=flavor_id, project_id=project_id))
        session.flush()
        return flavors.projects_with_access(session, flavor_id)


def take(context: Context, flavor_id: str, project_id: str) -> list[str]:
    """Let a project use the flavor no more, and return the ids of those that still may; its servers
    keep it. Raises NotFound, Conflict."""
    with context.sessions.begin() as session:
        if _locked(session, flavor_id).is_public:
            raise Conflict("Can not remove access from a public flavor.")
        row = session.get(FlavorAccess, (flavor_id, project_id))
        if row is None:
            raise NotFound(f"Flavor access not found for {flavor_id} / {project_id} combination.")
        session.delete(row)
        session.flush()
        return flavors.projects_with_access(session, flavor_id)


def _locked(session: Session, flavor_id: str) -> Flavor:
    return _found(flavors.lock(session, flavor_id), flavor_id)


def _found(row: Flavor | None, flavor_id: str) -> Flavor:
    if row is None:
        raise NotFound(f"Flavor {flavor_id} could not be found.")
    return row
