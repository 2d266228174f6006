"""A small HTTP server that hands out one image, well or badly, and counts."""

import hashlib
import json
import re
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from tasks.messages import ImageSource, ImageUpload

#: `breaks`: each connection ends after `break_after` bytes. `whole`: ranges are ignored.
#: `askew`: another part is sent than was asked for. `chunked`: no length is said. `endless`:
#: bytes without an end. `no_part`: there is no such range, whatever it is.
Manner = Literal[
    "well",
    "truncated",
    "error",
    "slow",
    "breaks",
    "whole",
    "askew",
    "chunked",
    "endless",
    "no_part",
    "short",
]
_RANGE = re.compile(r"bytes=([0-9]+)-")


class ImageServer(ThreadingHTTPServer):
    """Serves `content` at every path."""

    request_queue_size = 64

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = content
        self.manner: Manner = "well"
        self.break_after = 0
        self.etag = f'"{hashlib.sha256(content).hexdigest()}"'
        self.requests = 0
        #: Bytes of bodies that were sent, and where each answer began.
        self.sent_bytes = 0
        self.offsets: list[int] = []
        self.counting = threading.Lock()
        #: What an upload is answered with first, one status each; and what has arrived.
        self.refusals: Sequence[int] = ()
        #: Answers of uploads that were taken, and lost on their way.
        self.lost_answers = 0
        self.uploaded = b""
        self.upload_status = "queued"

    def source(self, **changes: object) -> ImageSource:
        """Return what the control plane would say of this image."""
        values = {
            "image_id": str(uuid.uuid4()),
            "disk_format": "qcow2",
            "url": f"http://127.0.0.1:{self.server_port}/image?ticket=secret",
            "sha256": hashlib.sha256(self.content).hexdigest(),
            "size_bytes": len(self.content),
        }
        return ImageSource.parse({**values, **changes})

    def upload(self) -> ImageUpload:
        """Return where an image is to be sent."""
        url = f"http://127.0.0.1:{self.server_port}/upload?ticket=secret"
        return ImageUpload(image_id=str(uuid.uuid4()), url=url)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has heard enough is no error."""


class _Handler(BaseHTTPRequestHandler):
    server: ImageServer

    def do_PUT(self) -> None:
        server = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = server.refusals[0] if server.refusals else 204
        server.refusals = server.refusals[1:]
        if status == 204:
            server.uploaded, server.upload_status = body, "active"
        if server.lost_answers:
            server.lost_answers -= 1
            self.close_connection = True
            return
        self._tell(status, {"error": {"message": "It says no."}})

    def _tell(self, status: int, said: dict[str, Any]) -> None:
        body = json.dumps(said).encode() if status != 204 else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        server = self.server
        if self.path.startswith("/upload"):
            status = 404 if server.upload_status == "gone" else 200
            said = {"status": server.upload_status, "error": {"message": "It is gone."}}
            self._tell(status, said)
            return
        with server.counting:
            server.requests += 1
        manner, content, offset = server.manner, server.content, self._offset()
        if manner == "error":
            self.send_error(503)
            return
        if manner == "no_part" and offset:
            self.send_error(416)
            return
        if manner == "slow":
            threading.Event().wait(0.3)
        with server.counting:
            server.offsets.append(offset)
        if manner in {"chunked", "endless"}:
            self._begin(200, {})
            self._send(content)
            while manner == "endless":
                self._send(b"more" * 16384)
            return
        if manner == "short":
            content = content[: len(content) // 2]
        self._answer(content, offset)

    def _answer(self, content: bytes, offset: int) -> None:
        manner = self.server.manner
        body = content[offset:]
        length = {"Content-Length": str(len(body))}
        if offset:
            begin = offset + (manner == "askew")
            said = f"bytes {begin}-{len(content) - 1}/{len(content)}"
            self._begin(206, {**length, "Content-Range": said})
        else:
            self._begin(200, length)
        if manner == "truncated":
            body = body[: len(body) // 2]
        self._send(body[: self.server.break_after] if manner == "breaks" else body)

    def _offset(self) -> int:
        """Return where the answer begins, by the client's headers."""
        asked = _RANGE.fullmatch(self.headers.get("Range", ""))
        current = self.headers.get("If-Range", self.server.etag) == self.server.etag
        usable = self.server.manner not in {"whole", "chunked", "endless"} and current
        return int(asked[1]) if asked and usable else 0

    def _begin(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"ETag": self.server.etag, **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, body: bytes) -> None:
        self.wfile.write(body)
        with self.server.counting:
            self.server.sent_bytes += len(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving(content: bytes) -> Iterator[ImageServer]:
    """Serve the image while the block runs."""
    with ImageServer(content) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
