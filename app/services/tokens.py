"""Tokens: opaque random words that stand for a user, and mostly for a project, for some hours."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from app.db.models import ApplicationCredential, Token, User
from app.db.models.base import now
from app.db.repo import application_credentials, identity
from app.db.repo import tokens as repo
from app.db.session import reading
from app.services import logins, roles
from app.services.context import Context
from app.services.passwords import password_fits
from app.services.scopes import WRONG, Scope, project_for
from tasks.errors import Unauthorized


@dataclass(frozen=True)
class PasswordLogin:
    """A user, by id or by name, and what they say their password is."""

    user_id: str | None
    user_name: str | None
    password: str
    #: Where they are.
    address: str


@dataclass(frozen=True)
class CredentialLogin:
    """An application credential, by id, or by name and whose it is; and what is said to be its
    secret."""

    credential_id: str | None
    name: str | None
    user_id: str | None
    user_name: str | None
    secret: str
    #: Where they are.
    address: str


@dataclass(frozen=True)
class CredentialRef:
    """The application credential that a token was given for."""

    id: str
    name: str
    unrestricted: bool


@dataclass(frozen=True)
class TokenView:
    """What a token stands for."""

    #: Its own, and that of the first one if it was given for another token.
    audit_ids: tuple[str, ...]
    methods: tuple[str, ...]
    user_id: str
    user_name: str
    #: Empty for an unscoped token.
    project_id: str
    project_name: str
    roles: tuple[str, ...]
    issued_at: datetime
    expires_at: datetime
    credential: CredentialRef | None = None


def issue_for_password(
    context: Context, login: PasswordLogin, scope: Scope
) -> tuple[str, TokenView]:
    """Return a new token and what it stands for. Raises Unauthorized, TooManyRequests."""
    with reading(context.sessions) as session:
        user = _user(session, login.user_id, login.user_name)
    who = user.id if user is not None else login.user_id or login.user_name or ""
    with logins.limited(context, who, login.address):
        # No session is open: it takes longer than all queries together.
        fits = password_fits(login.password, user.password_hash if user else None)
        if user is None or not (fits and user.enabled):
            raise Unauthorized(WRONG, user=user.id if user else None)
    expires_at = now() + timedelta(seconds=context.settings.token_lifetime_s)
    return _issue(context, user.id, scope, Proof(("password",), expires_at))


def issue_for_credential(context: Context, login: CredentialLogin) -> tuple[str, TokenView]:
    """Return a new token for an application credential's project, which outlives neither it nor
    the lifetime of tokens. Raises Unauthorized, TooManyRequests."""
    with reading(context.sessions) as session:
        row = _credential(session, login)
    who = row.id if row is not None else login.credential_id or login.name or ""
    with logins.limited(context, who, login.address):
        fits = password_fits(login.secret, row.secret_hash if row else None)
        if row is None or not (fits and _is_good(row)):
            raise Unauthorized(WRONG, credential=row.id if row else None)
    expires_at = now() + timedelta(seconds=context.settings.token_lifetime_s)
    expires_at = min(expires_at, row.expires_at or expires_at)
    proof = Proof(("application_credential",), expires_at, credential_id=row.id)
    return _issue(context, row.user_id, Scope("project", row.project_id), proof)


def issue_for_token(context: Context, secret: str, scope: Scope) -> tuple[str, TokenView]:
    """Return a new token for the user of another one, which it does not outlive. One that was
    given for an application credential stays with its project and its roles.

    Raises Unauthorized.
    """
    view = look_up(context, secret)
    credential_id = None
    if view.credential is not None:
        credential_id = view.credential.id
        own = Scope("project", view.project_id)
        if scope not in (Scope(), own, Scope("project", None, view.project_name)):
            raise Unauthorized(WRONG, credential=credential_id)
        scope = own
    methods = tuple(dict.fromkeys((*view.methods, "token")))
    proof = Proof(methods, view.expires_at, view.audit_ids[-1], credential_id)
    return _issue(context, view.user_id, scope, proof)


def look_up(context: Context, secret: str) -> TokenView:
    """Return what the token stands for. Raises Unauthorized if it is unknown or expired."""
    with reading(context.sessions) as session:
        rows = repo.rows(session, _digest(secret), now())
    if not rows or not rows[0].user_enabled:
        raise Unauthorized(WRONG)
    first = rows[0]
    held = roles.expand(row.role for row in rows if row.role is not None)
    if first.credential_id is not None:
        # What the user has lost since, the credential has lost too.
        held = tuple(role for role in held if role in roles.expand(first.credential_roles))
    if first.project_id is not None and not (first.project_enabled and held):
        raise Unauthorized(WRONG, project=first.project_id)
    return TokenView(
        audit_ids=_audit_ids(first.audit_id, first.first_audit_id),
        methods=tuple(first.methods),
        user_id=first.user_id,
        user_name=first.user_name,
        project_id=first.project_id or "",
        project_name=first.project_name or "",
        roles=held,
        issued_at=first.issued_at,
        expires_at=first.expires_at,
        credential=_credential_ref(first),
    )


def revoke(context: Context, secret: str) -> None:
    """Make the token worthless."""
    with context.sessions.begin() as session:
        repo.remove(session, _digest(secret))


@dataclass(frozen=True)
class Proof:
    """How somebody proved who they are, and until when that holds."""

    methods: tuple[str, ...]
    expires_at: datetime
    #: Of the token that was given for another one, the first one's.
    first_audit_id: str | None = None
    credential_id: str | None = None


def _issue(context: Context, user_id: str, scope: Scope, proof: Proof) -> tuple[str, TokenView]:
    # Hexadecimal: one that begins with a dash would be an option to `openstack token revoke`.
    secret, moment = secrets.token_hex(32), now()
    with context.sessions.begin() as session:
        project = project_for(session, session.get_one(User, user_id), scope)
        repo.remove_expired(session, moment)
        session.add(
            Token(
                digest=_digest(secret),
                audit_id=secrets.token_urlsafe(16),
                first_audit_id=proof.first_audit_id,
                methods=list(proof.methods),
                user_id=user_id,
                project_id=project.id if project else None,
                application_credential_id=proof.credential_id,
                issued_at=moment,
                expires_at=proof.expires_at,
            )
        )
    return secret, look_up(context, secret)


def _user(session: Session, user_id: str | None, name: str | None) -> User | None:
    if user_id is not None:
        return identity.user_by_id(session, user_id)
    return identity.user_by_name(session, name or "")


def _credential(session: Session, login: CredentialLogin) -> ApplicationCredential | None:
    if login.credential_id is not None:
        return application_credentials.get(session, login.credential_id)
    user = _user(session, login.user_id, login.user_name)
    if user is None:
        return None
    return application_credentials.named(session, user.id, login.name or "")


def _is_good(row: ApplicationCredential) -> bool:
    """Say whether the credential holds still; whether its user does is seen with the token."""
    return row.expires_at is None or row.expires_at > now()


def _credential_ref(row: Any) -> CredentialRef | None:
    if row.credential_id is None:
        return None
    return CredentialRef(row.credential_id, row.credential_name, row.credential_unrestricted)


def _audit_ids(own: str, first: str | None) -> tuple[str, ...]:
    return (own,) if first is None else (own, first)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
