"""Images as compute showed them before the image API was for everybody: they are looked up there,
and written in compute's words."""

from collections.abc import Iterator
from typing import Any

from marshmallow import INCLUDE, Schema, fields, validate

from app.api.auth import caller, context
from app.api.compute.schema import Flag, Json, answer, links_of, since_field
from app.api.dialects import COMPUTE
from app.api.gates import Gate
from app.api.image.images_schema import MAX_INT
from app.api.links import LinkSchema, base_url, next_page
from app.api.paging import PageQuery, read_page
from app.api.routes import Routes
from app.api.times import second_time
from app.services import images
from app.services.images import ImageView, Wanted
from app.services.pages import IMAGE_ORDERS, Span

routes = Routes(
    COMPUTE, "images", "The image API's images, in compute's words; up to 2.35.", "/v2.1/images"
)

#: Status of an image -> compute's word. All others are UNKNOWN.
_STATUSES = {
    "active": "ACTIVE",
    "queued": "SAVING",
    "saving": "SAVING",
    "pending_delete": "DELETED",
}
_PROGRESS = {"queued": 25, "saving": 50, "active": 100}
#: query parameter -> property
_PROPERTIES = {"server": "instance_uuid", "type": "image_type"}
_PREFIX = "property-"


class ComputeImageQuery(PageQuery):
    """Which images to list. `property-NAME` is a property to be equal; others are ignored."""

    class Meta(PageQuery.Meta):
        unknown = INCLUDE
        include = {"changes-since": since_field()}

    name = fields.String()
    status = fields.String()
    server = fields.String(metadata={"description": "A server's id, or its URL"})
    type = fields.String()
    minRam = fields.Integer(validate=validate.Range(min=0, max=MAX_INT))  # noqa: N815
    minDisk = fields.Integer(validate=validate.Range(min=0, max=MAX_INT))  # noqa: N815


class ComputeImageLink(LinkSchema):
    """A link; the image API's own has a type."""

    type = fields.String()


class BriefComputeImage(Schema):
    """An image, as in a list."""

    id = fields.String(required=True)
    name = fields.String(required=True, allow_none=True)
    links = fields.List(fields.Nested(ComputeImageLink), required=True)


class ComputeImage(BriefComputeImage):
    """An image."""

    class Meta:
        include = {
            "OS-EXT-IMG-SIZE:size": fields.Integer(required=True),
            "OS-DCF:diskConfig": fields.String(),
        }

    status = fields.String(required=True)
    progress = fields.Integer(required=True)
    minRam = fields.Integer(required=True)  # noqa: N815
    minDisk = fields.Integer(required=True)  # noqa: N815
    metadata = fields.Dict(required=True)
    created = fields.String(required=True)
    updated = fields.String(required=True)
    server = fields.Dict(metadata={"description": "The server that it was made of."})


def _list_answer(name: str, inner: type[Schema]) -> type[Schema]:
    return answer(
        name,
        images=fields.List(fields.Nested(inner), required=True),
        images_links=fields.List(fields.Nested(LinkSchema)),
    )


ComputeImages = _list_answer("ComputeImagesAnswer", BriefComputeImage)
ComputeImagesDetail = _list_answer("ComputeImagesDetailAnswer", ComputeImage)
ComputeImageAnswer = answer("ComputeImageAnswer", image=fields.Nested(ComputeImage, required=True))


@routes.endpoint(
    "GET",
    "",
    "images:list",
    query=ComputeImageQuery,
    returns=ComputeImages,
    until=Gate.NO_PROXIES,
)
def list_images(query: Json) -> Any:
    """List images"""
    found = _list(query)
    return _page(query, found, [_brief(view) for view in found])


@routes.endpoint(
    "GET",
    "/detail",
    "images:list",
    query=ComputeImageQuery,
    returns=ComputeImagesDetail,
    until=Gate.NO_PROXIES,
)
def list_images_detail(query: Json) -> Any:
    """List images in full"""
    found = _list(query)
    return _page(query, found, [_full(view) for view in found])


@routes.endpoint(
    "GET",
    "/<image_id>",
    "images:show",
    returns=ComputeImageAnswer,
    errors=(404,),
    until=Gate.NO_PROXIES,
)
def show_image(image_id: str) -> Any:
    """Show an image"""
    return {"image": _full(images.get(context(), caller(), image_id))}


@routes.endpoint(
    "DELETE",
    "/<image_id>",
    "images:delete",
    status=204,
    errors=(404, 503),
    until=Gate.NO_PROXIES,
)
def delete_image(image_id: str) -> None:
    """Delete an image and its bytes; servers made from it keep their disks"""
    images.delete(context(), caller(), image_id)


def _list(query: Json) -> list[ImageView]:
    facts: dict[str, list[Any]] = {"hidden": [False]}
    if "status" in query:
        asked = query["status"].upper()
        facts["status"] = [own for own, shown in _STATUSES.items() if shown == asked]
    for name, column in (("name", "name"), ("minRam", "min_ram_mib"), ("minDisk", "min_disk_gib")):
        if name in query:
            facts[column] = [query[name]]
    since = query.get("changes-since")
    spans = () if since is None else (Span("updated_at", least=since),)
    wanted = Wanted(facts, properties=dict(_properties(query)), spans=spans)
    return images.listed(context(), caller(), wanted, read_page(query, IMAGE_ORDERS))


def _properties(query: Json) -> Iterator[tuple[str, str]]:
    for name, value in query.items():
        if name in _PROPERTIES:
            yield _PROPERTIES[name], value.rsplit("/", 1)[-1]
        elif name.startswith(_PREFIX):
            yield name.removeprefix(_PREFIX), value


def _page(query: Json, found: list[ImageView], bodies: list[Json]) -> Json:
    """Return a list, with a link to the next page if this one is full."""
    body: Json = {"images": bodies}
    if found and len(found) == read_page(query, IMAGE_ORDERS).limit:
        body["images_links"] = [{"rel": "next", "href": next_page(found[-1].id)}]
    return body


def _brief(view: ImageView) -> Json:
    own = {
        "rel": "alternate",
        "type": "application/vnd.openstack.image",
        "href": f"{base_url()}/image/v2/images/{view.id}",
    }
    return {"id": view.id, "name": view.name, "links": [*links_of("images", view.id), own]}


def _full(view: ImageView) -> Json:
    body = {
        **_brief(view),
        "status": _STATUSES.get(view.status, "UNKNOWN"),
        "progress": _PROGRESS.get(view.status, 0),
        "minRam": view.min_ram_mib,
        "minDisk": view.min_disk_gib,
        "metadata": view.properties,
        "created": second_time(view.created_at),
        "updated": second_time(view.updated_at),
        "OS-EXT-IMG-SIZE:size": view.size_bytes or 0,
    }
    server_id = view.properties.get("instance_uuid")
    if server_id is not None:
        body["server"] = {"id": server_id, "links": links_of("servers", server_id)}
    resizes = view.properties.get("auto_disk_config")
    if resizes is not None:
        body["OS-DCF:diskConfig"] = "AUTO" if resizes in Flag.truthy else "MANUAL"
    return body
