"""The bytes of images: streamed in and out, never held in memory."""

import sys
from typing import IO, Any, BinaryIO

from flask import Response, request
from werkzeug.exceptions import RequestedRangeNotSatisfiable, UnsupportedMediaType
from werkzeug.wsgi import FileWrapper, wrap_file

from app.api.auth import caller, context
from app.api.dialects import IMAGE
from app.api.routes import Routes
from app.services import uploads
from app.services.images import ImageView

routes = Routes(IMAGE, "files", "The bytes of images.", "/v2/images")

BYTES = "application/octet-stream"
CHUNK = 1024 * 1024


@routes.endpoint(
    "PUT",
    "/<image_id>/file",
    "images:upload",
    takes=BYTES,
    status=204,
    errors=(400, 404, 409, 413, 415, 503),
)
def upload_image(image_id: str) -> None:
    """Give an image its bytes, chunked or with a length"""
    stream, length = received_bytes()
    uploads.upload(context(), caller(), image_id, stream, length)


@routes.endpoint(
    "GET", "/<image_id>/file", "images:download", content_type=BYTES, errors=(404, 503)
)
def download_image(image_id: str) -> Any:
    """Get an image's bytes, or a range of them; 204 if it has none yet"""
    view, file = uploads.open_image(context(), caller(), image_id)
    return Response(status=204) if file is None else send_bytes(view, file)


def received_bytes() -> tuple[IO[bytes], int | None]:
    """Return the request's body to read from, and its length if that was said. Raises
    UnsupportedMediaType."""
    if request.mimetype != BYTES:
        raise UnsupportedMediaType(f"The body must be {BYTES}.")
    # Flask's limit is for JSON; that of images is kept where the bytes are counted.
    request.max_content_length = sys.maxsize
    return request.stream, request.content_length


def send_bytes(view: ImageView, file: BinaryIO) -> Response:
    """Return an answer that streams the image. Ranges can be asked for; its entity tag is the
    digest of the whole, so that a broken download is resumed (`If-Range`) or begun anew."""
    # The server's own wrapper sends whole files fastest, but does not seek.
    body = FileWrapper(file, CHUNK) if request.range else wrap_file(request.environ, file, CHUNK)
    response = Response(body, mimetype=BYTES, direct_passthrough=True)
    response.content_length = view.size_bytes or 0
    if view.sha256:
        response.set_etag(view.sha256)
    response.cache_control.private = True
    response.cache_control.no_cache = True
    try:
        response.make_conditional(
            request.environ, accept_ranges=True, complete_length=view.size_bytes
        )
    except RequestedRangeNotSatisfiable:
        file.close()
        raise
    if request.method == "HEAD" or response.status_code == 304:
        file.close()
    if view.md5 and response.status_code == 200:
        response.headers["Content-MD5"] = view.md5
    return response
