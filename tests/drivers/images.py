"""A small HTTP server that hands out one image, well or badly, and counts."""

import hashlib
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

from tasks.messages import ImageSource

Manner = Literal["well", "truncated", "error", "slow"]


class ImageServer(ThreadingHTTPServer):
    """Serves `content` at every path."""

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = content
        self.manner: Manner = "well"
        self.requests = 0

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


class _Handler(BaseHTTPRequestHandler):
    server: ImageServer

    def do_GET(self) -> None:
        self.server.requests += 1
        if self.server.manner == "error":
            self.send_error(503)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()
        content = self.server.content
        if self.server.manner == "slow":
            threading.Event().wait(0.3)
        self.wfile.write(
            content[: len(content) // 2] if self.server.manner == "truncated" else content
        )

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving(content: bytes) -> Iterator[ImageServer]:
    """Serve the image while the block runs."""
    with ImageServer(content) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
