"""Flavors: the sizes on offer."""

import re
from collections.abc import Mapping
from typing import Any

from marshmallow import INCLUDE, Schema, ValidationError, fields, post_dump, validate

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
from app.api.gates import Gate
from app.api.links import next_page
from app.api.paging import PageQuery, read_page
from app.api.routes import Routes
from app.api.versioned import Versioned, since
from app.services import flavors
from app.services.flavors import FlavorView, NewFlavor
from app.services.pages import FLAVOR_ORDERS, FlavorFilter
from tasks.errors import RequestError

routes = Routes(COMPUTE, "flavors", "Sizes of servers.", "/v2.1/flavors")

#: The largest number that both databases keep in a column of whole numbers.
_MAX = 2**31 - 1
_SIZE = validate.Range(min=0, max=_MAX)


#: Characters, as in Nova.
MAX_DESCRIPTION = 65_535

#: MiB; Nova writes an empty text for none, until 2.75.
SWAP_FORMS = [{"type": "integer", "minimum": 1}, {"type": "string", "enum": [""]}]

#: What a key of an extra spec is made of.
_KEY = re.compile(r"[a-zA-Z0-9\-_:. ]{1,255}")


class FlavorBrief(Versioned):
    """A flavor's id and name."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    links = links_field()
    description = since(Gate.FLAVOR_DESCRIPTION, fields.String(allow_none=True))


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
    swap = fields.Raw(required=True, metadata={"oneOf": SWAP_FORMS})
    rxtx_factor = fields.Float(required=True)
    extra_specs = since(
        Gate.FLAVOR_SPECS, fields.Dict(keys=fields.String(), values=fields.String())
    )


def _description(**more: Any) -> fields.Field[Any]:
    return Text(allow_none=True, validate=validate.Length(max=MAX_DESCRIPTION), **more)


class CreateFlavor(Strict):
    """A flavor to be offered."""

    class Meta:
        include = {
            "OS-FLV-EXT-DATA:ephemeral": Count(validate=_SIZE),
            "os-flavor-access:is_public": Flag(),
        }

    name = Text(required=True, validate=name_like)
    ram = Count(required=True, validate=validate.Range(min=1, max=_MAX))
    vcpus = Count(required=True, validate=validate.Range(min=1, max=_MAX))
    disk = Count(required=True, validate=_SIZE)
    id = fields.Raw(allow_none=True)
    swap = Count(validate=_SIZE, metadata={"description": "MiB"})
    rxtx_factor = fields.Float(validate=validate.Equal(1.0))
    description = since(Gate.FLAVOR_DESCRIPTION, _description())


class UpdateFlavor(Strict):
    """What is to be different of a flavor."""

    description = _description(required=True)


class SpecsField(fields.Field[dict[str, str]]):
    """Extra specs: text by key. Numbers are taken as their text, as Nova takes them."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> dict[str, str]:
        if not isinstance(value, Mapping):
            raise ValidationError(f"{value!r:.60} is not of type 'object'.")
        return {read_key(key): read_value(key, given) for key, given in value.items()}


class OneSpec(Schema):
    """One extra spec: its key is the one in the path."""

    class Meta:
        unknown = INCLUDE

    @post_dump(pass_original=True)
    def _whole(self, data: Json, original: Json, **_: Any) -> Json:
        return original


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
_SPECS = {"type": "object", "additionalProperties": {"type": "string"}}
ExtraSpecs = answer("ExtraSpecsAnswer", extra_specs=fields.Dict(required=True, metadata=_SPECS))
SetExtraSpecs = Strict.from_dict(
    {"extra_specs": SpecsField(required=True, metadata=_SPECS)}, name="SetExtraSpecsRequest"
)


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
    """List a flavor's extra specs"""
    return {"extra_specs": flavors.extra_specs(context(), caller(), flavor_id)}


