"""Guests that are network namespaces: their packets are real, and they start in no time.

Effect  a namespace with one interface, whose other end is a port of a bridge of the tested host.
Undo    `remove` takes the namespace, and with it both ends.

libvirt's filters belong to guests' own interfaces and not to these: what is seen here is what the
host's nftables do.
"""

import contextlib
import ctypes
import errno
import os
import select
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_CLONE_NEWNET = 0x40000000
#: Nothing on one machine takes longer; what does not come in this time does not come.
PATIENCE_S = 1.5
#: By how much one packet may come before another that was sent earlier.
_OVERTAKING_S = 0.1


def run(*words: str, limit_s: float = 20.0) -> str:
    """Run a program and return what it says."""
    done = subprocess.run(words, check=True, capture_output=True, text=True, timeout=limit_s)
    return done.stdout


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Put this thread into the namespace. Sockets that it opens meanwhile stay there."""
    own_path = Path(f"/proc/self/task/{threading.get_native_id()}/ns/net")
    with own_path.open("rb") as own, Path(f"/run/netns/{namespace}").open("rb") as theirs:
        _enter(theirs.fileno())
        try:
            yield
        finally:
            _enter(own.fileno())


def _enter(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Namespace:
    """A network namespace that talks as a machine would."""

    def __init__(self, name: str, addresses: list[str]) -> None:
        self.name = name
        self.addresses = addresses
        self._sockets: list[socket.socket] = []

    def remove(self) -> None:
        """Take it away."""
        for one in self._sockets:
            one.close()
        subprocess.run(["ip", "netns", "delete", self.name], check=False, capture_output=True)

    def open(self, kind: socket.SocketKind, version: int = 4, protocol: int = 0) -> socket.socket:
        """Return a socket of the guest's."""
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        with inside(self.name):
            made = socket.socket(family, kind, protocol)
        made.settimeout(PATIENCE_S)
        self._sockets.append(made)
        return made

    def serve(self, port: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
        """Return a socket that listens on all addresses of both versions."""
        listener = self.open(kind, 6)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("::", port))
        if kind == socket.SOCK_STREAM:
            listener.listen()
        return listener

    def accept(self, listener: socket.socket) -> tuple[socket.socket, Any]:
        """Return the next connection, and who began it."""
        made, other = listener.accept()
        self._sockets.append(made)
        return made, other

    def connect(self, address: str, port: int) -> socket.socket | None:
        """Return a TCP connection, or None if no answer comes. A refusal is an answer."""
        made = self.open(socket.SOCK_STREAM, 6 if ":" in address else 4)
        try:
            made.connect((address, port))
        except TimeoutError:
            return None
        except ConnectionRefusedError:
            return made
        except OSError as error:
            if error.errno in {errno.EHOSTUNREACH, errno.ENETUNREACH}:
                return None
            raise
        return made

    def reaches(self, address: str, port: int) -> bool:
        """Say whether a TCP connection begins."""
        return self.connect(address, port) is not None

    def pings(self, address: str) -> bool:
        """Say whether an echo comes back."""
        asked = subprocess.run(
            ["ip", "netns", "exec", self.name, "python3", "-c", _PING, address, str(PATIENCE_S)],
            check=False, timeout=20,
        )  # fmt: skip
        return asked.returncode == 0

    def sends(self, listener: socket.socket, address: str, port: int) -> bool:
        """Say whether a datagram of it comes to the listener."""
        word = os.urandom(8)
        with contextlib.suppress(OSError):
            self.open(socket.SOCK_DGRAM, 6 if ":" in address else 4).sendto(word, (address, port))
        return hears(listener, word)


class NamespaceGuest(Namespace):
    """A guest with one interface, `eth0`, on the bridge of a host in the namespace `host`."""

    def __init__(
        self, host: str, bridge: str, name: str, mac: str, addresses: list[str], gateway: str = ""
    ) -> None:
        super().__init__(name, [address.split("/")[0] for address in addresses])
        run("ip", "netns", "add", name)
        outer = f"v{name[-10:]}"
        run(
            "ip", "-n", name, "link", "add", "eth0", "address", mac,
            "type", "veth", "peer", "name", outer, "netns", host,
        )  # fmt: skip
        run("ip", "-n", host, "link", "set", outer, "master", bridge, "up")
        run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", name, "link", "set", "eth0", "up")
        for address in addresses:
            no_wait = ["nodad"] if ":" in address else []
            run("ip", "-n", name, "address", "add", address, "dev", "eth0", *no_wait)
        if gateway:
            run("ip", "-n", name, "route", "add", "default", "via", gateway)


def arrived(**attempts: Callable[[], bool]) -> set[str]:
    """Make all attempts side by side, so that what does not come is waited for once. Return the
    names of those that came. No two may listen at one socket."""
    with ThreadPoolExecutor(len(attempts)) as threads:
        made = {name: threads.submit(attempt) for name, attempt in attempts.items()}
        return {name for name, attempt in made.items() if attempt.result()}


def hears(listener: socket.socket, word: bytes, limit_s: float = PATIENCE_S) -> bool:
    """Say whether these bytes come."""
    end = time.monotonic() + limit_s
    while (left := end - time.monotonic()) > 0:
        ready, _, _ = select.select([listener], [], [], left)
        if ready and word in listener.recv(4096):
            return True
    return False


def heard(listener: socket.socket, *words: bytes) -> list[bytes]:
    """Return which of these words come, the last of which ends the wait: what was sent before it,
    on the same way, is there by then or was dropped."""
    end, found = time.monotonic() + PATIENCE_S, []
    while (left := end - time.monotonic()) > 0:
        ready, _, _ = select.select([listener], [], [], left)
        if ready:
            told = listener.recv(4096)
            found += [word for word in words if word in told]
        if words[-1] in found:
            # Queues of two processors may have changed the order.
            end = min(end, time.monotonic() + _OVERTAKING_S)
    return found


#: One ICMP echo by a raw socket, since no `ping` need be there.
_PING = """
import os, select, socket, struct, sys, time
address, limit = sys.argv[1], float(sys.argv[2])
six = ":" in address
kind, answer = (128, 129) if six else (8, 0)
family, protocol = (socket.AF_INET6, socket.IPPROTO_ICMPV6) if six else (socket.AF_INET, 1)
own = socket.socket(family, socket.SOCK_RAW, protocol)
mark = os.urandom(8)
body = struct.pack("!BBHHH", kind, 0, 0, os.getpid() & 0xFFFF, 1) + mark
total = sum(struct.unpack("!8H", body)); total = (total >> 16) + (total & 0xFFFF)
total = ~(total + (total >> 16)) & 0xFFFF
own.sendto(body if six else body[:2] + struct.pack("!H", total) + body[4:], (address, 0))
end = time.monotonic() + limit
while (left := end - time.monotonic()) > 0:
    if select.select([own], [], [], left)[0]:
        told = own.recv(2048)
        message = told if six else told[20:]
        if message[0] == answer and mark in message:
            sys.exit(0)
sys.exit(1)
"""
