"""Keypairs: a user's SSH public keys."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.exc import IntegrityError

from app.db.models import Keypair
from app.db.models.base import new_id, now
from app.db.repo import identity, keypairs, quota
from app.db.repo.paging import Page
from app.db.session import reading
from app.services.context import Caller, Context
from app.services.ssh_keys import make_pair, read_public_key
from tasks.errors import Conflict, NotFound, QuotaExceeded, RequestError


@dataclass(frozen=True)
class KeypairView:
    """A public key under its name. The private half is there only when it was made just now."""

    id: str
    name: str
    public_key: str
    fingerprint: str
    user_id: str
    created_at: datetime
    private_key: str | None = None


def listed(context: Context, caller: Caller, user_id: str | None, part: Page) -> list[KeypairView]:
    """Return a page of the caller's keypairs, or of somebody's. Raises Forbidden, RequestError."""
    owner_id = _owner(caller, user_id, "list")
    with reading(context.sessions) as session:
        return [_view(row) for row in keypairs.listed(session, owner_id, part)]


def get(context: Context, caller: Caller, name: str, user_id: str | None = None) -> KeypairView:
    """Return one of the caller's keypairs, or of somebody's. Raises NotFound, Forbidden."""
    owner_id = _owner(caller, user_id, "show")
    with reading(context.sessions) as session:
        return _view(_found(keypairs.get(session, owner_id, name), name))


def create(
    context: Context,
    caller: Caller,
    name: str,
    public_key: str | None,
    user_id: str | None = None,
) -> KeypairView:
    """Keep a public key, or make a pair, for the caller or for somebody. Raises RequestError,
    Conflict, QuotaExceeded, Forbidden."""
    owner_id = _owner(caller, user_id, "create")
    private_key = None
    if public_key is None:
        private_key, public_key = make_pair()
    line, fingerprint = read_public_key(public_key)
    row = Keypair(
        id=new_id(),
        user_id=owner_id,
        name=name,
        public_key=line,
        fingerprint=fingerprint,
        created_at=now(),
    )
    taken = f"Key pair '{name}' already exists."
    try:
        with context.sessions.begin() as session:
            if identity.user_by_id(session, owner_id) is None:
                raise RequestError(f"user_id: user {owner_id} could not be found.")
            if keypairs.get(session, owner_id, name) is not None:
                raise Conflict(taken)
            most = quota.lock_project(session, caller.project_id).quota_key_pairs
            if 0 <= most <= keypairs.count(session, owner_id):
                raise QuotaExceeded("Quota exceeded, too many key pairs.")
            session.add(row)
    except IntegrityError as error:
        raise Conflict(taken) from error
    return _view(row, private_key)


def delete(context: Context, caller: Caller, name: str, user_id: str | None = None) -> None:
    """Forget one of the caller's keypairs, or of somebody's. Raises NotFound, Forbidden."""
    owner_id = _owner(caller, user_id, "delete")
    with context.sessions.begin() as session:
        row = _found(keypairs.get(session, owner_id, name), name)
        keypairs.remove(session, row)


def _owner(caller: Caller, user_id: str | None, verb: str) -> str:
    if user_id in (None, "", caller.user_id):
        return caller.user_id
    caller.check(f"compute:keypairs:{verb}:others")
    return str(user_id)


def _found(row: Keypair | None, name: str) -> Keypair:
    if row is None:
        raise NotFound(f"Keypair {name} not found for user.")
    return row


def _view(row: Keypair, private_key: str | None = None) -> KeypairView:
    return KeypairView(
        row.id,
        row.name,
        row.public_key,
        row.fingerprint,
        row.user_id,
        row.created_at,
        private_key,
    )
