"""The way by which hypervisors fetch images, and give images their bytes: no token, but a ticket
for one of both, for one image and some time."""

from typing import Any

from marshmallow import EXCLUDE, Schema, fields

from app.api.auth import context
from app.api.dialects import BYRE
from app.api.image.files import BYTES, received_bytes, send_bytes
from app.api.routes import Routes
from app.services import uploads

routes = Routes(
    BYRE, "images", "How hypervisors fetch images and send snapshots.", "/byre/v1/images"
)


class TicketQuery(Schema):
    """The ticket that came with the work."""

    class Meta:
        unknown = EXCLUDE

    ticket = fields.String(required=True)


class UploadState(Schema):
    """How far the image has come."""

    status = fields.String(required=True)
    size_bytes = fields.Integer(required=True, allow_none=True)


@routes.endpoint(
    "GET",
    "/<image_id>/file",
    "images:fetch",
    query=TicketQuery,
    content_type=BYTES,
    errors=(403, 404, 503),
)
def fetch_image(query: dict[str, Any], image_id: str) -> Any:
    """Get an image's bytes, or a range of them, with a ticket"""
    view, file = uploads.open_with_ticket(context(), image_id, query["ticket"])
    return send_bytes(view, file)


@routes.endpoint(
    "PUT",
    "/<image_id>/upload",
    "images:send",
    query=TicketQuery,
    takes=BYTES,
    status=204,
    errors=(403, 404, 409, 413, 415, 503),
)
def send_image(query: dict[str, Any], image_id: str) -> None:
    """Give an image its bytes, with a ticket for that"""
    stream, length = received_bytes()
    uploads.upload_with_ticket(context(), image_id, query["ticket"], stream, length)


@routes.endpoint(
    "GET",
    "/<image_id>/upload",
    "images:send",
    query=TicketQuery,
    returns=UploadState,
    errors=(403, 404),
)
def show_upload(query: dict[str, Any], image_id: str) -> Any:
    """Say whether an image has its bytes, to who has a ticket to give them"""
    return uploads.state_with_ticket(context(), image_id, query["ticket"])
