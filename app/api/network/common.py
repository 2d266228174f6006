"""Fields and parts that all of network's schemas share."""

from collections.abc import Mapping, Sequence
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from app.api.compute.schema import Text
from app.api.times import second_time
from app.services.network_views import ThingView

Json = dict[str, Any]

#: How long a list may be before anybody looks into it.
MANY = 64


class Common(Schema):
    """What everything of the network API has."""

    id = fields.String()
    name = fields.String()
    tenant_id = fields.String()
    project_id = fields.String()
    description = fields.String()
    tags = fields.List(fields.String())
    revision_number = fields.Integer()
    created_at = fields.String()
    updated_at = fields.String()


def printable(value: str) -> None:
    """Check a text that is shown in lists."""
    if value and not value.isprintable():
        raise ValidationError("must be printable characters only.")


def name_field() -> fields.Field[Any]:
    """Return the field of a name or a description: null is none."""
    return Text(allow_none=True, validate=[validate.Length(max=255), printable])


def text_field(most: int = 255, **more: Any) -> fields.Field[Any]:
    """Return the field of any other text."""
    return Text(validate=[validate.Length(max=most), printable], **more)


def only(values: Sequence[object] = ()) -> fields.Field[Any]:
    """Return a field of which we can do one thing only: anything else is refused, not ignored."""
    known = [None, *values]

    def check(value: object) -> None:
        if value not in known:
            raise ValidationError(f"is not supported, unless it is {known[-1]!r}.")

    return fields.Raw(allow_none=True, validate=check)


def short_list(inner: Any, **more: Any) -> fields.Field[Any]:
    """Return a list that is looked into only if it is short."""
    return fields.List(inner, validate=validate.Length(max=MANY), **more)


def common(view: ThingView) -> Json:
    """Return what everything of the network API has."""
    return {
        "id": view.id,
        "name": view.name,
        "tenant_id": view.project_id,
        "project_id": view.project_id,
        "description": view.description,
        "tags": list(view.tags),
        "revision_number": view.revision,
        "created_at": second_time(view.created_at),
        "updated_at": second_time(view.updated_at or view.created_at),
    }


def project_of(body: Json) -> str | None:
    """Return the project that a body names, by either of its two names."""
    found: str | None = body.get("project_id", body.get("tenant_id"))
    return found


def renamed(body: Json, names: Mapping[str, str]) -> Json:
    """Return what a body says, by other names; null of a text is an empty one."""
    return {
        names[key]: "" if value is None and key in ("name", "description") else value
        for key, value in body.items()
        if key in names
    }
