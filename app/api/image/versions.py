"""Image's version documents: what clients ask first, without a token."""

from typing import Any

from marshmallow import Schema, fields

from app.api.dialects import IMAGE
from app.api.links import LinkSchema, base_url
from app.api.routes import Routes

routes = Routes(IMAGE, "versions", "Which versions of the image API there are.")


class ImageVersion(Schema):
    """One version."""

    id = fields.String(required=True)
    status = fields.String(required=True)
    links = fields.List(fields.Nested(LinkSchema), required=True)


class ImageVersions(Schema):
    """All versions."""

    versions = fields.List(fields.Nested(ImageVersion), required=True)


def _versions() -> dict[str, Any]:
    links = [{"rel": "self", "href": f"{base_url()}/image/v2/"}]
    return {
        "versions": [
            {"id": "v2.1", "status": "CURRENT", "links": links},
            {"id": "v2.0", "status": "SUPPORTED", "links": links},
        ]
    }


@routes.endpoint("GET", "/", "versions", returns=ImageVersions, status=300)
def list_versions() -> Any:
    """List the versions of the image API"""
    return _versions()


@routes.endpoint("GET", "/versions", "versions", returns=ImageVersions)
def list_versions_by_name() -> Any:
    """List the versions of the image API"""
    return _versions()
