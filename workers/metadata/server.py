"""The HTTP server: waitress, which reads from all connections in one thread and hands a request on
only once it is whole, so that slow or silent guests hold no thread; with limits of our own for each
guest and each network, and an end for every connection, however busy it looks.
"""

import socket
from typing import Any

from waitress.channel import HTTPChannel
from waitress.server import create_server
from waitress.task import WSGITask

from workers.limits import Held
from workers.metadata.answer import ASKER, MAX_BODY_BYTES, Answers
from workers.metadata.asker import asker_of

#: From the first packet of a connection to its end.
CONNECTION_LIMIT_S = 10.0
#: Connections at once: of one address, of one network, and of all.
OF_AN_ADDRESS, OF_A_NETWORK, OF_ALL = 8, 64, 256
MAX_HEADER_BYTES = 8 * 1024
_BACKLOG = 128


def make_server(answers: Answers, listening: socket.socket) -> Any:
    """Return waitress's server over the bound socket."""
    server = create_server(
        answers,
        sockets=[listening],
        threads=2,
        connection_limit=OF_ALL,
        backlog=_BACKLOG,
        # How often the server looks for connections that are over their time.
        cleanup_interval=1,
        channel_timeout=int(CONNECTION_LIMIT_S),
        max_request_header_size=MAX_HEADER_BYTES,
        # waitress refuses what reaches its limit.
        max_request_body_size=MAX_BODY_BYTES + 1,
        # Ours to refuse: waitress would take the headers away before we see them.
        clear_untrusted_proxy_headers=False,
        expose_tracebacks=False,
        ident=None,
        log_socket_errors=False,
        asyncore_use_poll=True,
        # Or a connection that says nothing is looked at only when another one does.
        asyncore_loop_timeout=1,
    )
    server.channel_class = _Channel
    server.of_address, server.of_network = Held(OF_AN_ADDRESS), Held(OF_A_NETWORK)
    server.maintenance = lambda now: _end_old(server, now)
    return server


class _Task(WSGITask):  # type: ignore[misc]
    def get_environment(self) -> dict[str, Any]:
        """Add who asks to what WSGI tells."""
        environ: dict[str, Any] = super().get_environment()
        environ[ASKER] = self.channel.asker
        return environ


class _Channel(HTTPChannel):  # type: ignore[misc]
    """One connection. It takes its place when it is accepted, and gives it back when it ends."""

    task_class = _Task

    def __init__(self, server: Any, sock: socket.socket, addr: Any, adj: Any, **more: Any) -> None:
        self.asker = asker_of(sock, addr[0])
        self._holds: list[tuple[Held, object]] = []
        super().__init__(server, sock, addr, adj, **more)
        if not self._take_place(server):
            self.handle_close()

    def _take_place(self, server: Any) -> bool:
        if self.asker is None:
            return False
        for held, holder in (
            (server.of_address, self.asker),
            (server.of_network, self.asker.interface),
        ):
            if not held.take(holder):
                return False
            self._holds.append((held, holder))
        return True

    def handle_close(self) -> None:
        """Give the place back, once."""
        holds, self._holds = self._holds, []
        for held, holder in holds:
            held.give(holder)
        super().handle_close()


def _end_old(server: Any, now: float) -> None:
    """Waitress ends what is silent; who sends a byte now and then is ended here."""
    for channel in list(server.active_channels.values()):
        if channel.creation_time < now - CONNECTION_LIMIT_S:
            channel.handle_close()
