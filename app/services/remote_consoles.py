"""Visits to servers' consoles: a URL with a token that is good for one of them.

The token is random and is not kept. From it come two digests: one by which its row is found, and
one that the server's host is told, whose gate then lets the bearer of the word in (`word_of`). So
neither the database nor the broker nor the host ever holds what opens a console before it is used.
"""

import hashlib
import secrets
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote, urlsplit

from sqlalchemy.orm import Session

from app.db.models import ConsoleToken
from app.db.models.base import new_id, now
from app.db.repo import console_tokens as repo
from app.db.session import Sessions, reading
from app.services import roles
from app.services.consoles import PATIENCE_S, awaited, host_of, keep_answer
from app.services.context import Caller, Context
from config.settings import ControlSettings
from tasks.errors import Conflict, NotFound, NotRunning
from tasks.messages import ConsoleKind, ConsoleWay, OpenConsole

#: A visit of which its proxy has not spoken for so long is over.
SILENCE_S = 90.0
#: What somebody must be in the project to look at its consoles.
_ROLE = "member"


@dataclass(frozen=True)
class Visit:
    """A visit that has begun: where the host's gate is, and what it is told."""

    digest: str
    server_id: str
    kind: str
    address: str
    port: int
    certificate: str


@dataclass(frozen=True)
class TokenView:
    """What a token is for."""

    server_id: str
    address: str
    port: int


def open_console(context: Context, caller: Caller, server_id: str, kind: ConsoleKind) -> str:
    """Return the URL of a server's console. Raises NotFound, and Conflict if the server has no such
    console now, or its host does not answer."""
    host = host_of(context, caller, server_id, _DEEDS[kind])
    token = secrets.token_hex(32)
    expires_at = now() + timedelta(seconds=context.settings.console_token_ttl_s)
    way = _way(context, server_id, kind, host.name, token, expires_at)
    row = ConsoleToken(
        digest=_digest(token),
        server_id=server_id,
        user_id=caller.user_id,
        project_id=caller.project_id,
        hypervisor_id=host.id,
        kind=kind,
        address=way.address,
        port=way.port,
        certificate=way.certificate,
        expires_at=expires_at,
    )
    with context.sessions.begin() as session:
        repo.prune(session, now(), _silent_since())
        session.add(row)
    return _url(context.settings, kind, token)


def take_way(sessions: Sessions, way: ConsoleWay) -> None:
    """Keep what a host says of its gate for whoever asked."""
    keep_answer(sessions, way.question, way.model_dump_json(), way.deadline)


def begin(sessions: Sessions, token: str) -> Visit | None:
    """Begin the visit that the token is for; None if there is none, none any more, or its user has
    lost the right to it. The token is worth nothing from now on."""
    digest = _digest(token)
    with sessions.begin() as session:
        if not repo.use(session, digest, now()):
            return None
        rows = repo.rightful(session, [digest])
        if not _of_members(rows):
            repo.remove(session, digest)
            return None
        row = rows[0][0]
        return Visit(digest, row.server_id, row.kind, row.address, row.port, row.certificate)


def go_on(sessions: Sessions, digests: Collection[str]) -> set[str]:
    """Note that these visits last, and return those whose users still have the right to them."""
    with sessions.begin() as session:
        repo.note_seen(session, digests, now())
        return _of_members(repo.rightful(session, digests))


def end(sessions: Sessions, digest: str) -> None:
    """Forget a visit that is over."""
    with sessions.begin() as session:
        repo.remove(session, digest)


def show(context: Context, token: str) -> TokenView:
    """Return what a token is for that was not used yet. Raises NotFound."""
    with reading(context.sessions) as session:
        row = repo.unexpired(session, _digest(token), now())
        if row is None:
            raise NotFound("Token not found")
        return TokenView(row.server_id, row.address, row.port)


def word_of(token: str) -> bytes:
    """Return the word that the host's gate is told, by which nobody finds the token."""
    return hashlib.sha256(b"byre console gate:" + token.encode()).digest()


def open_by_kind(session: Session) -> dict[str, int]:
    """Return how many consoles of each kind are open."""
    return repo.open_by_kind(session, _silent_since())


#: What Nova calls the action.
_DEEDS: dict[ConsoleKind, str] = {"vnc": "getVNCConsole", "serial": "getSerialConsole"}


def _way(
    context: Context,
    server_id: str,
    kind: ConsoleKind,
    host: str,
    token: str,
    expires_at: datetime,
) -> ConsoleWay:
    order = OpenConsole(
        host=host,
        server_id=server_id,
        kind=kind,
        question=new_id(),
        deadline=time.time() + PATIENCE_S,
        digest=hashlib.sha256(word_of(token)).hexdigest(),
        until=expires_at.timestamp(),
    )
    context.publisher.open_console(order)
    text = awaited(context, order.question)
    deed = f"Cannot '{_DEEDS[kind]}' instance {server_id}"
    if text is None:
        raise Conflict(f"{deed}: its host did not answer within {PATIENCE_S:.0f} seconds")
    way = ConsoleWay.model_validate_json(text)
    if way.code == NotRunning.code:
        raise Conflict(f"Instance {server_id} is not ready")
    if way.refused:
        raise Conflict(f"{deed}: {way.refused}")
    return way


def _of_members(rows: Collection[tuple[ConsoleToken, str]]) -> set[str]:
    return {row.digest for row, role in rows if _ROLE in roles.expand([role])}


def _url(settings: ControlSettings, kind: ConsoleKind, token: str) -> str:
    """Return the URL in Nova's form: noVNC's page is told the path of its WebSocket, clients of
    serial consoles take the WebSocket itself."""
    base = (settings.console_url or f"http://{settings.console_bind}").rstrip("/")
    if kind == "serial":
        # `https` becomes `wss`.
        return f"ws{base.removeprefix('http')}/?token={token}"
    path = f"{urlsplit(base).path}/?token={token}".removeprefix("/")
    return f"{base}/vnc_lite.html?path={quote(path, safe='')}"


def _silent_since() -> datetime:
    return now() - timedelta(seconds=SILENCE_S)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
