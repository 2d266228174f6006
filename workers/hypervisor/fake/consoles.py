"""What a fake guest shows: a grey screen that speaks RFB 3.8 (RFC 6143), and a serial console that
prompts for a login and echoes."""

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress

from tasks.messages import ConsoleKind

WIDTH, HEIGHT = 64, 48
#: 32 bits a pixel, 24 of them colour, little-endian, 8 each of red, green and blue.
_PIXELS = struct.pack(">BBBBHHHBBB3x", 32, 24, 0, 1, 255, 255, 255, 16, 8, 0)
_GREY = b"\x80\x80\x80\x00"

#: What a viewer may say, by its first byte -> how many bytes follow; the others tell themselves.
_LENGTHS = {0: 19, 3: 9, 4: 7, 5: 5}
_SET_ENCODINGS, _UPDATE_WANTED, _CUT_TEXT = 2, 3, 6

#: Seconds between two looks whether the guest is still on.
_LOOK_EVERY_S = 0.2


def serve_console(kind: ConsoleKind, name: str, is_on: Callable[[], bool]) -> int:
    """Return a file descriptor behind which the console is, until the guest is off or the
    descriptor is closed."""
    ours, theirs = socket.socketpair()
    serve = _serve_screen if kind == "vnc" else _serve_terminal
    arguments = (ours, name.encode(), is_on)
    threading.Thread(target=_served, args=(serve, *arguments), daemon=True).start()
    return theirs.detach()


_Serve = Callable[["_Viewer", bytes], None]


class _Gone(Exception):
    """Nobody looks any more, or there is nothing to see."""


class _Viewer:
    """Whoever looks, until it goes or the guest is off."""

    def __init__(self, ours: socket.socket, is_on: Callable[[], bool]) -> None:
        self._ours, self._is_on = ours, is_on
        ours.settimeout(_LOOK_EVERY_S)

    def read(self, count: int) -> bytes:
        """Return so many bytes. Raises _Gone."""
        got = b""
        while len(got) < count:
            got += self.some(count - len(got))
        return got

    def some(self, most: int) -> bytes:
        """Return some bytes as soon as there are any. Raises _Gone."""
        while self._is_on():
            with suppress(TimeoutError):
                data = self._ours.recv(most)
                if not data:
                    break
                return data
        raise _Gone

    def write(self, data: bytes) -> None:
        """Send it."""
        self._ours.sendall(data)


def _served(serve: _Serve, ours: socket.socket, name: bytes, is_on: Callable[[], bool]) -> None:
    with ours, suppress(_Gone, OSError):
        serve(_Viewer(ours, is_on), name)


def _serve_terminal(viewer: _Viewer, name: bytes) -> None:
    viewer.write(name + b" login: ")
    while True:
        viewer.write(viewer.some(4096))


def _serve_screen(viewer: _Viewer, name: bytes) -> None:
    viewer.write(b"RFB 003.008\n")
    viewer.read(12)
    # One kind of security: none.
    viewer.write(b"\x01\x01")
    viewer.read(1)
    viewer.write(struct.pack(">I", 0))
    viewer.read(1)
    viewer.write(struct.pack(">HH", WIDTH, HEIGHT) + _PIXELS)
    viewer.write(struct.pack(">I", len(name)) + name)
    while True:
        _answer(viewer)


def _answer(viewer: _Viewer) -> None:
    """Take one message; whoever asks for the screen gets all of it. Raises _Gone for a message that
    no viewer sends."""
    [kind] = viewer.read(1)
    if kind == _SET_ENCODINGS:
        [count] = struct.unpack(">xH", viewer.read(3))
        viewer.read(4 * count)
    elif kind == _CUT_TEXT:
        [length] = struct.unpack(">3xI", viewer.read(7))
        viewer.read(length)
    elif kind in _LENGTHS:
        viewer.read(_LENGTHS[kind])
        if kind == _UPDATE_WANTED:
            head = struct.pack(">BxHHHHHi", 0, 1, 0, 0, WIDTH, HEIGHT, 0)
            viewer.write(head + _GREY * (WIDTH * HEIGHT))
    else:
        raise _Gone
