"""Fields and parts that several of compute's schemas share."""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC
from typing import Any
from uuid import UUID

from marshmallow import RAISE, Schema, ValidationError, fields

from app.api.links import LinkSchema, base_url
from app.api.times import IN_CALENDAR
from app.api.versioned import Versioned
from tasks.errors import RequestError

Json = dict[str, Any]


class Strict(Versioned):
    """A request body: a key that nobody knows is refused by name, never ignored."""

    class Meta:
        unknown = RAISE


def wrapped(key: str, inner: type[Schema], **more: fields.Field[Any]) -> type[Schema]:
    """Return the schema of a request body with one key that must be there."""
    return Strict.from_dict(
        {key: fields.Nested(inner, required=True), **more}, name=f"{inner.__name__}Request"
    )


def answer(name: str, **parts: fields.Field[Any]) -> type[Schema]:
    """Return the schema of an answer's outermost object."""
    return Versioned.from_dict(dict(parts), name=name)


class Text(fields.String):
    """A string that must be one: numbers are not turned into text."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(value, str):
            raise ValidationError(f"{value!r} is not of type 'string'.")
        return super()._deserialize(value, *args, **kwargs)


class Count(fields.Integer):
    """A whole number, or a text that spells one, as clients send both."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(value, bool | float):
            raise ValidationError(f"{value!r} is not of type 'integer'.")
        return super()._deserialize(value, *args, **kwargs)


class Flag(fields.Boolean):
    """A boolean, or Python's or JSON's spelling of one, as clients send all of them."""

    truthy = {True, "True", "TRUE", "true", "1", "ON", "On", "on", "YES", "Yes", "yes"}
    falsy = {False, "False", "FALSE", "false", "0", "OFF", "Off", "off", "NO", "No", "no"}


class Base64Field(fields.Field[str]):
    """base64, of which line breaks are left out."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise ValidationError("is not of type 'string'.")
        data = re.sub(r"\s+", "", value)
        try:
            base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError) as error:
            raise ValidationError("is not base64.") from error
        return data


_EDGE_BLANK = re.compile(r"^\s|\s$")


def must_be_null(value: object) -> None:
    """Check what has nothing to say, where clients are kept to it. Raises ValidationError."""
    if value is not None:
        raise ValidationError("must be null.")


def name_like(value: str) -> None:
    """Check the name of a thing: not blank, no blanks round it, printable."""
    if not 1 <= len(value) <= 255:
        raise ValidationError("must be 1 to 255 characters long.")
    if _EDGE_BLANK.search(value):
        raise ValidationError("must not begin or end with a blank.")
    if not value.isprintable():
        raise ValidationError("must be printable characters only.")


class MetadataField(fields.Field[dict[str, str]]):
    """Text by text: keys of 1 to 255 characters, values of at most 255."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> dict[str, str]:
        if not isinstance(value, Mapping):
            raise ValidationError(f"{value!r} is not of type 'object'.")
        for key, text in value.items():
            if not key.strip() or len(key) > 255:
                raise ValidationError(f"key {key[:40]!r} must be 1 to 255 characters long.")
            if not isinstance(text, str) or len(text) > 255:
                raise ValidationError(
                    f"the value of {key!r} must be text of at most 255 characters."
                )
        return dict(value)


def small_number(text: str) -> int | None:
    """Return the number that a path names, or None: clients look a name up where numbers belong
    first, and go on to the list after a 404."""
    is_number = text.isascii() and text.isdigit() and len(text) < 10
    return int(text) if is_number else None


def links_field(*, required: bool = True) -> fields.Field[Any]:
    """Return a list of links."""
    return fields.List(fields.Nested(LinkSchema), required=required)


def links_of(kind: str, thing_id: str) -> list[Json]:
    """Return the two links of a thing."""
    return [
        {"rel": "self", "href": f"{base_url()}/compute/v2.1/{kind}/{thing_id}"},
        bookmark_of(kind, thing_id),
    ]


def bookmark_of(kind: str, thing_id: str) -> Json:
    """Return the link of a thing that names no version."""
    return {"rel": "bookmark", "href": f"{base_url()}/compute/{kind}/{thing_id}"}


def read_uuid(given: str) -> str:
    """Return the UUID in a path. Raises RequestError for what is none, as Nova does where it once
    took numbers."""
    try:
        return str(UUID(given))
    except ValueError:
        raise RequestError(f"Invalid uuid {given}") from None


def since_field() -> fields.Field[Any]:
    """Return a moment since which things must have changed."""
    return fields.AwareDateTime(format="iso", validate=IN_CALENDAR, default_timezone=UTC)
