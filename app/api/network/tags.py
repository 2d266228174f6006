"""Tags of networks, subnets, ports and security groups."""

from typing import Any

from marshmallow import Schema, fields

from app.api.auth import caller, context
from app.api.compute.schema import Strict
from app.api.dialects import NETWORK
from app.api.network.common import short_list, text_field
from app.api.network.lists import Json
from app.api.routes import Routes
from app.services import tags

routes = Routes(NETWORK, "tags", "Words by which things are found again.", "/v2.0")

_KINDS = "networks, subnets, ports, 'security-groups', routers, floatingips"
_ALL = f"/<any({_KINDS}):collection>/<thing_id>/tags"
_ONE = f"{_ALL}/<tag>"


class TagsAnswer(Schema):
    """All tags of a thing."""

    tags = fields.List(fields.String(), required=True)


class TagsRequest(Strict):
    """The tags that a thing is to have."""

    tags = short_list(text_field(), required=True)


@routes.endpoint("GET", _ALL, "tags:show", returns=TagsAnswer, errors=(404,))
def list_tags(collection: str, thing_id: str) -> Any:
    """List a thing's tags"""
    return {"tags": tags.get(context(), caller(), collection, thing_id)}


@routes.endpoint("PUT", _ALL, "tags:change", body=TagsRequest, returns=TagsAnswer, errors=(404,))
def put_tags(body: Json, collection: str, thing_id: str) -> Any:
    """Give a thing these tags and no others"""
    return {"tags": tags.put(context(), caller(), collection, thing_id, body["tags"])}


@routes.endpoint("DELETE", _ALL, "tags:change", status=204, errors=(404,))
def clear_tags(collection: str, thing_id: str) -> None:
    """Take all tags from a thing"""
    tags.put(context(), caller(), collection, thing_id, [])


@routes.endpoint("GET", _ONE, "tags:show", status=204, errors=(404,))
def show_tag(collection: str, thing_id: str, tag: str) -> None:
    """Say whether a thing has a tag"""
    tags.has(context(), caller(), collection, thing_id, tag)


@routes.endpoint("PUT", _ONE, "tags:change", status=201, errors=(400, 404))
def add_tag(collection: str, thing_id: str, tag: str) -> None:
    """Give a thing one tag more"""
    tags.add(context(), caller(), collection, thing_id, tag)


@routes.endpoint("DELETE", _ONE, "tags:change", status=204, errors=(404,))
def remove_tag(collection: str, thing_id: str, tag: str) -> None:
    """Take a tag from a thing"""
    tags.remove(context(), caller(), collection, thing_id, tag)
