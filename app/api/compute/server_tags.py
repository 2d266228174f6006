"""Servers' tags, from 2.26 on."""

from typing import Any

from flask import Response
from marshmallow import fields

from app.api.auth import caller, context
from app.api.compute.schema import Json, Strict, answer
from app.api.compute.servers_schema import tags_field
from app.api.dialects import COMPUTE
from app.api.gates import Gate
from app.api.links import base_url
from app.api.routes import Routes
from app.services import server_tags

routes = Routes(
    COMPUTE, "server-tags", "Words to find servers by.", "/v2.1/servers/<server_id>/tags"
)

Tags = answer("ServerTagsAnswer", tags=fields.List(fields.String(), required=True))


class SetServerTags(Strict):
    """The tags that a server is to have."""

    tags = tags_field(required=True)


@routes.endpoint("GET", "", "server_tags:show", returns=Tags, errors=(404,), since=Gate.TAGS)
def list_server_tags(server_id: str) -> Any:
    """List a server's tags"""
    return {"tags": server_tags.get(context(), caller(), server_id)}


@routes.endpoint(
    "PUT",
    "",
    "server_tags:change",
    body=SetServerTags,
    returns=Tags,
    errors=(404, 409),
    since=Gate.TAGS,
)
def replace_server_tags(body: Json, server_id: str) -> Any:
    """Give a server these tags and no others"""
    return {"tags": server_tags.replace(context(), caller(), server_id, body["tags"])}


@routes.endpoint("DELETE", "", "server_tags:change", status=204, errors=(404, 409), since=Gate.TAGS)
def clear_server_tags(server_id: str) -> None:
    """Take all tags from a server"""
    server_tags.replace(context(), caller(), server_id, ())


@routes.endpoint("GET", "/<tag>", "server_tags:show", status=204, errors=(404,), since=Gate.TAGS)
def show_server_tag(server_id: str, tag: str) -> None:
    """Say whether a server has a tag"""
    server_tags.has(context(), caller(), server_id, tag)


@routes.endpoint(
    "PUT",
    "/<tag>",
    "server_tags:change",
    status=201,
    also={204: None},
    errors=(400, 404, 409),
    since=Gate.TAGS,
)
def add_server_tag(server_id: str, tag: str) -> Any:
    """Give a server one tag more: 201, or 204 if it has it already"""
    if not server_tags.add(context(), caller(), server_id, tag):
        return Response(status=204)
    where = f"{base_url()}/compute/v2.1/servers/{server_id}/tags/{tag}"
    return Response(status=201, headers={"Location": where})


@routes.endpoint(
    "DELETE", "/<tag>", "server_tags:change", status=204, errors=(404, 409), since=Gate.TAGS
)
def remove_server_tag(server_id: str, tag: str) -> None:
    """Take a tag from a server"""
    server_tags.remove(context(), caller(), server_id, tag)
