"""Opens a server's console by its URL as a browser does: its page, then the page's WebSocket; and
waits until the guest has said a text there.

    python tests/compose/visit.py URL TEXT
"""

import sys
import time
from urllib.parse import parse_qs, urlsplit

import requests
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

_LIMIT_S = 60.0


def visit(url: str, text: bytes) -> None:
    """Raises AssertionError without a page, TimeoutError without the text."""
    parts = urlsplit(url)
    site = f"http://{parts.netloc}"
    page = requests.get(f"{site}{parts.path}?{parts.query}", timeout=_LIMIT_S)
    assert page.ok, page.status_code
    assert "</html>" in page.text, page.headers
    # noVNC's page is told where its WebSocket is; that of a serial console is the URL itself.
    [path] = parse_qs(parts.query).get("path", [f"?{parts.query}"])
    socket = f"ws://{parts.netloc}/{path}"
    with connect(socket, origin=Origin(site), subprotocols=[Subprotocol("binary")]) as console:
        if parts.scheme == "ws":
            # Enter, for a guest that has said everything before.
            console.send(b"\r")
        end, said = time.monotonic() + _LIMIT_S, b""
        while text not in said:
            said += console.recv(timeout=max(0, end - time.monotonic()), decode=False)


if __name__ == "__main__":
    visit(sys.argv[1], sys.argv[2].encode())
