"""Fields and parts that several of identity's schemas share."""

from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from app.api.compute.schema import Flag, Text, name_like
from app.api.identity.domain import DOMAIN
from app.api.links import base_url
from app.services.pages import AccountFilter

Json = dict[str, Any]


class Links(Schema):
    """Where this is, and for lists where they go on."""

    class Meta:
        include = {"self": fields.String(required=True)}

    next = fields.String(allow_none=True)
    previous = fields.String(allow_none=True)


class AccountQuery(Schema):
    """Which users or projects a list is to have. Unknown parameters are ignored, as Keystone
    does."""

    class Meta:
        unknown = EXCLUDE

    name = fields.String()
    enabled = Flag()
    domain_id = fields.String()


def links(path: str) -> Json:
    """Return the link of a thing."""
    return {"self": f"{base_url()}/identity/v3/{path}"}


def list_links(path: str) -> Json:
    """Return the links of a list, which is always whole."""
    return {**links(path), "next": None, "previous": None}


def read_filter(query: Json) -> AccountFilter | None:
    """Return what a list is asked for; None if it is for what is in another domain."""
    if query.get("domain_id", DOMAIN["id"]) != DOMAIN["id"]:
        return None
    return AccountFilter(query.get("name"), query.get("enabled"))


class NullableText(Text):
    """Text that a client may also say nothing for."""

    def __init__(self, most: int, **more: Any) -> None:
        super().__init__(allow_none=True, validate=validate.Length(max=most), **more)


class DomainId(Text):
    """The one domain's id, where a client says in which domain a thing is to be."""

    def __init__(self, **more: Any) -> None:
        super().__init__(allow_none=True, validate=_is_the_domain, **more)


class NoOptions(fields.Dict):
    """Keystone's options of users and projects, of which we can honour none."""

    def __init__(self) -> None:
        super().__init__(allow_none=True, validate=_is_empty)


def account_name(most: int) -> Text:
    """Return the field for the name of a user or a project."""
    return Text(required=True, validate=[name_like, validate.Length(max=most)])


def _is_the_domain(value: str) -> None:
    if value != DOMAIN["id"]:
        raise ValidationError(f"there is no domain {value:.64}, only {DOMAIN['id']}.")


def _is_empty(value: Json) -> None:
    if value:
        raise ValidationError(f"{', '.join(map(str, value))}: not supported.")
