"""Application credentials: a user makes them for programs; each is for one project."""

from datetime import UTC, datetime
from typing import Any

from marshmallow import EXCLUDE, Schema, fields, validate

from app.api.auth import caller, context
from app.api.compute.schema import Flag, Strict, Text, wrapped
from app.api.dialects import IDENTITY
from app.api.identity.schema import (
    Json,
    Links,
    NullableText,
    account_name,
    links,
    list_links,
)
from app.api.identity.tokens_schema import DomainView
from app.api.routes import Routes
from app.api.times import micro_time
from app.services import application_credentials as credentials
from app.services import roles
from app.services.application_credentials import CredentialView, NewCredential
from tasks.errors import NotFound, RequestError

routes = Routes(
    IDENTITY,
    "application-credentials",
    "What programs log in with in a user's stead.",
    "/v3/users/<user_id>/application_credentials",
)


#: Later ones could not be told in another zone.
_LATEST = datetime(9999, 1, 1, tzinfo=UTC)


class CredentialRole(DomainView):
    """A role that whoever logs in with the credential has."""

    domain_id = fields.String(allow_none=True, required=True)


class CredentialSchema(Schema):
    """An application credential. Its secret is told once, when it is made."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    description = fields.String(required=True)
    project_id = fields.String(required=True)
    user_id = fields.String(required=True)
    roles = fields.List(fields.Nested(CredentialRole), required=True)
    unrestricted = fields.Boolean(required=True)
    expires_at = fields.String(allow_none=True, required=True)
    system = fields.String(allow_none=True, required=True)
    secret = fields.String()
    links = fields.Nested(Links, required=True)


class CredentialAnswer(Schema):
    """An application credential, wrapped."""

    application_credential = fields.Nested(CredentialSchema, required=True)


class CredentialsAnswer(Schema):
    """Application credentials."""

    application_credentials = fields.List(fields.Nested(CredentialSchema), required=True)
    links = fields.Nested(Links, required=True)


class RoleRef(Strict):
    """A role, by id or by name."""

    id = Text()
    name = Text()
    domain_id = Text(allow_none=True)


class CreateCredential(Strict):
    """An application credential to be made, for the project of the token."""

    name = account_name(255)
    secret = Text(allow_none=True, validate=validate.Length(min=1, max=1024))
    description = NullableText(255)
    roles = fields.List(fields.Nested(RoleRef), allow_none=True)
    expires_at = fields.AwareDateTime(
        default_timezone=UTC, allow_none=True, validate=validate.Range(max=_LATEST)
    )
    unrestricted = Flag(allow_none=True)
    access_rules = fields.List(
        fields.Raw(),
        allow_none=True,
        validate=validate.Length(max=0, error="access rules are not supported."),
    )


class CredentialQuery(Schema):
    """Which credentials a list is to have. Unknown parameters are ignored."""

    class Meta:
        unknown = EXCLUDE

    name = fields.String()


@routes.endpoint(
    "GET",
    "",
    "application_credentials:list",
    query=CredentialQuery,
    returns=CredentialsAnswer,
    errors=(404,),
)
def list_credentials(query: Json, user_id: str) -> Any:
    """List a user's application credentials: one's own, or for an administrator anybody's"""
    found = credentials.listed(context(), caller(), user_id, query.get("name"))
    path = f"users/{user_id}/application_credentials"
    return {"application_credentials": [_body(view) for view in found], "links": list_links(path)}


@routes.endpoint(
    "POST",
    "",
    "application_credentials:create",
    body=wrapped("application_credential", CreateCredential),
    returns=CredentialAnswer,
    status=201,
    errors=(404, 409),
)
def create_credential(body: Json, user_id: str) -> Any:
    """Make an application credential for the project of the token; its secret is told this once"""
    new = _read(body["application_credential"])
    view, secret = credentials.create(context(), caller(), user_id, new)
    return {"application_credential": {**_body(view), "secret": secret}}


@routes.endpoint(
    "GET",
    "/<credential_id>",
    "application_credentials:list",
    returns=CredentialAnswer,
    errors=(404,),
)
def show_credential(user_id: str, credential_id: str) -> Any:
    """Show an application credential, without its secret"""
    view = credentials.get(context(), caller(), user_id, credential_id)
    return {"application_credential": _body(view)}


@routes.endpoint(
    "DELETE",
    "/<credential_id>",
    "application_credentials:delete",
    status=204,
    errors=(404,),
)
def delete_credential(user_id: str, credential_id: str) -> None:
    """Remove an application credential; tokens that were given for it end"""
    credentials.delete(context(), caller(), user_id, credential_id)


def _read(asked: Json) -> NewCredential:
    return NewCredential(
        name=asked["name"],
        secret=asked.get("secret"),
        description=asked.get("description") or "",
        roles=tuple(map(_role, asked.get("roles") or [])),
        unrestricted=asked.get("unrestricted") or False,
        expires_at=asked.get("expires_at"),
    )


def _role(named: Json) -> str:
    """Return the name of a role. Raises RequestError."""
    try:
        if "id" in named:
            return roles.get(named["id"]).name
        return roles.by_name(named.get("name", "")).name
    except NotFound as error:
        raise RequestError(f"roles: {error.public}") from error


def _body(view: CredentialView) -> Json:
    return {
        "id": view.id,
        "name": view.name,
        "description": view.description,
        "project_id": view.project_id,
        "user_id": view.user_id,
        "roles": [
            {"id": roles.role_id(name), "name": name, "domain_id": None} for name in view.roles
        ],
        "unrestricted": view.unrestricted,
        "expires_at": micro_time(view.expires_at),
        "system": None,
        "links": links(f"users/{view.user_id}/application_credentials/{view.id}"),
    }
