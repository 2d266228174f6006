"""What a server's serial console says: asked of its host, and waited for.

The host is asked by a message and answers by one, as it tells everything; the answer lies in the
database for as long as whoever asked takes to come for it.
"""

import time
from contextlib import suppress
from datetime import timedelta

from sqlalchemy.exc import IntegrityError

from app.db.models import ConsoleAnswer, Hypervisor
from app.db.models.base import new_id, now
from app.db.repo import consoles, servers
from app.db.session import Sessions, reading
from app.scheduling.rules import alive_since
from app.services.context import Caller, Context
from app.services.server_views import is_heard
from app.services.servers import found
from tasks.errors import Conflict
from tasks.messages import Console, ReadConsole

#: Seconds for which an answer is waited for, and between two looks for it.
PATIENCE_S = 10.0
_LOOK_EVERY_S = 0.05

#: Seconds after which an answer that nobody came for is removed.
_KEEP_S = 60.0


def output(context: Context, caller: Caller, server_id: str, lines: int | None) -> str:
    """Return the last lines of what the server has written to its console, or all that its host
    remembers of it (64 KiB). Raises NotFound, and Conflict if the server has no host or its host
    does not answer."""
    order = ReadConsole(
        host=host_of(context, caller, server_id, "getConsoleOutput").name,
        server_id=server_id,
        question=new_id(),
        deadline=time.time() + PATIENCE_S,
    )
    context.publisher.read_console(order)
    text = awaited(context, order.question)
    if text is None:
        raise Conflict(
            f"Cannot 'getConsoleOutput' instance {server_id}: its host did not answer within"
            f" {PATIENCE_S:.0f} seconds"
        )
    return text if lines is None or lines < 0 else _last(text, lines)


def take_answer(sessions: Sessions, answer: Console) -> None:
    """Keep what a host says for whoever asked, unless nobody waits any more; the same may come
    twice."""
    # PostgreSQL's text holds no NUL, a guest's console may.
    keep_answer(sessions, answer.question, answer.text.replace("\0", ""), answer.deadline)


def keep_answer(sessions: Sessions, question: str, text: str, deadline: float) -> None:
    """Keep an answer until it is fetched, unless nobody waits any more."""
    if time.time() > deadline:
        return
    row = ConsoleAnswer(question=question, text=text)
    with suppress(IntegrityError), sessions.begin() as session:
        consoles.prune(session, now() - timedelta(seconds=_KEEP_S))
        session.add(row)


def host_of(context: Context, caller: Caller, server_id: str, deed: str) -> Hypervisor:
    """Return the host that can be asked about the server. Raises NotFound, and Conflict if the
    server has none or it does not answer."""
    with reading(context.sessions) as session:
        host = found(servers.get(session, server_id), caller, server_id).hypervisor
        if host is None:
            raise Conflict(f"Instance {server_id} is not ready")
        if not is_heard(host, alive_since(context.settings)):
            raise Conflict(f"Cannot '{deed}' instance {server_id} while its host does not answer")
        return host


def awaited(context: Context, question: str, deadline: float | None = None) -> str | None:
    """Return the answer as soon as it is there, or None if it does not come in time: until the
    deadline (Unix seconds), else as long as for one answer alone. What is there is found after the
    deadline, too."""
    patience_s = PATIENCE_S if deadline is None else deadline - time.time()
    end = time.monotonic() + patience_s
    while True:
        with reading(context.sessions) as session:
            is_there = consoles.is_there(session, question)
        if is_there:
            with context.sessions.begin() as session:
                return consoles.take(session, question)
        if time.monotonic() >= end:
            return None
        time.sleep(_LOOK_EVERY_S)


def _last(text: str, lines: int) -> str:
    return "".join(text.splitlines(keepends=True)[-lines:]) if lines else ""
