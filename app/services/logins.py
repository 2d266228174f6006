"""How often one may try to log in: failed tries are counted, by name and by address.

In the database, so that all API processes count together, and a restart does not begin anew. What
is checked before the secret is looked at also keeps the slow hash from being used as a weapon.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from sqlalchemy.orm import Session

from app.db.models import FailedLogin
from app.db.models.base import now
from app.db.repo import tokens as repo
from app.db.session import reading
from app.services.context import Context
from tasks.errors import TooManyRequests, Unauthorized

#: How many more failures one name may have from everywhere, and one address for all names.
WIDER = 10


@contextmanager
def limited(context: Context, who: str, address: str) -> Iterator[None]:
    """Let a login be tried for this name from this address; one that ends in Unauthorized counts.

    Raises TooManyRequests.
    """
    digest = _digest(who)
    _check(context, digest, address)
    try:
        yield
    except Unauthorized:
        moment = now()
        with context.sessions.begin() as session:
            repo.forget_failures_before(session, moment - _window(context))
            session.add(FailedLogin(who=digest, address=address, at=moment))
        raise


def forget(session: Session, who: str) -> None:
    """Let the failed logins of this name count no more: somebody who may has vouched for it."""
    repo.forget_failures(session, _digest(who))


def _check(context: Context, digest: str, address: str) -> None:
    limit = context.settings.login_failures
    with reading(context.sessions) as session:
        since = now() - _window(context)
        named, there, both = repo.failures(session, digest, address, since)
    if both >= limit or named >= WIDER * limit or there >= WIDER * limit:
        window_s = context.settings.login_window_s
        raise TooManyRequests(f"Too many failed logins. Try again in {window_s:.0f} seconds.")


def _window(context: Context) -> timedelta:
    return timedelta(seconds=context.settings.login_window_s)


def _digest(who: str) -> str:
    return hashlib.sha256(who.encode()).hexdigest()
