"""Network's version documents: what clients ask first, without a token."""

from typing import Any

from marshmallow import Schema, fields

from app.api.dialects import NETWORK
from app.api.links import LinkSchema, base_url
from app.api.routes import Routes

routes = Routes(NETWORK, "versions", "Which versions of the network API there are.")


class NetworkVersion(Schema):
    """One version."""

    id = fields.String(required=True)
    status = fields.String(required=True)
    links = fields.List(fields.Nested(LinkSchema), required=True)


class NetworkVersions(Schema):
    """All versions."""

    versions = fields.List(fields.Nested(NetworkVersion), required=True)


@routes.endpoint("GET", "/", "versions", returns=NetworkVersions)
def list_versions() -> Any:
    """List the versions of the network API"""
    links = [{"rel": "self", "href": f"{base_url()}/network/v2.0/"}]
    return {"versions": [{"id": "v2.0", "status": "CURRENT", "links": links}]}
