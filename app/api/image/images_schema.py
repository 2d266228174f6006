"""What image requests hold, and what an image looks like."""

from collections.abc import Mapping
from typing import Any

from marshmallow import INCLUDE, Schema, ValidationError, fields, post_dump, validate

from app.api.paging import PageQuery

DISK_FORMATS = ("qcow2", "raw", "iso")
CONTAINER_FORMATS = ("bare",)

#: What is said of an image and not by its owner.
READ_ONLY = frozenset(
    {
        "status",
        "size",
        "virtual_size",
        "checksum",
        "os_hash_algo",
        "os_hash_value",
        "created_at",
        "updated_at",
        "self",
        "file",
        "schema",
        "direct_url",
        "locations",
    }
)

#: The largest number that a record keeps.
MAX_INT = 2**31 - 1
_MAX_BYTES = 2**62


class _Text(fields.String):
    """A string that must be one."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(value, str):
            raise ValidationError(f"{value!r} is not of type 'string'")
        return super()._deserialize(value, *args, **kwargs)


class CreateImage(Schema):
    """An image to come. Any other key is a property, and its value text."""

    class Meta:
        unknown = INCLUDE

    id = fields.UUID()
    name = _Text(allow_none=True, validate=validate.Length(max=255))
    visibility = _Text(validate=validate.OneOf(("private", "public")))
    disk_format = _Text(allow_none=True, validate=validate.OneOf(DISK_FORMATS))
    container_format = _Text(allow_none=True, validate=validate.OneOf(CONTAINER_FORMATS))
    min_disk = fields.Integer(strict=True, validate=validate.Range(min=0, max=MAX_INT))
    min_ram = fields.Integer(strict=True, validate=validate.Range(min=0, max=MAX_INT))
    protected = fields.Boolean()
    os_hidden = fields.Boolean()
    owner = _Text(validate=validate.Length(min=1, max=36))
    tags = fields.List(
        _Text(validate=validate.Length(min=1, max=255)), validate=validate.Length(max=128)
    )


def properties_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a checked request are properties; what they may say is the service's."""
    known = set(CreateImage().fields) | READ_ONLY
    return {name: value for name, value in body.items() if name not in known}


class ImageSchema(Schema):
    """An image; its properties stand beside these fields."""

    class Meta:
        unknown = INCLUDE
        include = {
            "self": fields.String(required=True),
            "schema": fields.String(required=True),
        }

    id = fields.String(required=True)
    name = fields.String(required=True, allow_none=True)
    status = fields.String(required=True)
    visibility = fields.String(required=True)
    disk_format = fields.String(required=True, allow_none=True)
    container_format = fields.String(required=True, allow_none=True)
    min_disk = fields.Integer(required=True)
    min_ram = fields.Integer(required=True)
    size = fields.Integer(required=True, allow_none=True)
    virtual_size = fields.Integer(required=True, allow_none=True)
    checksum = fields.String(required=True, allow_none=True)
    os_hash_algo = fields.String(required=True, allow_none=True)
    os_hash_value = fields.String(required=True, allow_none=True)
    os_hidden = fields.Boolean(required=True)
    protected = fields.Boolean(required=True)
    owner = fields.String(required=True)
    tags = fields.List(fields.String(), required=True)
    created_at = fields.String(required=True)
    updated_at = fields.String(required=True)
    file = fields.String(required=True)

    @post_dump(pass_original=True)
    def _add_properties(self, body: dict[str, Any], original: Any, **_: Any) -> dict[str, Any]:
        return {**original, **body}


class ImagesSchema(Schema):
    """A page of images. Its links are relative, as Glance's."""

    images = fields.List(fields.Nested(ImageSchema), required=True)
    first = fields.String(required=True)
    schema = fields.String(required=True)
    next = fields.String()


class ImageQuery(PageQuery):
    """Which images a list is to have. Any other parameter is a property to be equal."""

    class Meta(PageQuery.Meta):
        unknown = INCLUDE

    id = fields.String(metadata={"description": "One, or several as in:ID,ID"})
    name = fields.String()
    status = fields.String()
    visibility = fields.String()
    owner = fields.String()
    disk_format = fields.String()
    container_format = fields.String()
    checksum = fields.String()
    os_hash_value = fields.String()
    min_disk = fields.Integer(validate=validate.Range(min=0, max=MAX_INT))
    min_ram = fields.Integer(validate=validate.Range(min=0, max=MAX_INT))
    size_min = fields.Integer(validate=validate.Range(min=0, max=_MAX_BYTES))
    size_max = fields.Integer(validate=validate.Range(min=0, max=_MAX_BYTES))
    created_at = fields.List(
        fields.String(), metadata={"description": "A time, or gt:, gte:, lt:, lte:, eq:, neq: one"}
    )
    updated_at = fields.List(fields.String(), metadata={"description": "The same"})
    protected = fields.Boolean()
    os_hidden = fields.Boolean(metadata={"description": "Those that are hidden, not the others"})
    tag = fields.List(fields.String())
    sort = fields.String(metadata={"description": "key:dir,key:dir"})
    member_status = fields.String()
