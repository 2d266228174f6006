"""Identity's version documents: what clients ask first, without a token."""

from typing import Any

from marshmallow import Schema, fields

from app.api.dialects import IDENTITY
from app.api.links import LinkSchema, base_url
from app.api.routes import Routes

routes = Routes(IDENTITY, "versions", "Which versions of the identity API there are.")


class IdentityVersion(Schema):
    """One version."""

    class Meta:
        include = {"media-types": fields.List(fields.Dict(keys=fields.String()))}

    id = fields.String(required=True)
    status = fields.String(required=True)
    updated = fields.String(required=True)
    links = fields.List(fields.Nested(LinkSchema), required=True)


class IdentityVersionList(Schema):
    """All versions."""

    values = fields.List(fields.Nested(IdentityVersion), required=True)


class IdentityVersions(Schema):
    """All versions, wrapped."""

    versions = fields.Nested(IdentityVersionList, required=True)


class IdentityVersionBody(Schema):
    """One version, wrapped."""

    version = fields.Nested(IdentityVersion, required=True)


def _v3() -> dict[str, Any]:
    return {
        "id": "v3.14",
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": f"{base_url()}/identity/v3/"}],
        "media-types": [
            {
                "base": "application/json",
                "type": "application/vnd.openstack.identity-v3+json",
            }
        ],
    }


@routes.endpoint("GET", "/", "versions", returns=IdentityVersions, status=300)
def list_versions() -> Any:
    """List the versions of the identity API"""
    return {"versions": {"values": [_v3()]}}


@routes.endpoint("GET", "/v3/", "versions", returns=IdentityVersionBody)
def show_version() -> Any:
    """Show version 3 of the identity API"""
    return {"version": _v3()}
