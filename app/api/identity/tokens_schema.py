"""What identity's token requests hold, and what their answers do."""

from typing import Any

from marshmallow import EXCLUDE, Schema, fields, validate


class _Lenient(Schema):
    """Login requests carry more than we look at, as other plugins of clients see fit."""

    class Meta:
        unknown = EXCLUDE


class DomainRef(_Lenient):
    """The one domain, by id or name."""

    id = fields.String()
    name = fields.String()


class UserName(_Lenient):
    """A user, by id or name."""

    id = fields.String()
    name = fields.String()
    domain = fields.Nested(DomainRef)


class UserRef(UserName):
    """Who logs in."""

    # Longer ones would only keep the hash function busy.
    password = fields.String(required=True, validate=validate.Length(max=1024))


class PasswordMethod(_Lenient):
    """Login by password."""

    user = fields.Nested(UserRef, required=True)


class TokenMethod(_Lenient):
    """Login by a token that one has."""

    id = fields.String(required=True)


class CredentialMethod(_Lenient):
    """Login by an application credential, by id, or by name and whose it is."""

    id = fields.String()
    name = fields.String()
    secret = fields.String(required=True, validate=validate.Length(max=1024))
    user = fields.Nested(UserName)


class IdentityPart(_Lenient):
    """Who one says one is."""

    methods = fields.List(fields.String(), required=True)
    password = fields.Nested(PasswordMethod)
    token = fields.Nested(TokenMethod)
    application_credential = fields.Nested(CredentialMethod)


class ProjectRef(_Lenient):
    """A project, by id, or by name and domain."""

    id = fields.String()
    name = fields.String()
    domain = fields.Nested(DomainRef)


class ScopeObject(_Lenient):
    """What the token is wanted for."""

    project = fields.Nested(ProjectRef)
    unscoped = fields.Raw()
    system = fields.Raw()
    domain = fields.Raw()


class ScopeField(fields.Nested):
    """An object, or the word `unscoped`."""

    def __init__(self) -> None:
        super().__init__(ScopeObject)

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if value == "unscoped":
            value = {"unscoped": {}}
        return super()._deserialize(value, *args, **kwargs)


class AuthPart(_Lenient):
    """Who, and for what."""

    identity = fields.Nested(IdentityPart, required=True)
    scope = ScopeField()


class AuthRequest(_Lenient):
    """A login."""

    auth = fields.Nested(AuthPart, required=True)


class NoCatalogQuery(_Lenient):
    """`?nocatalog` leaves the catalog out."""

    nocatalog = fields.String()


class DomainView(Schema):
    """The domain."""

    id = fields.String(required=True)
    name = fields.String(required=True)


class OwnedView(DomainView):
    """A user or a project in its domain."""

    domain = fields.Nested(DomainView, required=True)


class UserInToken(OwnedView):
    """The token's user."""

    password_expires_at = fields.String(allow_none=True)


class EndpointView(Schema):
    """Where a service is."""

    id = fields.String(required=True)
    interface = fields.String(required=True)
    region = fields.String(required=True)
    region_id = fields.String(required=True)
    url = fields.String(required=True)


class ServiceView(Schema):
    """A service of the catalog."""

    id = fields.String(required=True)
    type = fields.String(required=True)
    name = fields.String(required=True)
    endpoints = fields.List(fields.Nested(EndpointView), required=True)


class CredentialInToken(DomainView):
    """The application credential that the token was given for."""

    restricted = fields.Boolean(required=True)


class TokenBody(Schema):
    """What a token stands for."""

    methods = fields.List(fields.String(), required=True)
    user = fields.Nested(UserInToken, required=True)
    audit_ids = fields.List(fields.String(), required=True)
    issued_at = fields.String(required=True)
    expires_at = fields.String(required=True)
    project = fields.Nested(OwnedView)
    is_domain = fields.Boolean()
    application_credential = fields.Nested(CredentialInToken)
    roles = fields.List(fields.Nested(DomainView))
    catalog = fields.List(fields.Nested(ServiceView))


class TokenAnswer(Schema):
    """A token's meaning, wrapped. The token itself is in the header X-Subject-Token."""

    token = fields.Nested(TokenBody, required=True)


class CatalogAnswer(Schema):
    """The services, and where they are."""

    catalog = fields.List(fields.Nested(ServiceView), required=True)
    links = fields.Dict(keys=fields.String())
