"""Images: their records. app.api.image.files moves their bytes."""

from typing import Any
from urllib.parse import urlencode

from flask import request

from app.api.auth import caller, context
from app.api.dialects import IMAGE
from app.api.image.image_filters import read_part, read_wanted
from app.api.image.images_schema import (
    READ_ONLY,
    CreateImage,
    ImageQuery,
    ImageSchema,
    ImagesSchema,
    properties_of,
)
from app.api.links import base_url
from app.api.routes import Routes
from app.api.times import second_time
from app.services import images
from app.services.images import ImageView, NewImage
from tasks.errors import Forbidden

routes = Routes(IMAGE, "images", "What servers' disks start from.", "/v2/images")

Json = dict[str, Any]


@routes.endpoint(
    "POST",
    "",
    "images:create",
    body=CreateImage,
    returns=ImageSchema,
    status=201,
    errors=(409, 413),
)
def create_image(body: Json) -> Any:
    """Make the record of an image; its bytes come with PUT …/file"""
    view = images.create(context(), caller(), _read_image(body))
    return full(view), {"Location": f"{base_url()}/image/v2/images/{view.id}"}


@routes.endpoint("GET", "", "images:list", query=ImageQuery, returns=ImagesSchema)
def list_images(query: Json) -> Any:
    """List the images that one may use"""
    part = read_part(query)
    found = images.listed(context(), caller(), read_wanted(query), part)
    body: Json = {
        "images": [full(view) for view in found],
        "first": _link({}),
        "schema": "/v2/schemas/images",
    }
    if found and len(found) == part.limit:
        body["next"] = _link({"marker": found[-1].id})
    return body


@routes.endpoint("GET", "/<image_id>", "images:show", returns=ImageSchema, errors=(404,))
def show_image(image_id: str) -> Any:
    """Show an image"""
    return full(images.get(context(), caller(), image_id))


@routes.endpoint("DELETE", "/<image_id>", "images:delete", status=204, errors=(404, 503))
def delete_image(image_id: str) -> None:
    """Delete an image and its bytes; servers made from it keep their disks"""
    images.delete(context(), caller(), image_id)


def _read_image(body: Json) -> NewImage:
    for name in sorted(READ_ONLY & body.keys()):
        raise Forbidden(f"Attribute '{name}' is read-only.")
    return NewImage(
        id=str(body["id"]) if "id" in body else None,
        name=body.get("name") or "",
        visibility=body.get("visibility", "private"),
        disk_format=body.get("disk_format"),
        container_format=body.get("container_format"),
        min_disk_gib=body.get("min_disk", 0),
        min_ram_mib=body.get("min_ram", 0),
        protected=body.get("protected", False),
        hidden=body.get("os_hidden", False),
        project_id=body.get("owner"),
        tags=tuple(dict.fromkeys(body.get("tags", ()))),
        properties=properties_of(body),
    )


def _link(changes: dict[str, str]) -> str:
    """Return this list's path from Glance's root, at its beginning or after a marker."""
    pairs = [(name, value) for name, value in request.args.items(multi=True) if name != "marker"]
    pairs += changes.items()
    return f"/v2/images?{urlencode(pairs)}" if pairs else "/v2/images"


def full(view: ImageView) -> Json:
    """Return an image as Glance shows it."""
    return {
        **view.properties,
        "id": view.id,
        "name": view.name,
        "status": view.status,
        "visibility": view.visibility,
        "disk_format": view.disk_format,
        "container_format": view.container_format,
        "min_disk": view.min_disk_gib,
        "min_ram": view.min_ram_mib,
        "size": view.size_bytes,
        "virtual_size": view.virtual_size_bytes,
        "checksum": view.md5,
        "os_hash_algo": "sha512" if view.sha512 else None,
        "os_hash_value": view.sha512,
        "os_hidden": view.hidden,
        "protected": view.protected,
        "owner": view.project_id,
        "tags": list(view.tags),
        "created_at": second_time(view.created_at),
        "updated_at": second_time(view.updated_at),
        "self": f"/v2/images/{view.id}",
        "file": f"/v2/images/{view.id}/file",
        "schema": "/v2/schemas/image",
    }
