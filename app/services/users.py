"""Users: what one may see of them, and how an administrator makes and removes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.db.models import RoleAssignment, User
from app.db.models.base import new_id, now
from app.db.repo import identity, tokens
from app.db.repo.identity import AccountFilter
from app.db.session import added, reading
from app.services import logins
from app.services.account_names import USER_NAME, check_name
from app.services.context import Caller, Context
from app.services.passwords import hash_password, password_fits
from tasks.errors import Conflict, NotFound, RequestError, Unauthorized


@dataclass(frozen=True)
class UserView:
    """A user as they see themselves."""

    id: str
    name: str
    enabled: bool
    description: str
    email: str | None
    default_project_id: str | None


@dataclass(frozen=True)
class NewUser:
    """A user to be made; without a password they cannot log in."""

    name: str
    password: str | None = None
    email: str | None = None
    description: str = ""
    enabled: bool = True
    default_project_id: str | None = None


@dataclass(frozen=True)
class PasswordChange:
    """A password for oneself, the one that it takes the place of, and where one is."""

    original: str
    password: str
    address: str


def listed(context: Context, wanted: AccountFilter) -> list[UserView]:
    """Return the users, by name."""
    with reading(context.sessions) as session:
        return [_view(row) for row in identity.users(session, wanted)]


def get(context: Context, caller: Caller, user_id: str) -> UserView:
    """Return a user: the caller, or any for an administrator. Raises NotFound."""
    if user_id != caller.user_id and not caller.may("identity:users:show:others"):
        raise _missing(user_id)
    with reading(context.sessions) as session:
        return _view(found(session, user_id))


def create(context: Context, new: NewUser) -> UserView:
    """Make a user, who has no role anywhere yet. Raises Conflict, RequestError."""
    check_name(new.name, USER_NAME)
    # Outside of the session: it takes longer than all queries together.
    kept = hash_password(new.password) if new.password else ""
    with context.sessions.begin() as session:
        _check_project(session, new.default_project_id)
        row = User(
            id=new_id(),
            name=new.name,
            password_hash=kept,
            email=new.email,
            description=new.description,
            enabled=new.enabled,
            default_project_id=new.default_project_id,
        )
        if not added(session, row):
            raise _taken(new.name)
        return _view(row)


def change(context: Context, user_id: str, changes: Mapping[str, Any]) -> UserView:
    """Set some of name, password, email, description, enabled, default_project_id. With another
    password, or disabled, the user has no token any more. Raises NotFound, Conflict,
    RequestError."""
    changes = dict(changes)
    if "name" in changes:
        check_name(changes["name"], USER_NAME)
    password = changes.pop("password", None)
    kept = hash_password(password) if password else None
    with context.sessions.begin() as session:
        row = found(session, user_id)
        _check_project(session, changes.get("default_project_id"))
        for name, value in changes.items():
            setattr(row, name, value)
        try:
            session.flush()
        except IntegrityError as error:
            raise _taken(changes["name"]) from error
        if kept is not None:
            _take_password(session, row, kept)
        if not row.enabled:
            tokens.remove_of_user(session, row.id)
        return _view(row)


def change_own_password(
    context: Context, caller: Caller, user_id: str, change: PasswordChange
) -> None:
    """Give the caller another password, for which they must know the one they have; their tokens
    are worth nothing from then on. Raises NotFound, Unauthorized, TooManyRequests."""
    if user_id != caller.user_id:
        raise _missing(user_id)
    with reading(context.sessions) as session:
        had = found(session, user_id).password_hash
    with logins.limited(context, user_id, change.address):
        if not password_fits(change.original, had):
            raise Unauthorized("The original password is wrong.", user=user_id)
    kept = hash_password(change.password)
    with context.sessions.begin() as session:
        _take_password(session, found(session, user_id), kept)


def delete(context: Context, user_id: str) -> None:
    """Remove a user with their roles, tokens and keypairs; what they made in projects stays.
    Raises NotFound."""
    with context.sessions.begin() as session:
        row = found(session, user_id)
        tokens.remove_of_user(session, row.id)
        identity.end_user(session, row, now())


def found(session: Session, user_id: str) -> User:
    """Return the user. Raises NotFound."""
    user = identity.user_by_id(session, user_id)
    if user is None:
        raise _missing(user_id)
    return user


def named(session: Session, name: str) -> User:
    """Return the user of this name. Raises NotFound."""
    user = identity.user_by_name(session, name)
    if user is None:
        raise _missing(name)
    return user


def ensure(
    session: Session, name: str, password: str | None, project_id: str, role: str
) -> tuple[User, bool]:
    """Return the user of this name and whether they were made now; with the role in the project.

    A password that is given is theirs from now on; a new user needs one.
    """
    user = identity.user_by_name(session, name)
    made = user is None
    if user is None:
        if password is None:
            raise ValueError(f"user {name} is new and needs a password")
        check_name(name, USER_NAME)
        user = User(id=new_id(), name=name, default_project_id=project_id, password_hash="")
        session.add(user)
        session.flush()
    if password is not None and not password_fits(password, user.password_hash):
        _take_password(session, user, hash_password(password))
    if role not in identity.roles_in(session, user.id, project_id):
        session.add(RoleAssignment(user_id=user.id, project_id=project_id, role=role))
    return user, made


def _take_password(session: Session, user: User, kept: str) -> None:
    user.password_hash = kept
    tokens.remove_of_user(session, user.id)
    logins.forget(session, user.id)


def _check_project(session: Session, project_id: str | None) -> None:
    if project_id is not None and identity.project_by_id(session, project_id) is None:
        raise RequestError(f"default_project_id: project {project_id} could not be found.")


def _taken(name: str) -> Conflict:
    return Conflict(f"There is a user {name} already.")


def _missing(user_id: str) -> NotFound:
    return NotFound(f"Could not find user: {user_id}.")


def _view(user: User) -> UserView:
    return UserView(
        id=user.id,
        name=user.name,
        enabled=user.enabled,
        description=user.description,
        email=user.email,
        default_project_id=user.default_project_id,
    )
