"""Domains: there is one."""

from typing import Any

from marshmallow import EXCLUDE, Schema, fields

from app.api.compute.schema import Flag
from app.api.dialects import IDENTITY
from app.api.identity.domain import DOMAIN
from app.api.identity.schema import Json, Links, links, list_links
from app.api.routes import Routes
from tasks.errors import NotFound

routes = Routes(IDENTITY, "domains", "Domains: there is one.", "/v3")


class DomainSchema(Schema):
    """The domain."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    description = fields.String(required=True)
    enabled = fields.Boolean(required=True)
    options = fields.Dict(required=True)
    tags = fields.List(fields.String(), required=True)
    links = fields.Nested(Links, required=True)


class DomainAnswer(Schema):
    """The domain, wrapped."""

    domain = fields.Nested(DomainSchema, required=True)


class DomainsAnswer(Schema):
    """Domains: the one."""

    domains = fields.List(fields.Nested(DomainSchema), required=True)
    links = fields.Nested(Links, required=True)


class DomainQuery(Schema):
    """Which domains a list is to have. Unknown parameters are ignored."""

    class Meta:
        unknown = EXCLUDE

    name = fields.String()
    enabled = Flag()


@routes.endpoint("GET", "/auth/domains", "domains:list", returns=DomainsAnswer)
def list_own_domains() -> Any:
    """List the domains that one can see: there is one"""
    return {"domains": [_domain()], "links": list_links("auth/domains")}


@routes.endpoint("GET", "/domains", "domains:list", query=DomainQuery, returns=DomainsAnswer)
def list_domains(query: Json) -> Any:
    """List the domains: there is one"""
    is_wanted = query.get("name", DOMAIN["name"]) == DOMAIN["name"] and query.get("enabled", True)
    return {"domains": [_domain()] if is_wanted else [], "links": list_links("domains")}


@routes.endpoint("GET", "/domains/<domain_id>", "domains:list", returns=DomainAnswer, errors=(404,))
def show_domain(domain_id: str) -> Any:
    """Show the domain"""
    if domain_id != DOMAIN["id"]:
        raise NotFound(f"Could not find domain: {domain_id}.")
    return {"domain": _domain()}


def _domain() -> Json:
    return {
        **DOMAIN,
        "description": "",
        "enabled": True,
        "options": {},
        "tags": [],
        "links": links(f"domains/{DOMAIN['id']}"),
    }
