"""The image caches of hypervisors: what is in them, and what is to be there ahead of need."""

from dataclasses import asdict
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from app.api.auth import context
from app.api.dialects import BYRE
from app.api.routes import Routes
from app.api.times import micro_time
from app.services import image_cache

routes = Routes(BYRE, "cache", "The image caches of hypervisors.", "/byre/v1/hypervisors")

_MOST = 100


class WarmBody(Schema):
    """One image, or several."""

    image_id = fields.UUID()
    image_ids = fields.List(fields.UUID(), validate=validate.Length(min=1, max=_MOST))

    @validates_schema
    def check_one(self, data: dict[str, Any], **_: Any) -> None:
        """One of the two says which images."""
        if len(data) != 1:
            raise ValidationError("Give either image_id or image_ids.", "image_id")


class CachedSchema(Schema):
    """An image in the cache (`ready`), on its way there (`downloading`), or why it is not there
    (`failed`). `disk_format` is that of the host's file; holes in it are not in
    `allocated_bytes`."""

    image_id = fields.String(required=True, allow_none=True)
    sha256 = fields.String(required=True)
    disk_format = fields.String(required=True)
    state = fields.String(required=True)
    reason = fields.String(required=True, allow_none=True)
    size_bytes = fields.Integer(required=True)
    allocated_bytes = fields.Integer(required=True)
    used_at = fields.String(required=True)
    in_use = fields.Boolean(required=True)


class CacheAnswer(Schema):
    """A host's cache as of `reported_at`: of a silent host, that is the past."""

    host = fields.String(required=True)
    alive = fields.Boolean(required=True)
    reported_at = fields.String(required=True, allow_none=True)
    allocated_bytes = fields.Integer(required=True)
    images = fields.List(fields.Nested(CachedSchema), required=True)


@routes.endpoint("GET", "/<host>/cache", "cache:list", returns=CacheAnswer, errors=(404,))
def show_cache(host: str) -> Any:
    """Show what is in a hypervisor's image cache, what was used last first"""
    view = image_cache.listed(context(), host)
    return {
        **asdict(view),
        "reported_at": micro_time(view.reported_at),
        "images": [{**asdict(one), "used_at": micro_time(one.used_at)} for one in view.images],
    }


@routes.endpoint(
    "POST", "/<host>/cache", "cache:warm", body=WarmBody, status=202, errors=(404, 409, 415)
)
def warm_cache(body: dict[str, Any], host: str) -> None:
    """Have a hypervisor fetch images before servers need them; what becomes of it is in the list"""
    wanted = body.get("image_ids") or [body["image_id"]]
    image_cache.warm(context(), host, [str(image_id) for image_id in wanted])
