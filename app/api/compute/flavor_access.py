"""Which projects may use a private flavor."""

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from app.api.auth import context
from app.api.compute.schema import Json, Strict, Text, answer
from app.api.dialects import COMPUTE
from app.api.routes import Routes
from app.services import flavor_access

routes = Routes(COMPUTE, "flavor_access", "Who may use a private flavor.", "/v2.1/flavors")


class FlavorAccessSchema(Schema):
    """That a project may use a flavor."""

    flavor_id = fields.String(required=True)
    tenant_id = fields.String(required=True)


class TenantRef(Strict):
    """A project."""

    tenant = Text(required=True, validate=validate.Length(min=1, max=255))


class FlavorAction(Strict):
    """One of the two."""

    addTenantAccess = fields.Nested(TenantRef)  # noqa: N815
    removeTenantAccess = fields.Nested(TenantRef)  # noqa: N815

    @validates_schema
    def _check_one(self, data: Mapping[str, Any], **_: Any) -> None:
        if len(data) != 1:
            raise ValidationError("must be one, and only one.", "addTenantAccess")


FlavorAccess = answer(
    "FlavorAccessAnswer",
    flavor_access=fields.List(fields.Nested(FlavorAccessSchema), required=True),
)


@routes.endpoint(
    "GET",
    "/<flavor_id>/os-flavor-access",
    "flavors:access:list",
    returns=FlavorAccess,
    errors=(404,),
)
def list_flavor_access(flavor_id: str) -> Any:
    """List the projects that may use a private flavor"""
    return _body(flavor_id, flavor_access.listed(context(), flavor_id))


@routes.endpoint(
    "POST",
    "/<flavor_id>/action",
    "flavors:access:change",
    body=FlavorAction,
    returns=FlavorAccess,
    errors=(404, 409),
)
def change_flavor_access(body: Json, flavor_id: str) -> Any:
    """Let a project use a private flavor, or no more"""
    ((action, asked),) = body.items()
    do = flavor_access.give if action == "addTenantAccess" else flavor_access.take
    return _body(flavor_id, do(context(), flavor_id, asked["tenant"]))


def _body(flavor_id: str, project_ids: list[str]) -> Json:
    return {"flavor_access": [{"flavor_id": flavor_id, "tenant_id": each} for each in project_ids]}
