"""Images: their records. Their bytes are app.services.uploads' work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.db.models import Image
from app.db.models.base import new_id, now
from app.db.repo import images, migrations
from app.db.repo.identity import project_by_id
from app.db.repo.images import ImageFilter, Span
from app.db.repo.paging import Page
from app.db.session import reading
from app.services.context import Caller, Context
from app.services.image_properties import check_properties, check_words
from tasks.errors import Conflict, Forbidden, NotFound, RequestError


@dataclass(frozen=True)
class ImageView:
    """An image's record."""

    id: str
    project_id: str
    name: str
    status: str
    visibility: str
    disk_format: str | None
    container_format: str | None
    min_disk_gib: int
    min_ram_mib: int
    protected: bool
    hidden: bool
    size_bytes: int | None
    virtual_size_bytes: int | None
    md5: str | None
    sha256: str | None
    sha512: str | None
    tags: tuple[str, ...]
    properties: dict[str, Any]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class NewImage:
    """An image to keep a record of; its bytes come later."""

    id: str | None = None
    name: str = ""
    visibility: str = "private"
    disk_format: str | None = None
    container_format: str | None = None
    min_disk_gib: int = 0
    min_ram_mib: int = 0
    protected: bool = False
    hidden: bool = False
    #: Whose it is to be, if not the caller's.
    project_id: str | None = None
    tags: tuple[str, ...] = ()
    properties: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ImageChange:
    """One change to an image: of a column of its record, or of a property."""

    kind: Literal["add", "replace", "remove"]
    name: str
    value: Any = None
    is_property: bool = False


@dataclass(frozen=True)
class Wanted:
    """Which images a list is to have."""

    #: column of Image -> values, one of which it must have
    facts: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    tags: Sequence[str] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    spans: Sequence[Span] = ()


def listed(context: Context, caller: Caller, wanted: Wanted, part: Page) -> list[ImageView]:
    """Return a page of the images that the caller may use."""
    row_filter = ImageFilter(
        caller.sees, wanted.facts, wanted.tags, wanted.properties, wanted.spans
    )
    with reading(context.sessions) as session:
        return [image_view(row) for row in images.listed(session, row_filter, part)]


def get(context: Context, caller: Caller, image_id: str) -> ImageView:
    """Return an image's record. Raises NotFound."""
    with reading(context.sessions) as session:
        return image_view(found(images.get(session, image_id), caller, image_id))


def create(context: Context, caller: Caller, new: NewImage) -> ImageView:
    """Keep a record of an image to come. Raises Forbidden, Conflict, RequestError."""
    if new.visibility == "public" and not caller.may("image:images:create:public"):
        raise _not_public()
    check_words(new.name, new.tags)
    check_properties(new.properties)
    moment = now()
    row = Image(
        id=new.id or new_id(),
        project_id=new.project_id or caller.project_id,
        name=new.name,
        status="queued",
        visibility=new.visibility,
        disk_format=new.disk_format,
        container_format=new.container_format,
        min_disk_gib=new.min_disk_gib,
        min_ram_mib=new.min_ram_mib,
        protected=new.protected,
        hidden=new.hidden,
        tags=list(new.tags),
        properties=dict(new.properties),
        created_at=moment,
        updated_at=moment,
    )
    try:
        with context.sessions.begin() as session:
            _check_owner(session, caller, row.project_id)
            session.add(row)
    except IntegrityError as error:
        raise Conflict(f"Image ID {row.id} already exists!") from error
    return image_view(row)


def update(
    context: Context, caller: Caller, image_id: str, changes: Sequence[ImageChange]
) -> ImageView:
    """Change an image, all of it or nothing; return its record. Servers made from it keep what they
    have. Raises NotFound, Forbidden, Conflict, RequestError."""
    with context.sessions.begin() as session:
        row = changeable(session, caller, image_id)
        properties = dict(row.properties)
        for change in changes:
            if change.is_property:
                _change_property(properties, change)
            else:
                _change_record(session, row, caller, change)
        check_words(row.name, row.tags)
        return _with_properties(session, row, properties)


def replace_properties(
    context: Context, caller: Caller, image_id: str, properties: Mapping[str, str]
) -> ImageView:
    """Give an image these properties and no others; return its record. Raises NotFound, Forbidden,
    RequestError."""
    with context.sessions.begin() as session:
        row = changeable(session, caller, image_id)
        return _with_properties(session, row, properties)


