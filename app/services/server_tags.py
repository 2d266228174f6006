"""A server's tags: words by which its owner finds it again."""

from collections.abc import Collection

from sqlalchemy.orm import Session

from app.db.models import Server, ServerTag
from app.db.repo import servers
from app.db.session import reading
from app.services.context import Caller, Context
from app.services.server_metadata import STEADY
from app.services.servers import found
from tasks.errors import Conflict, NotFound, RequestError

#: Nova's limits: tags of a server, and characters of a tag.
MAX_TAGS, MAX_LENGTH = 50, 60


def check(tag: str) -> None:
    """Raise RequestError for what is no tag."""
    if not 1 <= len(tag) <= MAX_LENGTH or "/" in tag or "," in tag:
        raise RequestError(
            f"Tag '{tag[:MAX_LENGTH]}' is invalid. It must be a string of 1 to {MAX_LENGTH}"
            " characters without '/' and ','."
        )


def get(context: Context, caller: Caller, server_id: str) -> list[str]:
    """Return a server's tags. Raises NotFound."""
    with reading(context.sessions) as session:
        return _words(found(servers.get(session, server_id), caller, server_id))


def has(context: Context, caller: Caller, server_id: str, tag: str) -> None:
    """Raises NotFound unless the server has the tag."""
    if tag not in get(context, caller, server_id):
        raise _no_tag(server_id, tag)


def replace(context: Context, caller: Caller, server_id: str, tags: Collection[str]) -> list[str]:
    """Give a server these tags and no others, and return them. Raises NotFound, Conflict."""
    with context.sessions.begin() as session:
        server = _steady(session, caller, server_id, "update tags" if tags else "delete tags")
        kept = {row.tag: row for row in server.tags}
        wanted = sorted(set(tags))
        server.tags = [kept.get(tag) or ServerTag(tag=tag) for tag in wanted]
        return wanted


def add(context: Context, caller: Caller, server_id: str, tag: str) -> bool:
    """Give a server one tag more; False if it has it already. Raises NotFound, Conflict,
    RequestError."""
    with context.sessions.begin() as session:
        server = _steady(session, caller, server_id, "update tag")
        check(tag)
        if tag in _words(server):
            return False
        if len(server.tags) >= MAX_TAGS:
            raise RequestError(f"The number of tags exceeded the per-server limit {MAX_TAGS}")
        server.tags.append(ServerTag(tag=tag))
        return True


def remove(context: Context, caller: Caller, server_id: str, tag: str) -> None:
    """Take a tag from a server. Raises NotFound, Conflict."""
    with context.sessions.begin() as session:
        server = _steady(session, caller, server_id, "delete tag")
        if tag not in _words(server):
            raise _no_tag(server_id, tag)
        server.tags = [row for row in server.tags if row.tag != tag]


def _steady(session: Session, caller: Caller, server_id: str, verb: str) -> Server:
    # Who adds one tag must not lose another's.
    servers.lock(session, server_id)
    server = found(servers.get(session, server_id), caller, server_id)
    if server.vm_state not in STEADY:
        raise Conflict(
            f"Cannot '{verb}' instance {server_id} while it is in vm_state {server.vm_state}"
        )
    return server


def _words(server: Server) -> list[str]:
    return [row.tag for row in server.tags]


def _no_tag(server_id: str, tag: str) -> NotFound:
    return NotFound(f"Server {server_id} has no tag '{tag}'")
