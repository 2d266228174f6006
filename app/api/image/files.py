"""The bytes of images: streamed in and out, never held in memory."""

import sys
from pathlib import Path
from typing import Any

from flask import Response, request, send_file
from werkzeug.exceptions import UnsupportedMediaType

from app.api.auth import caller, context
from app.api.dialects import IMAGE
from app.api.routes import Routes
from app.services import uploads
from app.services.images import ImageView

routes = Routes(IMAGE, "files", "The bytes of images.", "/v2/images")

BYTES = "application/octet-stream"


@routes.endpoint(
    "PUT",
    "/<image_id>/file",
    "images:upload",
    takes=BYTES,
    status=204,
    errors=(400, 404, 409, 413, 415),
)
def upload_image(image_id: str) -> None:
    """Give an image its bytes, chunked or with a length"""
    if request.mimetype != BYTES:
        raise UnsupportedMediaType(f"The body must be {BYTES}.")
    # Flask's limit is for JSON; that of images is kept where the bytes are counted.
    request.max_content_length = sys.maxsize
    uploads.upload(context(), caller(), image_id, request.stream, request.content_length)


@routes.endpoint("GET", "/<image_id>/file", "images:download", content_type=BYTES, errors=(404,))
def download_image(image_id: str) -> Any:
    """Get an image's bytes, or a range of them; 204 if it has none yet"""
    view, path = uploads.open_image(context(), caller(), image_id)
    return Response(status=204) if path is None else send_bytes(view, path)


def send_bytes(view: ImageView, path: Path) -> Response:
    """Return an answer that streams the image. Ranges can be asked for."""
    response = send_file(
        path, mimetype=BYTES, conditional=True, etag=view.sha256 or False, max_age=0
    )
    if view.md5 and response.status_code == 200:
        response.headers["Content-MD5"] = view.md5
    return response
