"""Passwords that guests have made for themselves, encrypted with their owners' keys and posted to
the metadata service of their hosts, which tell of them again and again."""

from hashlib import sha256

from sqlalchemy.orm import Session

from app.db.models import PostedPassword
from app.db.repo import servers
from app.db.session import Sessions, reading
from app.services.context import Caller, Context
from app.services.servers import found
from tasks.messages import ForgetPasswords, PostedPasswords


def get(context: Context, caller: Caller, server_id: str) -> str:
    """Return what the server's guest has posted; empty: nothing. Raises NotFound."""
    with reading(context.sessions) as session:
        found(servers.get(session, server_id), caller, server_id)
        row = session.get(PostedPassword, server_id)
        return "" if row is None else row.text


def clear(context: Context, caller: Caller, server_id: str) -> None:
    """Forget what the server's guest has posted. Its host does when it tells of it the next time,
    and then the guest may post another. Raises NotFound."""
    with context.sessions.begin() as session:
        found(servers.get(session, server_id), caller, server_id)
        row = session.get(PostedPassword, server_id)
        if row is not None:
            row.text = ""


def take(sessions: Sessions, told: PostedPasswords) -> ForgetPasswords | None:
    """Keep what a host tells of guests that it has, and return what it is to forget."""
    with sessions.begin() as session:
        here = servers.on_host(session, told.host, told.passwords)
        digests = {i: sha256(told.passwords[i].encode()).hexdigest() for i in here}
        cleared = [i for i in here if not _keep(session, i, told.passwords[i], digests[i])]
    if not cleared:
        return None
    return ForgetPasswords(host=told.host, digests={i: digests[i] for i in cleared})


def _keep(session: Session, server_id: str, text: str, digest: str) -> bool:
    """Return whether the password is the server's; not so if it was cleared since."""
    row = session.get(PostedPassword, server_id)
    if row is None:
        session.add(PostedPassword(server_id=server_id, text=text, sha256=digest))
        return True
    if row.sha256 != digest:
        row.text, row.sha256 = text, digest
    return bool(row.text)
