"""An image's bytes: received, looked into, put in place, handed out."""

from datetime import datetime
from typing import BinaryIO

import structlog
from sqlalchemy.orm import Session

from app.db.models import Image
from app.db.models.base import now
from app.db.repo import images
from app.db.session import Sessions, reading
from app.runs.tickets import check_ticket
from app.services.context import Caller, Context
from app.services.image_inspection import inspect
from app.services.image_store import ImageStore, Readable, Received
from app.services.images import ImageView, found, image_view, own
from config.settings import ControlSettings
from tasks.errors import Conflict, NotFound, RequestError

GIB = 1024**3

log = structlog.get_logger(__name__)


def upload(
    context: Context, caller: Caller, image_id: str, source: Readable, expected: int | None
) -> None:
    """Take the image's bytes from the source; `expected` is how many it promised, if it did.

    An upload that breaks off can be tried again; bytes that cannot be used leave the image
    `killed`. Raises NotFound, Forbidden, Conflict, TooLarge, RequestError, ImageUnusable.
    """
    store = ImageStore(context.settings.image_store_dir)
    disk_format = _begin(context, caller, image_id)
    after = "queued"
    try:
        limit = context.settings.image_max_gib * GIB
        with store.receive(image_id, source, limit=limit, expected=expected) as received:
            after = "killed"
            virtual_size = inspect(received.path, disk_format)
            _end(context, image_id, store, received, virtual_size)
            after = "active"
    finally:
        if after != "active":
            with context.sessions.begin() as session:
                images.move(session, image_id, "saving", after, updated_at=now())


def recover(sessions: Sessions, settings: ControlSettings, before: datetime) -> list[str]:
    """Let images be uploaded again whose upload began before a moment and ended with its process.
    Returns their ids."""
    receiving = ImageStore(settings.image_store_dir).remove_abandoned()
    with reading(sessions) as session:
        saving = images.saving_since(session, before)
    abandoned = [image_id for image_id in saving if image_id not in receiving]
    for image_id in abandoned:
        with sessions.begin() as session:
            images.move(session, image_id, "saving", "queued", updated_at=now())
        log.warning("upload.abandoned", image=image_id)
    return abandoned


def open_image(
    context: Context, caller: Caller, image_id: str
) -> tuple[ImageView, BinaryIO | None]:
    """Return the image's record, and its bytes to read if it has any. Raises NotFound."""
    with reading(context.sessions) as session:
        row = image_view(found(images.get(session, image_id), caller, image_id))
    if row.status != "active":
        return row, None
    return row, ImageStore(context.settings.image_store_dir).open(image_id)


def open_with_ticket(context: Context, image_id: str, ticket: str) -> tuple[ImageView, BinaryIO]:
    """Return the same for who has a ticket: a hypervisor. Raises Forbidden, NotFound."""
    check_ticket(context.settings, image_id, ticket)
    with reading(context.sessions) as session:
        row = images.get(session, image_id)
    if row is None or row.status != "active":
        raise NotFound(f"No image found with ID {image_id}")
    return image_view(row), ImageStore(context.settings.image_store_dir).open(image_id)


def _begin(context: Context, caller: Caller, image_id: str) -> str:
    """Reserve the image for this upload; return the format that its bytes are said to have."""
    with context.sessions.begin() as session:
        row = own(found(images.get(session, image_id), caller, image_id), caller)
        disk_format = _format(row)
        if not images.move(session, image_id, "queued", "saving", updated_at=now()):
            raise Conflict(f"Image {image_id} has its data already: its status is {row.status}.")
    return disk_format


def _format(row: Image) -> str:
    if row.disk_format is None or row.container_format is None:
        raise RequestError("disk_format and container_format must be set before the upload.")
    return row.disk_format


def _end(
    context: Context, image_id: str, store: ImageStore, received: Received, virtual_size: int
) -> None:
    """Put the bytes in place and only then say so: a record never promises what is not there."""
    store.put(image_id, received)
    with context.sessions.begin() as session:
        if not _activate(session, image_id, received, virtual_size):
            store.remove(image_id)
            raise NotFound(f"Image {image_id} was deleted during its upload.")


def _activate(session: Session, image_id: str, received: Received, virtual_size: int) -> bool:
    return images.move(
        session,
        image_id,
        "saving",
        "active",
        size_bytes=received.size_bytes,
        virtual_size_bytes=virtual_size,
        md5=received.md5,
        sha256=received.sha256,
        sha512=received.sha512,
        updated_at=now(),
    )
