"""What is done to an image beside changing its record: single tags, and taking it out of use."""

from app.db.models.base import now
from app.db.repo import images
from app.services.context import Caller, Context
from app.services.image_properties import check_words
from app.services.images import changeable
from tasks.errors import Forbidden, NotFound, RequestError, TooLarge

MAX_TAGS, MAX_TAG = 128, 255


def add_tag(context: Context, caller: Caller, image_id: str, tag: str) -> None:
    """Give an image a tag; nothing if it has it. Raises NotFound, Forbidden, RequestError,
    TooLarge."""
    if not 1 <= len(tag) <= MAX_TAG:
        raise RequestError(f"tags: must be of 1 to {MAX_TAG} characters.")
    check_words("", [tag])
    with context.sessions.begin() as session:
        row = changeable(session, caller, image_id)
        if tag in row.tags:
            return
        if len(row.tags) >= MAX_TAGS:
            raise TooLarge(f"tags: there are {MAX_TAGS} of them, and no more are allowed.")
        row.tags = [*row.tags, tag]
        images.touch(row, now())


def remove_tag(context: Context, caller: Caller, image_id: str, tag: str) -> None:
    """Take a tag from an image. Raises NotFound if it has none such, Forbidden."""
    with context.sessions.begin() as session:
        row = changeable(session, caller, image_id)
        if tag not in row.tags:
            raise NotFound(f"Image {image_id} has no tag {tag:.60}.")
        row.tags = [each for each in row.tags if each != tag]
        images.touch(row, now())


def deactivate(context: Context, caller: Caller, image_id: str) -> None:
    """Let nobody but administrators have an image's bytes, and no new server be made from it.
    Nothing if it is so. Raises NotFound, Forbidden if it is not active or another's."""
    _move(context, caller, image_id, "deactivate", ("active", "deactivated"))


def reactivate(context: Context, caller: Caller, image_id: str) -> None:
    """Take a deactivation back. Raises the same."""
    _move(context, caller, image_id, "reactivate", ("deactivated", "active"))


def _move(
    context: Context, caller: Caller, image_id: str, verb: str, statuses: tuple[str, str]
) -> None:
    with context.sessions.begin() as session:
        row = changeable(session, caller, image_id)
        if row.status not in statuses:
            raise Forbidden(f"Not allowed to {verb} image in status '{row.status}'.")
        if row.status == statuses[0]:
            row.status, row.updated_at = statuses[1], now()
