"""The way by which hypervisors fetch images: no token, but a ticket for one image and some time."""

from typing import Any

from marshmallow import EXCLUDE, Schema, fields

from app.api.auth import context
from app.api.dialects import BYRE
from app.api.image.files import BYTES, send_bytes
from app.api.routes import Routes
from app.services import uploads

routes = Routes(BYRE, "images", "How hypervisors fetch images.", "/byre/v1/images")


class TicketQuery(Schema):
    """The ticket that came with the work."""

    class Meta:
        unknown = EXCLUDE

    ticket = fields.String(required=True)


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
