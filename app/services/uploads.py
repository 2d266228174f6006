"""An image's bytes: received, looked into, put in place, handed out."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, BinaryIO

import structlog
from sqlalchemy.orm import Session

from app.db.models import Image
from app.db.models.base import now
from app.db.repo import images
from app.db.session import reading
from app.runs.tickets import check_ticket, check_upload_ticket
from app.services.context import Caller, Context
from app.services.image_inspection import inspect
from app.services.image_store import Readable, Received
from app.services.images import ImageView, changeable, found, image_view, remove
from app.services.upload_lease import UploadLease
from tasks.errors import Conflict, Forbidden, NotFound, RequestError

GIB = 1024**3

#: How often an upload gives its sign before it is missed.
SIGNS = 4

log = structlog.get_logger(__name__)


def upload(
    context: Context, caller: Caller, image_id: str, source: Readable, expected: int | None
) -> None:
    """Take the image's bytes from the source; `expected` is how many it promised, if it did.

    An upload that breaks off, or that the store does not take, can be tried again; bytes that
    cannot be used leave the image `killed`. Raises NotFound, Forbidden, Conflict, TooLarge,
    RequestError, ImageUnusable, StoreUnavailable.
    """
    disk_format, began = _begin(context, image_id, partial(changeable, caller=caller))
    _receive(context, image_id, disk_format, began, source, expected)


def upload_with_ticket(
    context: Context, image_id: str, ticket: str, source: Readable, expected: int | None
) -> None:
    """Take the bytes of an image from who has a ticket for it: a hypervisor. As `upload`."""
    check_upload_ticket(context.settings, image_id, ticket)
    disk_format, began = _begin(context, image_id, _locked)
    _receive(context, image_id, disk_format, began, source, expected)


def state_with_ticket(context: Context, image_id: str, ticket: str) -> ImageView:
    """Return the record of an image that is to be given its bytes, to who has a ticket for that: an
    upload whose answer was lost may have arrived. Raises Forbidden, NotFound."""
    check_upload_ticket(context.settings, image_id, ticket)
    with reading(context.sessions) as session:
        return image_view(_there(images.get(session, image_id), image_id))


def _receive(
    context: Context,
    image_id: str,
    disk_format: str,
    began: datetime,
    source: Readable,
    expected: int | None,
) -> None:
    store = context.image_store
    after = "queued"
    with UploadLease(context.sessions, image_id, began, store.lease_s / SIGNS) as lease:
        try:
            limit = context.settings.image_max_gib * GIB
            with store.receive(image_id, source, limit=limit, expected=expected) as received:
                after = "killed"
                virtual_size = inspect(received.path, disk_format)
                after = "queued"
                _end(context, image_id, lease, received, virtual_size)
                after = "active"
        finally:
            if after != "active":
                with context.sessions.begin() as session:
                    lease.end(session, after)


def recover(context: Context, silence_s: float) -> list[str]:
    """Let images be uploaded again whose upload has ended with its process, and which have not been
    changed for so long; remove what it left. Returns their ids. Raises StoreUnavailable."""
    receiving = context.image_store.remove_abandoned()
    before = now() - timedelta(seconds=max(silence_s, context.image_store.lease_s))
    with reading(context.sessions) as session:
        silent = images.unchanged_since(session, "saving", before)
    abandoned = [
        image_id
        for image_id, stamp in silent.items()
        if image_id not in receiving and _give_up(context, image_id, stamp)
    ]
    context.image_store.stop_unfinished(lambda: _saving(context))
    return abandoned


def finish_deletions(context: Context, silence_s: float) -> None:
    """Remove images whose removal has not ended, and which have not been changed for so long.
    Raises StoreUnavailable."""
    before = now() - timedelta(seconds=silence_s)
    with reading(context.sessions) as session:
        pending = images.unchanged_since(session, "pending_delete", before)
    for image_id in pending:
        remove(context, image_id)
        log.info("image.deleted_late", image=image_id)


def _give_up(context: Context, image_id: str, stamp: datetime | None) -> bool:
    with context.sessions.begin() as session:
        is_ours = images.move(session, image_id, "saving", "queued", stamp, updated_at=now())
    if is_ours:
        log.warning("upload.abandoned", image=image_id)
    return is_ours


def _saving(context: Context) -> set[str]:
    with reading(context.sessions) as session:
        return images.ids_of(session, "saving")


def open_image(
    context: Context, caller: Caller, image_id: str
) -> tuple[ImageView, BinaryIO | None]:
    """Return the image's record, and its bytes to read if it has any. Raises NotFound, Forbidden
    if it is deactivated: then only administrators get them."""
    with reading(context.sessions) as session:
        row = image_view(found(images.get(session, image_id), caller, image_id))
    if row.status == "deactivated" and not caller.may("image:images:download:deactivated"):
        raise Forbidden(
            "The requested image has been deactivated. Image data download is forbidden."
        )
    if row.status not in {"active", "deactivated"}:
        return row, None
    return row, context.image_store.open(image_id)


def open_with_ticket(context: Context, image_id: str, ticket: str) -> tuple[ImageView, BinaryIO]:
    """Return the same for who has a ticket: a hypervisor. Raises Forbidden, NotFound."""
    check_ticket(context.settings, image_id, ticket)
    with reading(context.sessions) as session:
        row = images.get(session, image_id)
    if row is None or row.status != "active":
        raise NotFound(f"No image found with ID {image_id}")
    return image_view(row), context.image_store.open(image_id)


def _locked(session: Session, *, image_id: str) -> Image:
    return _there(images.lock(session, image_id), image_id)


def _there(row: Image | None, image_id: str) -> Image:
    if row is None or row.status == "pending_delete":
        raise NotFound(f"No image found with ID {image_id}")
    return row


def _begin(context: Context, image_id: str, locked: Callable[..., Image]) -> tuple[str, datetime]:
    """Reserve the image for this upload, if `locked` gives its row; return the format that its
    bytes are said to have, and when that was."""
    began = now()
    with context.sessions.begin() as session:
        # Locked: the format that is looked for in the bytes is the one that the record keeps.
        row = locked(session, image_id=image_id)
        disk_format = _format(row)
        if not images.move(session, image_id, "queued", "saving", updated_at=began):
            raise Conflict(f"Image {image_id} has its data already: its status is {row.status}.")
    return disk_format, began


def _format(row: Image) -> str:
    if row.disk_format is None or row.container_format is None:
        raise RequestError("disk_format and container_format must be set before the upload.")
    return row.disk_format


def _end(
    context: Context, image_id: str, lease: UploadLease, received: Received, virtual_size: int
) -> None:
    """Put the bytes in place and only then say so: a record never promises what is not there."""
    if lease.renew():
        context.image_store.put(image_id, received)
        with context.sessions.begin() as session:
            if lease.end(session, "active", **_facts(received, virtual_size)):
                return
    raise _superseded(context, image_id)


def _superseded(context: Context, image_id: str) -> RequestError:
    """Return why the image is not this upload's any more; what it may have left is gone."""
    with reading(context.sessions) as session:
        row = images.get(session, image_id)
    if row is not None and row.status != "pending_delete":
        # Another upload of it may have begun, and ended: what is there now is that one's.
        return Conflict(f"The upload of image {image_id} was given up: there was no sign of it.")
    context.image_store.remove(image_id)
    return NotFound(f"Image {image_id} was deleted during its upload.")


def _facts(received: Received, virtual_size: int) -> dict[str, Any]:
    return {
        "size_bytes": received.size_bytes,
        "virtual_size_bytes": virtual_size,
        "md5": received.md5,
        "sha256": received.sha256,
        "sha512": received.sha512,
    }
