"""The console proxy: takes browsers' WebSockets, one visit a token, and carries bytes between them
and the gates of hosts.

A page of another site may not open a console in its visitor's name (CVE-2015-0259): a WebSocket
that says its origin must come from a page of our own, or of a site that the operator named.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit
from weakref import WeakKeyDictionary

import structlog
from sqlalchemy.exc import SQLAlchemyError
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from app.db.session import Sessions
from app.services import remote_consoles
from app.services.remote_consoles import Visit
from config.settings import ControlSettings
from workers.console.pages import Pages
from workers.console.way import NotLetIn, enter
from workers.limits import Allowance
from workers.race import first_of
from workers.streams import close

log = structlog.get_logger(__name__)

#: Tries of tokens from one address: at once, and a second.
_BURST, _PER_S = 30, 1.0
#: How often it is looked whether visits may last.
LOOK_EVERY_S = 10.0
_CHUNK = 65536
#: No viewer sends more at once.
_MAX_MESSAGE_BYTES = 1024 * 1024
_BINARY = Subprotocol("binary")

#: Reasons that WebSockets are closed for (RFC 6455, 7.4.1).
_OVER, _REFUSED, _FAILED = 1000, 1008, 1011


@dataclass
class _Session:
    """A console that somebody looks at."""

    visit: Visit
    token: str
    moved_at: float = field(default_factory=time.monotonic)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    #: How the WebSocket is closed.
    code: int = _OVER
    reason: str = "the console is closed"

    def end(self, code: int, reason: str) -> None:
        """Have it closed."""
        self.code, self.reason = code, reason
        self.ended.set()


class Proxy:
    """All that one process serves."""

    def __init__(self, settings: ControlSettings, sessions: Sessions) -> None:
        self._settings, self._rows = settings, sessions
        others = [each.strip() for each in settings.console_origins.split(",") if each.strip()]
        self._origins = {_origin(_base(settings)), *map(_origin, others)}
        self._pages = Pages(settings.console_pages, " ".join(map(_origin, others)))
        self._tries = Allowance(_BURST, _PER_S)
        self._open: dict[str, _Session] = {}
        #: Visits that have begun, and whose WebSocket is not open yet: it may never be.
        self._begun: WeakKeyDictionary[ServerConnection, _Session] = WeakKeyDictionary()

    async def run(self, stopped: asyncio.Event, ready: Callable[[Server], None]) -> None:
        """Serve until stopped. Raises OSError if the address cannot be had."""
        host, _, port = self._settings.console_bind.rpartition(":")
        # Faults of our own are told; strangers' broken requests are no news.
        quiet = logging.getLogger("byre.websockets")
        quiet.setLevel(logging.ERROR)
        quiet.addFilter(lambda record: record.msg != "opening handshake failed")
        async with serve(
            self._carry,
            host.strip("[]"),
            int(port),
            process_request=self._page,
            process_response=self._admit,
            select_subprotocol=_subprotocol,
            # What goes over it is compressed already, or secret.
            compression=None,
            max_size=_MAX_MESSAGE_BYTES,
            server_header=None,
            logger=quiet,
        ) as server:
            ready(server)
            await first_of(_wait(stopped), self._look_after())

    # --- before the WebSocket ----------------------------------------------------------------

    def _page(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer whoever wants no WebSocket with a page."""
        if "upgrade" in request.headers.get("Connection", "").lower():
            return None
        return self._pages.answer(urlsplit(request.path).path)

    async def _admit(
        self, connection: ServerConnection, request: Request, response: Response
    ) -> Response | None:
        """Begin the visit for which the request has the token, or refuse it."""
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            return None
        address = self._address_of(connection, request)
        refused = self._refusal(request, address)
        if refused is not None:
            log.warning("console.refused", address=address, reason=refused.phrase)
            return connection.respond(refused, f"{refused.phrase}\n")
        [token] = parse_qs(urlsplit(request.path).query).get("token", [""])[:1]
        try:
            visit = await asyncio.to_thread(remote_consoles.begin, self._rows, token)
        except SQLAlchemyError as error:
            # Not with its stack, in which the token is.
            log.error("console.not_begun", reason=str(error))
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "Try again later.\n")
        if visit is None:
            log.warning("console.refused", address=address, reason="token")
            return connection.respond(
                HTTPStatus.FORBIDDEN, "The token is not valid, or not any more.\n"
            )
        self._begun[connection] = _Session(visit, token)
        log.info("console.begun", server=visit.server_id, kind=visit.kind, address=address)
        return None

    def _refusal(self, request: Request, address: str) -> HTTPStatus | None:
        origins = request.headers.get_all("Origin")
        if origins and not {_origin(each) for each in origins} <= self._origins:
            return HTTPStatus.FORBIDDEN
        if not self._tries.take(address):
            return HTTPStatus.TOO_MANY_REQUESTS
        if len(self._open) >= self._settings.console_connections:
            return HTTPStatus.SERVICE_UNAVAILABLE
        return None

    def _address_of(self, connection: ServerConnection, request: Request) -> str:
        """Return whose request it is: what so many proxies of ours say, or the connection."""
        count = self._settings.console_trusted_proxies
        told = ",".join(request.headers.get_all("X-Forwarded-For")).split(",")
        if count and len(told) >= count:
            return told[-count].strip()
        return str(connection.remote_address[0])

    # --- the visit ---------------------------------------------------------------------------

    async def _carry(self, connection: ServerConnection) -> None:
        """Carry bytes until one side ends."""
        session = self._begun.pop(connection)
        visit = session.visit
        self._open[visit.digest] = session
        try:
            await self._connect(connection, session)
        except NotLetIn as error:
            log.warning("console.not_reached", server=visit.server_id, reason=str(error))
            session.end(_FAILED, "the console cannot be reached; ask for a new URL")
        except (OSError, ConnectionClosed):
            pass
        finally:
            del self._open[visit.digest]
            await connection.close(session.code, session.reason)
            await asyncio.to_thread(remote_consoles.end, self._rows, visit.digest)
            log.info("console.over", server=visit.server_id, kind=visit.kind)

    async def _connect(self, connection: ServerConnection, session: _Session) -> None:
        word = remote_consoles.word_of(session.token)
        reader, writer = await enter(session.visit, word)

        async def out() -> None:
            while data := await reader.read(_CHUNK):
                session.moved_at = time.monotonic()
                await connection.send(data)

        async def back() -> None:
            async for message in connection:
                session.moved_at = time.monotonic()
                writer.write(message.encode() if isinstance(message, str) else message)
                await writer.drain()

        try:
            await first_of(out(), back(), _wait(session.ended))
        finally:
            await close(writer)

    async def _look_after(self) -> None:
        """End visits that nobody has a right to any more, or on which nothing moves."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self._end_idle()
            if self._open:
                await self._end_unrightful()

    def _end_idle(self) -> None:
        limit_s, moment = self._settings.console_idle_limit_s, time.monotonic()
        for session in self._open.values():
            if limit_s and moment - session.moved_at > limit_s:
                session.end(_OVER, "nothing has moved on the console for a long time")

    async def _end_unrightful(self) -> None:
        digests = list(self._open)
        try:
            rightful = await asyncio.to_thread(remote_consoles.go_on, self._rows, digests)
        except SQLAlchemyError as error:
            # Nobody has lost a right by that; the next look will tell.
            log.warning("console.not_looked_after", reason=str(error))
            return
        for digest in set(digests) - rightful:
            session = self._open.get(digest)
            if session is not None:
                log.info("console.withdrawn", server=session.visit.server_id)
                session.end(_REFUSED, "the console may not be looked at any more")


def _base(settings: ControlSettings) -> str:
    return settings.console_url or f"http://{settings.console_bind}"


def _origin(url: str) -> str:
    """Return an URL's origin as browsers say it: without the port that its scheme implies."""
    parts = urlsplit(url.strip().lower())
    implied = {"http": ":80", "https": ":443"}.get(parts.scheme, "")
    return f"{parts.scheme}://{parts.netloc.removesuffix(implied)}"


def _subprotocol(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """`binary` is what websockify's clients ask for; others ask for nothing."""
    return _BINARY if _BINARY in offered else None


async def _wait(event: asyncio.Event) -> None:
    await event.wait()
