"""Servers' metadata: all of it, or one item."""

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields

from app.api.auth import caller, context
from app.api.compute.schema import Json, MetadataField, Strict, answer
from app.api.dialects import COMPUTE
from app.api.routes import Routes
from app.services import server_metadata
from tasks.errors import RequestError

routes = Routes(
    COMPUTE, "metadata", "Owners' notes on servers.", "/v2.1/servers/<server_id>/metadata"
)

_ITEMS = {"type": "object", "additionalProperties": {"type": "string"}}


class OneItem(MetadataField):
    """One item: its key is the one in the path."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> dict[str, str]:
        items = super()._deserialize(value, *args, **kwargs)
        if len(items) != 1:
            raise ValidationError("must be one item.")
        return items


class SetMetadata(Strict):
    """Items."""

    metadata = MetadataField(required=True, metadata=_ITEMS)


class SetItem(Strict):
    """An item."""

    meta = OneItem(required=True, metadata=_ITEMS)


Metadata: type[Schema] = answer(
    "MetadataAnswer", metadata=fields.Dict(required=True, metadata=_ITEMS)
)
Item: type[Schema] = answer("MetadataItemAnswer", meta=fields.Dict(required=True, metadata=_ITEMS))


@routes.endpoint("GET", "", "metadata:show", returns=Metadata, errors=(404,))
def show_metadata(server_id: str) -> Any:
    """Show a server's metadata"""
    return {"metadata": server_metadata.get(context(), caller(), server_id)}


@routes.endpoint(
    "POST", "", "metadata:change", body=SetMetadata, returns=Metadata, errors=(404, 409)
)
def merge_metadata(body: Json, server_id: str) -> Any:
    """Add items to a server's metadata, or change them

    The guest is told only of what there was when it was made.
    """
    items = server_metadata.merge(context(), caller(), server_id, body["metadata"])
    return {"metadata": items}


@routes.endpoint(
    "PUT", "", "metadata:change", body=SetMetadata, returns=Metadata, errors=(404, 409)
)
def replace_metadata(body: Json, server_id: str) -> Any:
    """Replace a server's metadata"""
    items = server_metadata.replace(context(), caller(), server_id, body["metadata"])
    return {"metadata": items}


@routes.endpoint("GET", "/<key>", "metadata:show", returns=Item, errors=(404,))
def show_item(server_id: str, key: str) -> Any:
    """Show an item of a server's metadata"""
    return {"meta": {key: server_metadata.get_item(context(), caller(), server_id, key)}}


@routes.endpoint("PUT", "/<key>", "metadata:change", body=SetItem, returns=Item, errors=(404, 409))
def set_item(body: Json, server_id: str, key: str) -> Any:
    """Add an item to a server's metadata, or change it"""
    item: Mapping[str, str] = body["meta"]
    if list(item) != [key]:
        raise RequestError("Request body and URI mismatch")
    server_metadata.merge(context(), caller(), server_id, item)
    return body


@routes.endpoint("DELETE", "/<key>", "metadata:change", status=204, errors=(400, 404, 409))
def remove_item(server_id: str, key: str) -> None:
    """Take an item of a server's metadata away"""
    server_metadata.remove(context(), caller(), server_id, key)
