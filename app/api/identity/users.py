"""Users: an administrator makes and removes them; everybody sees themselves."""

from typing import Any

from flask import request
from marshmallow import Schema, fields, validate

from app.api.auth import caller, context
from app.api.compute.schema import Flag, Strict, Text, name_like, wrapped
from app.api.dialects import IDENTITY
from app.api.identity.domain import DOMAIN
from app.api.identity.schema import (
    AccountQuery,
    DomainId,
    Json,
    Links,
    NoOptions,
    NullableText,
    account_name,
    links,
    list_links,
    read_filter,
)
from app.api.routes import Routes
from app.services import users
from app.services.users import NewUser, UserView

routes = Routes(IDENTITY, "users", "Users: who can log in.", "/v3/users")

#: Longer ones would only keep the hash function busy.
_PASSWORD = validate.Length(min=1, max=1024)


class UserSchema(Schema):
    """A user."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    domain_id = fields.String(required=True)
    description = fields.String(required=True)
    enabled = fields.Boolean(required=True)
    options = fields.Dict(required=True)
    password_expires_at = fields.String(allow_none=True, required=True)
    email = fields.String()
    default_project_id = fields.String()
    links = fields.Nested(Links, required=True)


class UserAnswer(Schema):
    """A user, wrapped."""

    user = fields.Nested(UserSchema, required=True)


class UsersAnswer(Schema):
    """Users."""

    users = fields.List(fields.Nested(UserSchema), required=True)
    links = fields.Nested(Links, required=True)


class ChangeUser(Strict):
    """What of a user is to be another."""

    name = Text(validate=[name_like, validate.Length(max=255)])
    password = Text(allow_none=True, validate=_PASSWORD)
    email = NullableText(255)
    description = NullableText(255)
    enabled = Flag()
    default_project_id = NullableText(64)
    domain_id = DomainId()
    options = NoOptions()


class CreateUser(ChangeUser):
    """A user to be made."""

    name = account_name(255)


class ChangePassword(Strict):
    """A password, and the one that it takes the place of."""

    original_password = Text(required=True, validate=_PASSWORD)
    password = Text(required=True, validate=_PASSWORD)


@routes.endpoint("GET", "", "users:list", query=AccountQuery, returns=UsersAnswer)
def list_users(query: Json) -> Any:
    """List all users"""
    wanted = read_filter(query)
    found = [] if wanted is None else users.listed(context(), wanted)
    return {"users": [_user(view) for view in found], "links": list_links("users")}


@routes.endpoint(
    "POST",
    "",
    "users:create",
    body=wrapped("user", CreateUser),
    returns=UserAnswer,
    status=201,
    errors=(409,),
)
def create_user(body: Json) -> Any:
    """Make a user, who has no role anywhere yet; without a password they cannot log in"""
    asked = body["user"]
    new = NewUser(
        name=asked["name"],
        password=asked.get("password"),
        email=asked.get("email"),
        description=asked.get("description") or "",
        enabled=asked.get("enabled", True),
        default_project_id=asked.get("default_project_id"),
    )
    return {"user": _user(users.create(context(), new))}


@routes.endpoint("GET", "/<user_id>", "users:show", returns=UserAnswer, errors=(404,))
def show_user(user_id: str) -> Any:
    """Show a user: oneself, or for an administrator anybody"""
    return {"user": _user(users.get(context(), caller(), user_id))}


@routes.endpoint(
    "PATCH",
    "/<user_id>",
    "users:change",
    body=wrapped("user", ChangeUser),
    returns=UserAnswer,
    errors=(404, 409),
)
def change_user(body: Json, user_id: str) -> Any:
    """Change a user; with another password, or disabled, they have no token any more"""
    asked = body["user"]
    taken = ("name", "password", "email", "enabled", "default_project_id")
    changes = {name: asked[name] for name in taken if name in asked}
    if "description" in asked:
        changes["description"] = asked["description"] or ""
    return {"user": _user(users.change(context(), user_id, changes))}


@routes.endpoint("DELETE", "/<user_id>", "users:delete", status=204, errors=(404,))
def delete_user(user_id: str) -> None:
    """Remove a user with their roles, tokens and keypairs; what they made in projects stays"""
    users.delete(context(), user_id)


@routes.endpoint(
    "POST",
    "/<user_id>/password",
    "users:change_password",
    body=wrapped("user", ChangePassword),
    status=204,
    errors=(404, 429),
)
def change_password(body: Json, user_id: str) -> None:
    """Give oneself another password; all one's tokens are worth nothing from then on"""
    asked = body["user"]
    change = users.PasswordChange(
        asked["original_password"], asked["password"], request.remote_addr or ""
    )
    users.change_own_password(context(), caller(), user_id, change)


def _user(view: UserView) -> Json:
    user: Json = {
        "id": view.id,
        "name": view.name,
        "domain_id": DOMAIN["id"],
        "description": view.description,
        "enabled": view.enabled,
        "options": {},
        "password_expires_at": None,
        "links": links(f"users/{view.id}"),
    }
    if view.email is not None:
        user["email"] = view.email
    if view.default_project_id:
        user["default_project_id"] = view.default_project_id
    return user