def _with_properties(session: Session, row: Image, properties: Mapping[str, Any]) -> ImageView:
    check_properties(properties)
    row.properties = dict(properties)
    images.touch(row, now())
    session.flush()
    return image_view(row)


def _change_property(properties: dict[str, Any], change: ImageChange) -> None:
    if change.kind != "add" and change.name not in properties:
        raise Conflict(f"Property {change.name:.60} does not exist.")
    if change.kind == "remove":
        del properties[change.name]
    else:
        properties[change.name] = change.value


def _change_record(session: Session, row: Image, caller: Caller, change: ImageChange) -> None:
    if change.name in {"disk_format", "container_format"} and row.status != "queued":
        raise Forbidden(f"Attribute '{change.name}' can be changed before the upload only.")
    is_to_be_public = change.name == "visibility" and change.value == "public"
    if is_to_be_public and not caller.may("image:images:update:public"):
        raise _not_public()
    if change.name == "project_id" and change.value != row.project_id:
        _check_owner(session, caller, change.value)
    setattr(row, change.name, change.value or "" if change.name == "name" else change.value)


def _not_public() -> Forbidden:
    """In Glance's words."""
    return Forbidden("You are not authorized to complete publicize_image action.")


def _check_owner(session: Session, caller: Caller, project_id: str) -> None:
    """Raise Forbidden or RequestError unless the caller may give images to the project."""
    if project_id == caller.project_id:
        return
    if not caller.may("image:images:update:owner"):
        raise Forbidden("You are not permitted to give images to another project: 'owner'.")
    if project_by_id(session, project_id) is None:
        raise RequestError(f"owner: there is no project {project_id:.60}.")


def delete(context: Context, caller: Caller, image_id: str) -> None:
    """Remove an image and its bytes. Raises NotFound, Forbidden if it is protected or another's,
    StoreUnavailable: then it is `pending_delete`, and can be deleted again."""
    with context.sessions.begin() as session:
        row = changeable(session, caller, image_id)
        if row.protected:
            raise Forbidden(f"Image {image_id} is protected and cannot be deleted.")
        # Nobody is promised its bytes from here on, and somebody still knows of them.
        row.status, row.updated_at = "pending_delete", now()
    remove(context, image_id)


def remove(context: Context, image_id: str) -> None:
    """Remove the bytes and then the record of an image that is `pending_delete`.
    Raises StoreUnavailable."""
    context.image_store.remove(image_id)
    with context.sessions.begin() as session:
        images.remove(session, image_id)


def found(row: Image | None, caller: Caller, image_id: str) -> Image:
    """Return the row if the caller may see it. Raises NotFound."""
    if row is None or not visible_to(row, caller):
        raise NotFound(f"No image found with ID {image_id}")
    return row


def changeable(session: Session, caller: Caller, image_id: str) -> Image:
    """Return the image's row, locked, if the caller may change it. Raises NotFound, Forbidden."""
    row = found(images.lock(session, image_id), caller, image_id)
    if row.project_id != caller.project_id and not caller.is_admin:
        raise Forbidden("You are not permitted to change an image of another project.")
    if migrations.carries(session, image_id):
        # The server's disk there is to be the one that left here.
        raise Forbidden(f"Image {image_id} is a disk of a server on its way to another host.")
    return row


def visible_to(row: Image, caller: Caller) -> bool:
    """Say whether the caller may use the image."""
    return row.visibility == "public" or row.project_id == caller.project_id or caller.is_admin


def image_view(row: Image) -> ImageView:
    """Return what is shown of the row."""
    return ImageView(
        id=row.id,
        project_id=row.project_id,
        name=row.name,
        status=row.status,
        visibility=row.visibility,
        disk_format=row.disk_format,
        container_format=row.container_format,
        min_disk_gib=row.min_disk_gib,
        min_ram_mib=row.min_ram_mib,
        protected=row.protected,
        hidden=row.hidden,
        size_bytes=row.size_bytes,
        virtual_size_bytes=row.virtual_size_bytes,
        md5=row.md5,
        sha256=row.sha256,
        sha512=row.sha512,
        tags=tuple(row.tags),
        properties=dict(row.properties),
        created_at=row.created_at,
        updated_at=row.updated_at or row.created_at,
    )