@routes.endpoint(
    "POST",
    "/<flavor_id>/os-extra_specs",
    "flavors:extra_specs:set",
    body=SetExtraSpecs,
    returns=ExtraSpecs,
    errors=(404,),
)
def set_extra_specs(body: Json, flavor_id: str) -> Any:
    """Add extra specs to a flavor, or change them; servers that have it keep what they had"""
    flavors.set_extra_specs(context(), flavor_id, body["extra_specs"])
    return body


@routes.endpoint(
    "GET", "/<flavor_id>/os-extra_specs/<key>", "flavors:show", returns=OneSpec, errors=(404,)
)
def show_extra_spec(flavor_id: str, key: str) -> Any:
    """Show one of a flavor's extra specs"""
    return {key: flavors.extra_spec(context(), caller(), flavor_id, key)}


@routes.endpoint(
    "PUT",
    "/<flavor_id>/os-extra_specs/<key>",
    "flavors:extra_specs:set",
    body=OneSpec,
    returns=OneSpec,
    errors=(404,),
)
def set_extra_spec(body: Json, flavor_id: str, key: str) -> Any:
    """Set one of a flavor's extra specs"""
    if list(body) != [key]:
        raise RequestError("Request body and URI mismatch: the body is the key and its value.")
    try:
        spec = {read_key(key): read_value(key, body[key])}
    except ValidationError as error:
        raise RequestError(
            f"Invalid input for field/attribute {key}: {error.messages[0]}"
        ) from None
    flavors.set_extra_specs(context(), flavor_id, spec)
    return spec


@routes.endpoint(
    "DELETE", "/<flavor_id>/os-extra_specs/<key>", "flavors:extra_specs:delete", errors=(400, 404)
)
def delete_extra_spec(flavor_id: str, key: str) -> None:
    """Take one of a flavor's extra specs away"""
    flavors.remove_extra_spec(context(), flavor_id, key)


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
        ephemeral_gib=request.get("OS-FLV-EXT-DATA:ephemeral", 0),
        swap_mib=request.get("swap", 0),
        is_public=request.get("os-flavor-access:is_public", True),
        description=request.get("description"),
    )
    return {"flavor": _full(flavors.create(context(), new))}


@routes.endpoint(
    "PUT",
    "/<flavor_id>",
    "flavors:update",
    body=wrapped("flavor", UpdateFlavor),
    returns=FlavorAnswer,
    errors=(404,),
    since=Gate.FLAVOR_DESCRIPTION,
)
def update_flavor(body: Json, flavor_id: str) -> Any:
    """Describe a flavor in other words"""
    found = flavors.describe(context(), flavor_id, body["flavor"]["description"])
    return {"flavor": _full(found)}


@routes.endpoint("DELETE", "/<flavor_id>", "flavors:delete", status=202, errors=(404,))
def delete_flavor(flavor_id: str) -> None:
    """Offer a flavor no more; servers that have it keep it"""
    flavors.delete(context(), flavor_id)


def read_key(key: object) -> str:
    """Return the key of an extra spec. Raises ValidationError."""
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise ValidationError(f"{key!r:.60} must be 1 to 255 letters, digits, blanks, or -_:. .")
    return key


def read_value(key: str, given: object) -> str:
    """Return the value of an extra spec. Raises ValidationError."""
    text = str(given) if isinstance(given, int | float) and not isinstance(given, bool) else given
    if not isinstance(text, str) or len(text) > 255:
        raise ValidationError(f"the value of {key!r:.60} must be text of at most 255 characters.")
    return text


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
    return {
        "id": view.id,
        "name": view.name,
        "links": links_of("flavors", view.id),
        "description": view.description,
    }


def _full(view: FlavorView) -> Json:
    return {
        **_brief(view),
        "ram": view.memory_mib,
        "vcpus": view.vcpus,
        "disk": view.root_gib,
        "swap": view.swap_mib or "",
        "rxtx_factor": 1.0,
        "OS-FLV-EXT-DATA:ephemeral": view.ephemeral_gib,
        "OS-FLV-DISABLED:disabled": False,
        "os-flavor-access:is_public": view.is_public,
        "extra_specs": view.extra_specs,
    }
