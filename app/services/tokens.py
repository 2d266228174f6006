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
from app.db.session import reading
from app.services.context import Context
from app.services.passwords import password_fits
from tasks.errors import Unauthorized

#: A role holds those after it.
_HELD = {"admin": ("admin", "member", "reader"), "member": ("member", "reader")}

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


@dataclass(frozen=True)
class TokenView:
    """What a token stands for."""

    audit_id: str
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
    """Return a new token and what it stands for. Raises Unauthorized."""
    with reading(context.sessions) as session:
        user = _user(session, login)
        password_hash = user.password_hash if user is not None and user.enabled else None
    # Outside of the session: it takes longer than all queries together.
    fits = password_fits(login.password, password_hash)
    if user is None or not fits:
        raise Unauthorized(WRONG, user=login.user_name or login.user_id)
    return _issue(context, user.id, scope, timedelta(seconds=context.settings.token_lifetime_s))


def issue_for_token(context: Context, secret: str, scope: Scope) -> tuple[str, TokenView]:
    """Return a new token for the user of another one, which it does not outlive.

    Raises Unauthorized.
    """
    view = look_up(context, secret)
    return _issue(context, view.user_id, scope, view.expires_at - now())


def look_up(context: Context, secret: str) -> TokenView:
    """Return what the token stands for. Raises Unauthorized if it is unknown or expired."""
    with reading(context.sessions) as session:
        rows = identity.token_rows(session, _digest(secret), now())
    if not rows or not rows[0].user_enabled:
        raise Unauthorized(WRONG)
    first = rows[0]
    roles = _expand([row.role for row in rows if row.role is not None])
    if first.project_id is not None and not (first.project_enabled and roles):
        raise Unauthorized(WRONG, project=first.project_id)
    return TokenView(
        audit_id=first.audit_id,
        user_id=first.user_id,
        user_name=first.user_name,
        project_id=first.project_id or "",
        project_name=first.project_name or "",
        roles=roles,
        issued_at=first.issued_at,
        expires_at=first.expires_at,
    )


def revoke(context: Context, secret: str) -> None:
    """Make the token worthless."""
    with context.sessions.begin() as session:
        identity.remove_token(session, _digest(secret))


def _issue(
    context: Context, user_id: str, scope: Scope, lifetime: timedelta
) -> tuple[str, TokenView]:
    secret, audit_id, moment = secrets.token_urlsafe(32), secrets.token_urlsafe(16), now()
    with context.sessions.begin() as session:
        user = session.get_one(User, user_id)
        project, roles = _project(session, user, scope)
        identity.remove_expired(session, moment)
        session.add(
            Token(
                digest=_digest(secret),
                audit_id=audit_id,
                user_id=user.id,
                project_id=project.id if project else None,
                issued_at=moment,
                expires_at=moment + lifetime,
            )
        )
    view = TokenView(
        audit_id=audit_id,
        user_id=user.id,
        user_name=user.name,
        project_id=project.id if project else "",
        project_name=project.name if project else "",
        roles=roles,
        issued_at=moment,
        expires_at=moment + lifetime,
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
    roles = _expand(identity.roles_in(session, user.id, project.id))
    if not (project.enabled and roles):
        if scope.kind == "default":
            return None, ()
        raise Unauthorized(WRONG, project=project.id)
    return project, roles


def _wanted_project(session: Session, user: User, scope: Scope) -> Project | None:
    if scope.kind == "unscoped":
        return None
    if scope.kind == "default":
        default = user.default_project_id
        return identity.project_by_id(session, default) if default else None
    if scope.project_id is not None:
        return identity.project_by_id(session, scope.project_id)
    return identity.project_by_name(session, scope.project_name or "")


def _expand(roles: list[str]) -> tuple[str, ...]:
    return tuple(sorted({held for role in roles for held in _HELD.get(role, (role,))}))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
