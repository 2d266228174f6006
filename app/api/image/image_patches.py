"""Changes to an image, as a JSON patch (RFC 6902, of one level) in Glance's media type."""

import json
from typing import Any

from flask import request
from marshmallow import ValidationError
from werkzeug.exceptions import UnsupportedMediaType

from app.api.auth import caller, context
from app.api.dialects import IMAGE
from app.api.image.images import full
from app.api.image.images_schema import READ_ONLY, CreateImage, ImageSchema
from app.api.routes import Routes
from app.api.texts import check_text
from app.services import images
from app.services.images import ImageChange
from tasks.errors import Forbidden, RequestError

routes = Routes(IMAGE, "image_patches", "Changes to images.", "/v2/images")

PATCH = "application/openstack-images-v2.1-json-patch"

#: Glance's name -> ours; all else that a patch may name is a property.
_FIELDS = {
    "name": "name",
    "visibility": "visibility",
    "disk_format": "disk_format",
    "container_format": "container_format",
    "min_disk": "min_disk_gib",
    "min_ram": "min_ram_mib",
    "protected": "protected",
    "tags": "tags",
    "os_hidden": "hidden",
    "owner": "project_id",
}
_FIXED = READ_ONLY | {"id"}
_MAX_OPERATIONS = 256


@routes.endpoint(
    "PATCH",
    "/<image_id>",
    "images:update",
    takes=PATCH,
    returns=ImageSchema,
    errors=(404, 409, 413, 415),
)
def update_image(image_id: str) -> Any:
    """Change an image's name, tags, limits, properties and so on"""
    if request.mimetype != PATCH:
        raise UnsupportedMediaType(f"The body must be {PATCH}.")
    return full(images.update(context(), caller(), image_id, _read(request.get_data())))


def _read(body: bytes) -> list[ImageChange]:
    try:
        operations = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError("The body must be JSON.") from error
    if not isinstance(operations, list) or len(operations) > _MAX_OPERATIONS:
        raise RequestError(f"The body must be a list of at most {_MAX_OPERATIONS} operations.")
    check_text(operations)
    return [_change(operation) for operation in operations]


def _change(operation: Any) -> ImageChange:
    if not isinstance(operation, dict) or operation.get("op") not in ("add", "replace", "remove"):
        raise RequestError("op: must be add, replace or remove.")
    name, kind = _name(operation.get("path")), operation["op"]
    if name in _FIXED:
        raise Forbidden(f"Attribute '{name}' is read-only.")
    if kind != "remove" and "value" not in operation:
        raise RequestError(f"{name[:60]}: has no value.")
    if name not in _FIELDS:
        return ImageChange(kind, name, operation.get("value"), is_property=True)
    if kind == "remove":
        raise Forbidden(f"Property {name} may not be removed.")
    return ImageChange(kind, _FIELDS[name], _checked(name, operation["value"]))


def _name(path: Any) -> str:
    """Return what a JSON pointer of one level names (RFC 6901)."""
    if not isinstance(path, str) or not path.startswith("/") or "/" in path[1:]:
        raise RequestError("path: must be / and a name.")
    return path[1:].replace("~1", "/").replace("~0", "~")


def _checked(name: str, value: Any) -> Any:
    """Return the value as a new image's schema reads it."""
    try:
        read = CreateImage().load({name: value})[name]
    except ValidationError as error:
        raise RequestError(f"{name}: {_first(error.messages)}") from error
    return list(dict.fromkeys(read)) if name == "tags" else read


def _first(messages: Any) -> str:
    """Return the first of marshmallow's messages, however deep."""
    while not isinstance(messages, str):
        messages = next(iter(messages.values() if isinstance(messages, dict) else messages))
    return str(messages)
