"""JSON schemas of an image and of a list of them, by which clients check what they send."""

from typing import Any

from marshmallow import Schema, fields

from app.api.dialects import IMAGE
from app.api.image.images_schema import CONTAINER_FORMATS, DISK_FORMATS, MAX_INT, READ_ONLY
from app.api.routes import Routes

routes = Routes(IMAGE, "schemas", "What images look like, as JSON schemas.", "/v2/schemas")

Json = dict[str, Any]


class JsonSchema(Schema):
    """A JSON schema, as Glance gives it."""

    name = fields.String(required=True)
    properties = fields.Dict(required=True)
    additional = fields.Dict(attribute="additionalProperties", data_key="additionalProperties")
    links = fields.List(fields.Dict(), required=True)


def _text(description: str, longest: int | None = 255, *, null: bool = False) -> Json:
    limit = {} if longest is None else {"maxLength": longest}
    kind: Any = ["null", "string"] if null else "string"
    return {"type": kind, **limit, "description": description}


def _choice(description: str, values: tuple[str, ...], *, null: bool = False) -> Json:
    kind: Any = ["null", "string"] if null else "string"
    known = [*([None] if null else []), *values]
    return {"type": kind, "enum": known, "description": description}


def _count(description: str, *, null: bool = False, most: int | None = None) -> Json:
    limit = {} if most is None else {"minimum": 0, "maximum": most}
    return {"type": ["null", "integer"] if null else "integer", **limit, "description": description}


def _flag(description: str) -> Json:
    return {"type": "boolean", "description": description}


_STATUSES = ("queued", "saving", "active", "killed", "deactivated", "pending_delete")

_PROPERTIES: dict[str, Json] = {
    "id": {**_text("A UUID"), "pattern": "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"},
    "name": _text("Its name", null=True),
    "status": _choice("What can be done with it", _STATUSES),
    "visibility": _choice("Who may use it", ("public", "private")),
    "protected": _flag("If true, it cannot be deleted"),
    "os_hidden": _flag("If true, it is left out of lists that do not ask for hidden ones"),
    "checksum": _text("The MD5 digest of its bytes", 32, null=True),
    "os_hash_algo": _text("The algorithm of os_hash_value", 64, null=True),
    "os_hash_value": _text("The digest of its bytes", 128, null=True),
    "owner": _text("The project that it belongs to", 36),
    "size": _count("How many bytes it has", null=True),
    "virtual_size": _count("How many bytes the disk has that a guest sees", null=True),
    "container_format": _choice("What is around the disk", CONTAINER_FORMATS, null=True),
    "disk_format": _choice("The disk's format", DISK_FORMATS, null=True),
    "created_at": _text("When it was made", None),
    "updated_at": _text("When it was last changed", None),
    "tags": {
        "type": "array",
        "items": {"type": "string", "maxLength": 255},
        "maxItems": 128,
        "description": "Words by which it is found again",
    },
    "min_ram": _count("The least memory of a server, in MiB", most=MAX_INT),
    "min_disk": _count("The least root disk of a server, in GiB", most=MAX_INT),
    "self": _text("Its own path", None),
    "file": _text("The path of its bytes", None),
    "schema": _text("The path of this schema", None),
}

_IMAGE: Json = {
    "name": "image",
    "properties": {
        name: {**kind, "readOnly": True} if name in READ_ONLY else kind
        for name, kind in _PROPERTIES.items()
    },
    "additionalProperties": {"type": "string"},
    "links": [
        {"rel": "self", "href": "{self}"},
        {"rel": "enclosure", "href": "{file}"},
        {"rel": "describedby", "href": "{schema}"},
    ],
}

_IMAGES: Json = {
    "name": "images",
    "properties": {
        "images": {
            "type": "array",
            "items": {"type": "object", **_IMAGE},
        },
        "first": {"type": "string"},
        "next": {"type": "string"},
        "schema": {"type": "string"},
    },
    "links": [
        {"rel": "first", "href": "{first}"},
        {"rel": "next", "href": "{next}"},
        {"rel": "describedby", "href": "{schema}"},
    ],
}


@routes.endpoint("GET", "/image", "schemas:show", returns=JsonSchema)
def show_image_schema() -> Any:
    """Show the schema of an image"""
    return _IMAGE


@routes.endpoint("GET", "/images", "schemas:show", returns=JsonSchema)
def show_images_schema() -> Any:
    """Show the schema of a list of images"""
    return _IMAGES
