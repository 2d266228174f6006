"""The catalog as tables: services, their endpoints, the region. They follow from the settings and
from where the client came, so they can only be read."""

from typing import Any

from marshmallow import EXCLUDE, Schema, fields

from app.api.auth import context
from app.api.dialects import IDENTITY
from app.api.identity.catalog import catalog
from app.api.identity.schema import Json, Links, links, list_links
from app.api.routes import Routes
from tasks.errors import NotFound

routes = Routes(IDENTITY, "services", "What the catalog is made of.", "/v3")


class ServiceSchema(Schema):
    """A service."""

    id = fields.String(required=True)
    type = fields.String(required=True)
    name = fields.String(required=True)
    description = fields.String(required=True)
    enabled = fields.Boolean(required=True)
    links = fields.Nested(Links, required=True)


class ServiceAnswer(Schema):
    """A service, wrapped."""

    service = fields.Nested(ServiceSchema, required=True)


class ServicesAnswer(Schema):
    """Services."""

    services = fields.List(fields.Nested(ServiceSchema), required=True)
    links = fields.Nested(Links, required=True)


class EndpointSchema(Schema):
    """Where a service is."""

    id = fields.String(required=True)
    interface = fields.String(required=True)
    region = fields.String(required=True)
    region_id = fields.String(required=True)
    service_id = fields.String(required=True)
    url = fields.String(required=True)
    enabled = fields.Boolean(required=True)
    links = fields.Nested(Links, required=True)


class EndpointAnswer(Schema):
    """An endpoint, wrapped."""

    endpoint = fields.Nested(EndpointSchema, required=True)


class EndpointsAnswer(Schema):
    """Endpoints."""

    endpoints = fields.List(fields.Nested(EndpointSchema), required=True)
    links = fields.Nested(Links, required=True)


class RegionSchema(Schema):
    """A region."""

    id = fields.String(required=True)
    description = fields.String(required=True)
    parent_region_id = fields.String(allow_none=True, required=True)
    links = fields.Nested(Links, required=True)


class RegionAnswer(Schema):
    """The region, wrapped."""

    region = fields.Nested(RegionSchema, required=True)


class RegionsAnswer(Schema):
    """Regions: the one."""

    regions = fields.List(fields.Nested(RegionSchema), required=True)
    links = fields.Nested(Links, required=True)


class ServiceQuery(Schema):
    """Which services a list is to have. Unknown parameters are ignored."""

    class Meta:
        unknown = EXCLUDE

    type = fields.String()
    name = fields.String()


class EndpointQuery(Schema):
    """Which endpoints a list is to have. Unknown parameters are ignored."""

    class Meta:
        unknown = EXCLUDE

    interface = fields.String()
    service_id = fields.String()
    region_id = fields.String()


@routes.endpoint("GET", "/services", "services:list", query=ServiceQuery, returns=ServicesAnswer)
def list_services(query: Json) -> Any:
    """List the services"""
    return {"services": _having(_services(), query), "links": list_links("services")}


@routes.endpoint(
    "GET", "/services/<service_id>", "services:list", returns=ServiceAnswer, errors=(404,)
)
def show_service(service_id: str) -> Any:
    """Show a service"""
    return {"service": _one("service", service_id, _services())}


@routes.endpoint("GET", "/endpoints", "services:list", query=EndpointQuery, returns=EndpointsAnswer)
def list_endpoints(query: Json) -> Any:
    """List where the services are"""
    return {"endpoints": _having(_endpoints(), query), "links": list_links("endpoints")}


@routes.endpoint(
    "GET", "/endpoints/<endpoint_id>", "services:list", returns=EndpointAnswer, errors=(404,)
)
def show_endpoint(endpoint_id: str) -> Any:
    """Show where a service is"""
    return {"endpoint": _one("endpoint", endpoint_id, _endpoints())}


@routes.endpoint("GET", "/regions", "services:list", returns=RegionsAnswer)
def list_regions() -> Any:
    """List the regions: there is one"""
    return {"regions": _regions(), "links": list_links("regions")}


@routes.endpoint(
    "GET", "/regions/<region_id>", "services:list", returns=RegionAnswer, errors=(404,)
)
def show_region(region_id: str) -> Any:
    """Show the region"""
    return {"region": _one("region", region_id, _regions())}


def _services() -> list[Json]:
    return [
        {
            "id": service["id"],
            "type": service["type"],
            "name": service["name"],
            "description": "",
            "enabled": True,
            "links": links(f"services/{service['id']}"),
        }
        for service in catalog()
    ]


def _endpoints() -> list[Json]:
    return [
        {
            **endpoint,
            "service_id": service["id"],
            "enabled": True,
            "links": links(f"endpoints/{endpoint['id']}"),
        }
        for service in catalog()
        for endpoint in service["endpoints"]
    ]


def _regions() -> list[Json]:
    region = context().settings.region
    return [
        {
            "id": region,
            "description": "",
            "parent_region_id": None,
            "links": links(f"regions/{region}"),
        }
    ]


def _having(found: list[Json], wanted: Json) -> list[Json]:
    return [each for each in found if wanted.items() <= each.items()]


def _one(kind: str, wanted: str, found: list[Json]) -> Json:
    for each in found:
        if each["id"] == wanted:
            return each
    raise NotFound(f"Could not find {kind}: {wanted}.")
