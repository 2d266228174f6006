"""Queries on images."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    CursorResult,
    Select,
    String,
    and_,
    case,
    column,
    delete,
    exists,
    func,
    literal,
    not_,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session

from app.db.models import Image
from app.db.models.base import new_id, now
from app.db.repo.paging import Key, Page, page

#: When it was changed last; what was never changed, when it was made.
_changed_at = func.coalesce(Image.updated_at, Image.created_at)

#: What lists can be ordered by; none of it is null.
ORDERS: dict[str, Any] = {
    "id": Image.id,
    "name": Image.name,
    "status": Image.status,
    "visibility": Image.visibility,
    "owner": Image.project_id,
    "disk_format": func.coalesce(Image.disk_format, ""),
    "container_format": func.coalesce(Image.container_format, ""),
    "size": func.coalesce(Image.size_bytes, -1),
    "min_disk": Image.min_disk_gib,
    "min_ram": Image.min_ram_mib,
    "created_at": Image.created_at,
    "updated_at": _changed_at,
}

#: What ranges can be of.
_MEASURES: dict[str, Any] = {
    "size": Image.size_bytes,
    "created_at": Image.created_at,
    "updated_at": _changed_at,
}


@dataclass(frozen=True)
class Span:
    """Those whose measure is at least one value and below another; or all that are not within."""

    measure: str
    least: Any = None
    below: Any = None
    outside: bool = False


@dataclass(frozen=True)
class ImageFilter:
    """Which images are wanted: those that a project sees (None: all), with these facts."""

    visible_to: str | None
    #: column of Image -> values, one of which it must have
    facts: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    tags: Sequence[str] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    spans: Sequence[Span] = ()


def add_disk(
    session: Session, project_id: str, name: str, properties: dict[str, Any], **facts: Any
) -> Image:
    """Add the record of a server's disk, whose bytes its host will send; `facts` are other columns.
    Only its project sees it."""
    moment = now()
    image = Image(
        id=new_id(),
        project_id=project_id,
        name=name,
        status="queued",
        visibility="private",
        disk_format="qcow2",
        container_format="bare",
        tags=[],
        properties=properties,
        created_at=moment,
        updated_at=moment,
        **facts,
    )
    session.add(image)
    return image


def get(session: Session, image_id: str) -> Image | None:
    """Return the image, or None."""
    return session.get(Image, image_id)


def lock(session: Session, image_id: str) -> Image | None:
    """Return the image as it is now, locked until the transaction ends, or None."""
    return session.get(Image, image_id, with_for_update=True, populate_existing=True)


def listed(session: Session, wanted: ImageFilter, part: Page) -> list[Image]:
    """Return a page of the images that pass the filter, newest first unless ordered otherwise."""
    query: Select[Image] = select(Image)
    if "status" not in wanted.facts:
        # It is gone, for all but who asks for such.
        query = query.where(Image.status != "pending_delete")
    if wanted.visible_to is not None:
        query = query.where(
            or_(Image.visibility == "public", Image.project_id == wanted.visible_to)
        )
    for name, values in wanted.facts.items():
        query = query.where(getattr(Image, name).in_(values))
    for name, value in wanted.properties.items():
        query = query.where(Image.properties[name].as_string() == value)
    query = query.where(*(_within(span) for span in wanted.spans))
    query = query.where(*(_has_tag(session, tag) for tag in wanted.tags))
    order = part.order or (("created_at", True),)
    keys = [Key(ORDERS[name], descending) for name, descending in order if name != "id"]
    keys.append(Key(Image.id, descending=order[-1][1]))
    return list(session.scalars(page(session, query, keys, part.marker, part.limit)))


def _within(span: Span) -> ColumnElement[bool]:
    value = _MEASURES[span.measure]
    bounds = []
    if span.least is not None:
        bounds.append(value >= span.least)
    if span.below is not None:
        bounds.append(value < span.below)
    return not_(and_(*bounds)) if span.outside else and_(*bounds)


def _has_tag(session: Session, tag: str) -> ColumnElement[bool]:
    """Tags are a JSON list, which the two databases take apart by functions of their own."""
    kind = column("value", String)
    if session.get_bind().dialect.name == "sqlite":
        each = func.json_each(Image.tags).table_valued(kind)
    else:
        each = func.json_array_elements_text(Image.tags).table_valued(kind).render_derived()
    return exists(select(1).select_from(each).where(each.c.value == tag).correlate(Image))


def move(
    session: Session,
    image_id: str,
    before: str,
    after: str,
    stamp: datetime | None = None,
    **facts: Any,
) -> bool:
    """Change the image's status if it still is `before`, and unchanged since `stamp` if that is
    given; False if it is not."""
    query = update(Image).where(Image.id == image_id, Image.status == before)
    if stamp is not None:
        query = query.where(Image.updated_at == stamp)
    result = session.execute(query.values(status=after, **facts))
    return cast("CursorResult[Any]", result).rowcount == 1


def touch(row: Image, moment: datetime) -> None:
    """Say that the image was changed, unless it is `saving`: that is its upload's sign of life
    then, which nobody else gives (whatever it is when the database gets to it)."""
    at = literal(moment, Image.updated_at.type)
    sign = case((Image.status == "saving", Image.updated_at), else_=at)
    row.updated_at = cast("datetime", sign)


def unchanged_since(session: Session, status: str, before: datetime) -> dict[str, datetime | None]:
    """Return when images of the status were changed last, if that was before a moment, by id."""
    query = select(Image.id, Image.updated_at).where(Image.status == status, _changed_at < before)
    return dict(session.execute(query).all())


def ids_of(session: Session, status: str) -> set[str]:
    """Return the ids of the images of the status."""
    return set(session.scalars(select(Image.id).where(Image.status == status)))


def remove(session: Session, image_id: str) -> None:
    """Remove the image's record."""
    session.execute(delete(Image).where(Image.id == image_id))


def backups(session: Session, server_id: str, backup_type: str) -> list[str]:
    """Return ids of the server's backups of a kind, newest first, but protected ones."""
    facts = {"image_type": "backup", "instance_uuid": server_id, "backup_type": backup_type}
    query = select(Image.id).where(
        Image.status.in_(("active", "deactivated")),
        ~Image.protected,
        *(Image.properties[name].as_string() == value for name, value in facts.items()),
    )
    return list(session.scalars(query.order_by(Image.created_at.desc(), Image.id)))


def give_up(session: Session, image_ids: Collection[str], moment: datetime) -> None:
    """Mark these as `pending_delete`, whatever they are."""
    session.execute(
        update(Image)
        .where(Image.id.in_(image_ids))
        .values(status="pending_delete", updated_at=moment)
        .execution_options(synchronize_session=False)
    )
