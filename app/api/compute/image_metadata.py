"""Images' properties, which compute calls their metadata: all of them, or one."""

from collections.abc import Mapping
from typing import Any

from app.api.auth import caller, context
from app.api.compute.schema import Json
from app.api.compute.server_metadata import Item, Metadata, SetItem, SetMetadata
from app.api.dialects import COMPUTE
from app.api.gates import Gate
from app.api.image.images_schema import properties_of
from app.api.routes import Routes
from app.services import images
from app.services.images import ImageChange
from tasks.errors import NotFound, RequestError

routes = Routes(
    COMPUTE,
    "image-metadata",
    "Properties of the image API's images; up to 2.38.",
    "/v2.1/images/<image_id>/metadata",
)


@routes.endpoint(
    "GET",
    "",
    "image_metadata:show",
    returns=Metadata,
    errors=(404,),
    until=Gate.NO_IMAGE_METADATA,
)
def show_metadata(image_id: str) -> Any:
    """Show an image's properties"""
    return {"metadata": images.get(context(), caller(), image_id).properties}


@routes.endpoint(
    "POST",
    "",
    "image_metadata:change",
    body=SetMetadata,
    returns=Metadata,
    errors=(404,),
    until=Gate.NO_IMAGE_METADATA,
)
def merge_metadata(body: Json, image_id: str) -> Any:
    """Add properties to an image, or change them"""
    return {"metadata": _merge(image_id, body["metadata"])}


@routes.endpoint(
    "PUT",
    "",
    "image_metadata:change",
    body=SetMetadata,
    returns=Metadata,
    errors=(404,),
    until=Gate.NO_IMAGE_METADATA,
)
def replace_metadata(body: Json, image_id: str) -> Any:
    """Replace an image's properties"""
    items = _checked(body["metadata"])
    return {"metadata": images.replace_properties(context(), caller(), image_id, items).properties}


@routes.endpoint(
    "GET",
    "/<key>",
    "image_metadata:show",
    returns=Item,
    errors=(404,),
    until=Gate.NO_IMAGE_METADATA,
)
def show_item(image_id: str, key: str) -> Any:
    """Show a property of an image"""
    return {"meta": {key: _value(image_id, key)}}


@routes.endpoint(
    "PUT",
    "/<key>",
    "image_metadata:change",
    body=SetItem,
    returns=Item,
    errors=(404,),
    until=Gate.NO_IMAGE_METADATA,
)
def set_item(body: Json, image_id: str, key: str) -> Any:
    """Add a property to an image, or change it"""
    if list(body["meta"]) != [key]:
        raise RequestError("Request body and URI mismatch")
    _merge(image_id, body["meta"])
    return body


@routes.endpoint(
    "DELETE",
    "/<key>",
    "image_metadata:change",
    status=204,
    errors=(404, 409),
    until=Gate.NO_IMAGE_METADATA,
)
def remove_item(image_id: str, key: str) -> None:
    """Take a property of an image away"""
    _value(image_id, key)
    change = ImageChange("remove", key, is_property=True)
    images.update(context(), caller(), image_id, [change])


def _value(image_id: str, key: str) -> Any:
    properties = images.get(context(), caller(), image_id).properties
    if key not in properties:
        raise NotFound("Metadata item was not found")
    return properties[key]


def _merge(image_id: str, items: Mapping[str, str]) -> Mapping[str, str]:
    changes = [
        ImageChange("add", key, value, is_property=True) for key, value in _checked(items).items()
    ]
    return images.update(context(), caller(), image_id, changes).properties


def _checked(items: Mapping[str, str]) -> Mapping[str, str]:
    """Return the items. Raises RequestError for what the image API shows beside properties."""
    for key in sorted(items.keys() - properties_of(items).keys()):
        raise RequestError(f"metadata: {key} is no property, but a field of the image.")
    return items
