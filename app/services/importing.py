"""Bring an image file in on the operator's word, without going through the API."""

from pathlib import Path

from app.db.repo import identity
from app.db.session import reading
from app.services import images, uploads
from app.services.context import Caller, Context
from app.services.images import NewImage, Wanted
from app.services.pages import Page
from tasks.errors import NotFound


def operator(context: Context) -> Caller:
    """Return the operator: whoever may run this command already holds the database.

    Raises NotFound before `byre bootstrap` has been run.
    """
    with reading(context.sessions) as session:
        project = identity.project_by_name(session, "admin")
        user = identity.user_by_name(session, "admin")
    if project is None or user is None:
        raise NotFound("There is no project and user admin yet: run `byre bootstrap`.")
    return Caller(user.id, user.name, project.id, project.name, ("admin",), "req-cli")


def import_image(context: Context, path: Path, new: NewImage, sha256: str) -> str:
    """Return the id of the image with these bytes and this name, made now unless it is there.

    Raises OSError, RequestError, ImageUnusable.
    """
    caller = operator(context)
    wanted = Wanted(facts={"name": [new.name], "sha256": [sha256], "status": ["active"]})
    for image in images.listed(context, caller, wanted, Page(limit=1)):
        return image.id
    made = images.create(context, caller, new)
    try:
        with path.open("rb") as source:
            uploads.upload(context, caller, made.id, source, path.stat().st_size)
    except BaseException:
        images.delete(context, caller, made.id)
        raise
    return made.id
