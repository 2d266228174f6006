"""Compute's version documents: what clients ask first, without a token."""

from typing import Any

from marshmallow import Schema, fields

from app.api.dialects import COMPUTE
from app.api.links import LinkSchema, base_url
from app.api.microversions import MAXIMUM, MINIMUM, text
from app.api.routes import Routes

routes = Routes(COMPUTE, "versions", "Which versions of the compute API there are.")


class ComputeVersion(Schema):
    """One version."""

    class Meta:
        include = {"media-types": fields.List(fields.Dict(keys=fields.String()))}

    id = fields.String(required=True)
    status = fields.String(required=True)
    version = fields.String(required=True)
    min_version = fields.String(required=True)
    updated = fields.String(required=True)
    links = fields.List(fields.Nested(LinkSchema), required=True)


class ComputeVersions(Schema):
    """All versions."""

    versions = fields.List(fields.Nested(ComputeVersion), required=True)


class ComputeVersionBody(Schema):
    """One version, wrapped."""

    version = fields.Nested(ComputeVersion, required=True)


def _v20() -> dict[str, Any]:
    """Listed because strict clients want it first. It has no routes."""
    return {
        "id": "v2.0",
        "status": "DEPRECATED",
        "version": "",
        "min_version": "",
        "updated": "2011-01-21T11:33:21Z",
        "links": [{"rel": "self", "href": f"{base_url()}/compute/v2/"}],
    }


def _v21() -> dict[str, Any]:
    return {
        "id": "v2.1",
        "status": "CURRENT",
        "version": text(MAXIMUM),
        "min_version": text(MINIMUM),
        "updated": "2013-07-23T11:33:21Z",
        "links": [{"rel": "self", "href": f"{base_url()}/compute/v2.1/"}],
    }


def _with_media_types(version: dict[str, Any]) -> dict[str, Any]:
    kind = f"application/vnd.openstack.compute+json;version={version['id'][1:]}"
    return {**version, "media-types": [{"base": "application/json", "type": kind}]}


@routes.endpoint("GET", "/", "versions", returns=ComputeVersions)
def list_versions() -> Any:
    """List the versions of the compute API"""
    return {"versions": [_v20(), _v21()]}


@routes.endpoint("GET", "/v2/", "versions", returns=ComputeVersionBody)
def show_v20() -> Any:
    """Show version 2.0 of the compute API"""
    return {"version": _with_media_types(_v20())}


@routes.endpoint("GET", "/v2.1/", "versions", returns=ComputeVersionBody)
def show_v21() -> Any:
    """Show version 2.1 of the compute API"""
    return {"version": _with_media_types(_v21())}
