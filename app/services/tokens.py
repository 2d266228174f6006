"""Tokens: opaque random words that stand for a user, and mostly for a project, for some hours."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy.orm import Session

from app.db.models import Project, Token, User
from app.db.models.base import now
from app.db.repo import identity
from app.db.repo import tokens as repo
from app.db.session import reading
from app.services import logins, roles
from app.services.context import Context
from app.services.passwords import password_fits
from tasks.errors import Unauthorized

WRONG = "The request you have made requires authentication."


@dataclass(frozen=True)
class Scope:
    """Which project a token is wanted for. `default` is the user's own choice."""

    kind: Literal["default", "unscoped", "project"] = "default"
    project_id: str | None = None
    project_name: str | None = None


@dataclass(frozen=True)
class PasswordLogin:
    """A user, by id or by name, and what they say their password is."""

    user_id: str | None
    user_name: str | None
    password: str
    #: Where they are.
    address: str


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


def issue_for_password(
    context: Context, login: PasswordLogin, scope: Scope
) -> tuple[str, TokenView]:
    """Return a new token and what it stands for. Raises Unauthorized, TooManyRequests."""
    with reading(context.sessions) as session:
        user = _user(session, login)
    who = user.id if user is not None else login.user_id or login.user_name or ""
    with logins.limited(context, who, login.address):
        # No session is open: it takes longer than all queries together.
        fits = password_fits(login.password, user.password_hash if user else None)
        if user is None or not (fits and user.enabled):
            raise Unauthorized(WRONG, user=user.id if user else None)
    lifetime = timedelta(seconds=context.settings.token_lifetime_s)
    return _issue(context, user.id, scope, Proof(("password",), lifetime))


def issue_for_token(context: Context, secret: str, scope: Scope) -> tuple[str, TokenView]:
    """Return a new token for the user of another one, which it does not outlive.

    Raises Unauthorized.
    """
    view = look_up(context, secret)
    methods = tuple(dict.fromkeys((*view.methods, "token")))
    proof = Proof(methods, view.expires_at - now(), first_audit_id=view.audit_ids[-1])
    return _issue(context, view.user_id, scope, proof)


def look_up(context: Context, secret: str) -> TokenView:
    """Return what the token stands for. Raises Unauthorized if it is unknown or expired."""
    with reading(context.sessions) as session:
        rows = repo.rows(session, _digest(secret), now())
    if not rows or not rows[0].user_enabled:
        raise Unauthorized(WRONG)
    first = rows[0]
    held = roles.expand(row.role for row in rows if row.role is not None)
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
    )


def revoke(context: Context, secret: str) -> None:
    """Make the token worthless."""
    with context.sessions.begin() as session:
        repo.remove(session, _digest(secret))


@dataclass(frozen=True)
class Proof:
    """How somebody proved who they are, and for how long that holds."""

    methods: tuple[str, ...]
    lifetime: timedelta
    first_audit_id: str | None = None


def _issue(context: Context, user_id: str, scope: Scope, proof: Proof) -> tuple[str, TokenView]:
    secret, audit_id, moment = secrets.token_urlsafe(32), secrets.token_urlsafe(16), now()
    with context.sessions.begin() as session:
        user = session.get_one(User, user_id)
        project, held = _project(session, user, scope)
        repo.remove_expired(session, moment)
        session.add(
            Token(
                digest=_digest(secret),
                audit_id=audit_id,
                first_audit_id=proof.first_audit_id,
                methods=list(proof.methods),
                user_id=user.id,
                project_id=project.id if project else None,
                issued_at=moment,
                expires_at=moment + proof.lifetime,
            )
        )
    view = TokenView(
        audit_ids=_audit_ids(audit_id, proof.first_audit_id),
        methods=proof.methods,
        user_id=user.id,
        user_name=user.name,
        project_id=project.id if project else "",
        project_name=project.name if project else "",
        roles=held,
        issued_at=moment,
        expires_at=moment + proof.lifetime,
    )
    return secret, view


def _user(session: Session, login: PasswordLogin) -> User | None:
    if login.user_id is not None:
        return identity.user_by_id(session, login.user_id)
    return identity.user_by_name(session, login.user_name or "")


def _project(session: Session, user: User, scope: Scope) -> tuple[Project | None, tuple[str, ...]]:
    project = _wanted_project(session, user, scope)
    if project is None:
        if scope.kind == "project":
            raise Unauthorized(WRONG, project=scope.project_name or scope.project_id)
        return None, ()
    held = roles.expand(identity.roles_in(session, user.id, project.id))
    if not (project.enabled and held):
        if scope.kind == "default":
            return None, ()
        raise Unauthorized(WRONG, project=project.id)
    return project, held


def _wanted_project(session: Session, user: User, scope: Scope) -> Project | None:
    if scope.kind == "unscoped":
        return None
    if scope.kind == "default":
        default = user.default_project_id
        return identity.project_by_id(session, default) if default else None
    if scope.project_id is not None:
        return identity.project_by_id(session, scope.project_id)
    return identity.project_by_name(session, scope.project_name or "")


def _audit_ids(own: str, first: str | None) -> tuple[str, ...]:
    return (own,) if first is None else (own, first)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
