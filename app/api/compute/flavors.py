"""Flavors: the sizes on offer."""

from typing import Any

from marshmallow import Schema, fields, validate

from app.api.auth import caller, context
from app.api.compute.schema import (
    Count,
    Flag,
    Json,
    Strict,
    Text,
    answer,
    links_field,
    links_of,
    name_like,
    wrapped,
)
from app.api.dialects import COMPUTE
from app.api.links import next_page
from app.api.paging import PageQuery, read_page
from app.api.routes import Routes
from app.services import flavors
from app.services.flavors import FlavorView, NewFlavor
from app.services.pages import FLAVOR_ORDERS, FlavorFilter
from tasks.errors import RequestError

routes = Routes(COMPUTE, "flavors", "Sizes of servers.", "/v2.1/flavors")

#: The largest number that both databases keep in a column of whole numbers.
_MAX = 2**31 - 1


class FlavorBrief(Schema):
    """A flavor's id and name."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    links = links_field()


class FlavorSchema(FlavorBrief):
    """A flavor in full."""

    class Meta:
        include = {
            "OS-FLV-EXT-DATA:ephemeral": fields.Integer(required=True),
            "OS-FLV-DISABLED:disabled": fields.Boolean(required=True),
            "os-flavor-access:is_public": fields.Boolean(required=True),
        }

    ram = fields.Integer(required=True)
    vcpus = fields.Integer(required=True)
    disk = fields.Integer(required=True)
    swap = fields.String(required=True)
    rxtx_factor = fields.Float(required=True)


class CreateFlavor(Strict):
    """A flavor to be offered. Swap and ephemeral disks cannot be had yet."""

    class Meta:
        include = {
            "OS-FLV-EXT-DATA:ephemeral": Count(validate=validate.Equal(0)),
            "os-flavor-access:is_public": Flag(),
        }

    name = Text(required=True, validate=name_like)
    ram = Count(required=True, validate=validate.Range(min=1, max=_MAX))
    vcpus = Count(required=True, validate=validate.Range(min=1, max=_MAX))
    disk = Count(required=True, validate=validate.Range(min=0, max=_MAX))
    id = fields.Raw(allow_none=True)
    swap = Count(validate=validate.Equal(0))
    rxtx_factor = fields.Float(validate=validate.Equal(1.0))


class FlavorQuery(PageQuery):
    """Which flavors a list is to have."""

    is_public = fields.String(metadata={"description": "None (both kinds), True or False"})
    minDisk = fields.Integer(validate=validate.Range(min=0, max=_MAX))  # noqa: N815
    minRam = fields.Integer(validate=validate.Range(min=0, max=_MAX))  # noqa: N815


FlavorAnswer = answer("FlavorAnswer", flavor=fields.Nested(FlavorSchema, required=True))
Flavors = answer(
    "FlavorsAnswer",
    flavors=fields.List(fields.Nested(FlavorBrief), required=True),
    flavors_links=links_field(required=False),
)
FlavorsDetail = answer(
    "FlavorsDetailAnswer",
    flavors=fields.List(fields.Nested(FlavorSchema), required=True),
    flavors_links=links_field(required=False),
)
ExtraSpecs = answer("ExtraSpecsAnswer", extra_specs=fields.Dict(required=True))


@routes.endpoint("GET", "", "flavors:list", query=FlavorQuery, returns=Flavors)
def list_flavors(query: Json) -> Any:
    """List flavors"""
    found = _list(query)
    return _page(query, found, [_brief(view) for view in found])


@routes.endpoint("GET", "/detail", "flavors:list", query=FlavorQuery, returns=FlavorsDetail)
def list_flavors_detail(query: Json) -> Any:
    """List flavors in full"""
    found = _list(query)
    return _page(query, found, [_full(view) for view in found])


@routes.endpoint("GET", "/<flavor_id>", "flavors:show", returns=FlavorAnswer, errors=(404,))
def show_flavor(flavor_id: str) -> Any:
    """Show a flavor"""
    return {"flavor": _full(flavors.get(context(), caller(), flavor_id))}


@routes.endpoint(
    "GET", "/<flavor_id>/os-extra_specs", "flavors:show", returns=ExtraSpecs, errors=(404,)
)
def list_extra_specs(flavor_id: str) -> Any:
    """List a flavor's extra specs: none has any yet"""
    flavors.get(context(), caller(), flavor_id)
    return {"extra_specs": {}}


@routes.endpoint(
    "POST",
    "",
    "flavors:create",
    body=wrapped("flavor", CreateFlavor),
    returns=FlavorAnswer,
    errors=(409,),
)
def create_flavor(body: Json) -> Any:
    """Offer a flavor"""
    request = body["flavor"]
    new = NewFlavor(
        id=_read_id(request.get("id")),
        name=request["name"],
        vcpus=request["vcpus"],
        memory_mib=request["ram"],
        root_gib=request["disk"],
        is_public=request.get("os-flavor-access:is_public", True),
    )
    return {"flavor": _full(flavors.create(context(), new))}


@routes.endpoint("DELETE", "/<flavor_id>", "flavors:delete", status=202, errors=(404,))
def delete_flavor(flavor_id: str) -> None:
    """Offer a flavor no more; servers that have it keep it"""
    flavors.delete(context(), flavor_id)


def _read_id(given: object) -> str | None:
    if given is None or given == "auto":
        return None
    text = str(given)
    if isinstance(given, bool | float | list | dict) or not text.strip() or len(text) > 255:
        raise RequestError("Invalid input for field/attribute flavor.id: must be text or a number.")
    return text


def _list(query: Json) -> list[FlavorView]:
    word = query.get("is_public", "True")
    wanted = FlavorFilter(
        is_public=None if word.lower() == "none" else word in Flag.truthy,
        min_root_gib=query.get("minDisk", 0),
        min_memory_mib=query.get("minRam", 0),
    )
    return flavors.listed(context(), caller(), wanted, read_page(query, FLAVOR_ORDERS))


def _page(query: Json, found: list[FlavorView], bodies: list[Json]) -> Json:
    body: Json = {"flavors": bodies}
    if found and len(found) == read_page(query, FLAVOR_ORDERS).limit:
        body["flavors_links"] = [{"rel": "next", "href": next_page(found[-1].id)}]
    return body


def _brief(view: FlavorView) -> Json:
    return {"id": view.id, "name": view.name, "links": links_of("flavors", view.id)}


def _full(view: FlavorView) -> Json:
    return {
        **_brief(view),
        "ram": view.memory_mib,
        "vcpus": view.vcpus,
        "disk": view.root_gib,
        # An empty text and not 0: Nova's way.
        "swap": "",
        "rxtx_factor": 1.0,
        "OS-FLV-EXT-DATA:ephemeral": 0,
        "OS-FLV-DISABLED:disabled": False,
        "os-flavor-access:is_public": view.is_public,
    }
