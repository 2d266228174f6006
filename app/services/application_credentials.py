"""Application credentials: what programs log in with in a user's stead, for one project."""

import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from app.db.models import ApplicationCredential
from app.db.models.base import new_id, now
from app.db.repo import application_credentials as repo
from app.db.session import added, reading
from app.services import users
from app.services.context import Caller, Context
from app.services.passwords import hash_password
from tasks.errors import Conflict, Forbidden, NotFound, RequestError

#: Of one user; more would be a leak in somebody's program.
MOST = 100


@dataclass(frozen=True)
class CredentialView:
    """A credential, without its secret."""

    id: str
    user_id: str
    project_id: str
    name: str
    description: str
    roles: tuple[str, ...]
    unrestricted: bool
    expires_at: datetime | None


@dataclass(frozen=True)
class NewCredential:
    """A credential to be made. Without a secret one is made up; without roles it has all that the
    caller has in the project."""

    name: str
    secret: str | None = None
    description: str = ""
    roles: tuple[str, ...] = ()
    unrestricted: bool = False
    expires_at: datetime | None = None


def listed(
    context: Context, caller: Caller, user_id: str, name: str | None
) -> list[CredentialView]:
    """Return a user's credentials: one's own, or for an administrator anybody's. Raises
    NotFound."""
    users.get(context, caller, user_id)
    with reading(context.sessions) as session:
        return [_view(row) for row in repo.listed(session, user_id, name)]


def get(context: Context, caller: Caller, user_id: str, credential_id: str) -> CredentialView:
    """Return a user's credential. Raises NotFound."""
    users.get(context, caller, user_id)
    with reading(context.sessions) as session:
        return _view(_found(session, user_id, credential_id))


def create(
    context: Context, caller: Caller, user_id: str, new: NewCredential
) -> tuple[CredentialView, str]:
    """Make a credential for the project of the caller's token; return it and its secret, which is
    kept nowhere. Raises NotFound, Forbidden, Conflict, RequestError."""
    if user_id != caller.user_id:
        # Not even an administrator can act as somebody else.
        raise NotFound(f"Could not find user: {user_id}.")
    if not caller.project_id:
        raise Forbidden("An application credential needs a token with a project.")
    _check_may(caller)
    _check(caller, new)
    # Hexadecimal: one that begins with a dash would be an option on a command line.
    secret = new.secret or secrets.token_hex(32)
    row = ApplicationCredential(
        id=new_id(),
        user_id=user_id,
        project_id=caller.project_id,
        name=new.name,
        description=new.description,
        # Outside of the session: it takes longer than all queries together.
        secret_hash=hash_password(secret),
        roles=sorted(set(new.roles or caller.roles)),
        unrestricted=new.unrestricted,
        expires_at=new.expires_at,
    )
    with context.sessions.begin() as session:
        if repo.count(session, user_id) >= MOST:
            raise Forbidden(f"There are {MOST} application credentials already.")
        if not added(session, row):
            raise Conflict(f"There is an application credential {new.name} already.")
    return _view(row), secret


def delete(context: Context, caller: Caller, user_id: str, credential_id: str) -> None:
    """Remove a user's credential; its tokens are worth nothing from then on. Raises NotFound,
    Forbidden."""
    users.get(context, caller, user_id)
    _check_may(caller)
    with context.sessions.begin() as session:
        session.delete(_found(session, user_id, credential_id))


def _check_may(caller: Caller) -> None:
    if caller.is_restricted:
        raise Forbidden(
            "This token is a restricted application credential's, which may make and remove none."
        )


def _check(caller: Caller, new: NewCredential) -> None:
    if lacking := sorted(set(new.roles) - set(caller.roles)):
        raise RequestError(f"roles: you have no role {', '.join(lacking)} in this project.")
    if new.expires_at is not None and new.expires_at <= now():
        raise RequestError("expires_at: is in the past.")


def _found(session: Session, user_id: str, credential_id: str) -> ApplicationCredential:
    row = repo.get(session, credential_id)
    if row is None or row.user_id != user_id:
        raise NotFound(f"Could not find Application Credential: {credential_id}.")
    return row


def _view(row: ApplicationCredential) -> CredentialView:
    return CredentialView(
        id=row.id,
        user_id=row.user_id,
        project_id=row.project_id,
        name=row.name,
        description=row.description,
        roles=tuple(row.roles),
        unrestricted=row.unrestricted,
        expires_at=row.expires_at,
    )
