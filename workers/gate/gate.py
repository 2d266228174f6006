"""Lets in to guests' consoles whom the control plane has announced, and nobody else.

A listener on the host's own address, by TLS. Who connects says a word of 32 bytes; its digest came
through the broker before, with the server, the kind of console and a time (OpenConsole). A word
opens once. From then on bytes go to and fro until one side ends.
"""

import asyncio
import hashlib
import os
import socket
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

import structlog

from config.settings import ComputeSettings
from tasks.errors import ByreError, HostBusy, HostError
from tasks.messages import ConsoleKind, ConsoleWay, OpenConsole
from workers.gate.certificate import make_context
from workers.gate.descriptor import Descriptor
from workers.hypervisor.port import Hypervisor
from workers.race import first_of
from workers.streams import close

log = structlog.get_logger(__name__)

#: Bytes of a word, and what is answered to a good one.
WORD_BYTES = 32
LET_IN = b"\x01"

#: Seconds that a stranger has to say its word, TLS included.
_WORD_LIMIT_S = 10.0
#: Connections at once, strangers included; and ways that nobody has gone yet.
_MAX_CONNECTIONS, _MAX_WAYS = 256, 4096
_CHUNK = 65536
_END_LIMIT_S = 5.0


@dataclass(frozen=True)
class _Way:
    server_id: str
    kind: ConsoleKind
    #: Unix seconds.
    until: float


class Gate(threading.Thread):
    """The gate of one host: an event loop in a thread of its own, beside the stages."""

    def __init__(self, host: Hypervisor, settings: ComputeSettings) -> None:
        super().__init__(name="console-gate", daemon=True)
        self._host = host
        name, _, port = settings.console_gate.rpartition(":")
        self._address, self._wanted_port = name or settings.host_ip, int(port or 0)
        self._state_dir = settings.state_dir
        self._ways: dict[str, _Way] = {}
        self._lock = threading.Lock()
        self._open = 0
        #: The session that holds a server's serial console: there is one terminal.
        self._terminals: dict[str, asyncio.Task[None]] = {}
        self._port, self._certificate = 0, ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped: asyncio.Event | None = None
        self._ready = threading.Event()

    # --- from other threads -------------------------------------------------------------------

    def announce(self, order: OpenConsole) -> ConsoleWay:
        """Let the bearer of the word in from now on, and say where. That there is such a console
        is tried first. Raises ByreError."""
        if not self._ready.wait(_WORD_LIMIT_S) or not self._port:
            raise HostError("The host has no gate for consoles; its log says why.")
        os.close(self._host.open_console(order.server_id, order.kind))
        with self._lock:
            moment = time.time()
            self._ways = {key: way for key, way in self._ways.items() if way.until > moment}
            if len(self._ways) >= _MAX_WAYS:
                raise HostBusy("The host has too many consoles that nobody has looked at yet.")
            self._ways[order.digest] = _Way(order.server_id, order.kind, order.until)
        return ConsoleWay(
            question=order.question,
            deadline=order.deadline,
            address=self._address,
            port=self._port,
            certificate=self._certificate,
        )

    def stop(self) -> None:
        """Close the gate, and every console that is open through it."""
        if self._loop is not None and self._stopped is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stopped.set)
            self.join(_END_LIMIT_S)

    def run(self) -> None:
        """Serve until stopped. A host whose gate cannot open has no consoles, and works on."""
        try:
            asyncio.run(self._serve())
        except (OSError, ssl.SSLError) as error:
            log.error("gate.not_opened", address=self._address, reason=str(error))
        finally:
            self._port = 0
            self._ready.set()

    # --- in the loop --------------------------------------------------------------------------

    async def _serve(self) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        context, self._certificate = make_context(self._state_dir)
        server = await asyncio.start_server(
            self._come,
            self._address,
            self._wanted_port,
            ssl=context,
            ssl_handshake_timeout=_WORD_LIMIT_S,
        )
        self._port = server.sockets[0].getsockname()[1]
        self._ready.set()
        log.info("gate.opened", address=self._address, port=self._port)
        await self._stopped.wait()
        # What is open is cancelled with the loop.
        server.close()

    async def _come(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its first byte to its last."""
        self._open += 1
        try:
            if self._open <= _MAX_CONNECTIONS:
                await self._admit(reader, writer)
        except asyncio.CancelledError:
            # Whoever takes the terminal does not wait for a goodbye.
            writer.transport.abort()
            raise
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            pass
        except ByreError as error:
            # It was there when it was announced: the guest has stopped since, say.
            log.info("console.refused", reason=error.public)
        finally:
            self._open -= 1
            await close(writer)

    async def _admit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(_WORD_LIMIT_S):
            word = await reader.readexactly(WORD_BYTES)
        way = self._taken(hashlib.sha256(word).hexdigest())
        if way is None:
            log.warning("gate.stranger", address=writer.get_extra_info("peername")[0])
            return
        end = Descriptor(await asyncio.to_thread(self._host.open_console, way.server_id, way.kind))
        log.info("console.opened", server=way.server_id, kind=way.kind)
        try:
            if way.kind == "serial":
                await self._take_terminal(way.server_id)
            # A proxy whose machine is gone says nothing any more.
            peer: socket.socket = writer.get_extra_info("socket")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            writer.write(LET_IN)
            await _carry(end, reader, writer)
        finally:
            end.close()
            if self._terminals.get(way.server_id) is asyncio.current_task():
                del self._terminals[way.server_id]
            log.info("console.closed", server=way.server_id, kind=way.kind)

    def _taken(self, digest: str) -> _Way | None:
        """Return the way, which is there no more from now on."""
        with self._lock:
            way = self._ways.pop(digest, None)
        return way if way is not None and way.until > time.time() else None

    async def _take_terminal(self, server_id: str) -> None:
        """End whoever has the server's terminal: two readers would each get half of it."""
        former = self._terminals.get(server_id)
        self._terminals[server_id] = cast("asyncio.Task[None]", asyncio.current_task())
        if former is not None:
            former.cancel()
            await asyncio.wait([former])


async def _carry(
    end: Descriptor, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Carry bytes both ways until one side ends."""

    async def out() -> None:
        while data := await end.read():
            writer.write(data)
            await writer.drain()

    async def back() -> None:
        while data := await reader.read(_CHUNK):
            await end.write(data)

    await first_of(out(), back())
