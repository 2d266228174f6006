"""Quotas: how much of everything a project may have. -1 is without limit."""

from typing import Any

from marshmallow import Schema, fields, validate

from app.api.auth import caller, context
from app.api.compute.schema import Count, Flag, Strict, wrapped
from app.api.dialects import NETWORK
from app.api.network.lists import Json
from app.api.routes import Routes
from app.services import network_quotas
from app.services.network_quotas import COLUMNS, Quota

routes = Routes(NETWORK, "quotas", "What a project may have.", "/v2.0/quotas")

_MAX = 2**31 - 1

NetworkLimits = Schema.from_dict(
    {name: fields.Integer(required=True) for name in COLUMNS}, name="NetworkLimits"
)


class Detail(Schema):
    """A limit, and what is used of it."""

    limit = fields.Integer(required=True)
    used = fields.Integer(required=True)
    reserved = fields.Integer(required=True)


Details = Schema.from_dict(
    {name: fields.Nested(Detail, required=True) for name in COLUMNS}, name="QuotaDetails"
)


class QuotaAnswer(Schema):
    """A project's limits."""

    quota = fields.Nested(NetworkLimits, required=True)


class DetailsAnswer(Schema):
    """A project's limits, and what is used of them."""

    quota = fields.Nested(Details, required=True)


ChangeQuota = Strict.from_dict(
    {name: Count(validate=validate.Range(min=-1, max=_MAX)) for name in COLUMNS}
    # What OpenStack's client says along: whether a limit may be below what is used.
    | {"force": Flag(), "check_limit": Flag()},
    name="ChangeQuota",
)


@routes.endpoint("GET", "/<project_id>", "quotas:show", returns=QuotaAnswer, errors=(404,))
def show_quota(project_id: str) -> Any:
    """Show a project's limits"""
    return {"quota": _limits(network_quotas.get(context(), caller(), project_id))}


@routes.endpoint(
    "GET", "/<project_id>/details", "quotas:show", returns=DetailsAnswer, errors=(404,)
)
def show_details(project_id: str) -> Any:
    """Show a project's limits, and what is used of them"""
    return {"quota": _details(network_quotas.get(context(), caller(), project_id))}


@routes.endpoint(
    "GET", "/<project_id>/details.json", "quotas:show", returns=DetailsAnswer, errors=(404,)
)
def show_details_json(project_id: str) -> Any:
    """Show the same, as older clients ask for it"""
    return {"quota": _details(network_quotas.get(context(), caller(), project_id))}


@routes.endpoint(
    "PUT",
    "/<project_id>",
    "quotas:change",
    body=wrapped("quota", ChangeQuota),
    returns=QuotaAnswer,
    errors=(404,),
)
def change_quota(body: Json, project_id: str) -> Any:
    """Change some of a project's limits"""
    asked = body["quota"]
    limits = {name: asked[name] for name in COLUMNS if name in asked}
    found = network_quotas.change(
        context(), caller(), project_id, limits, checked=asked.get("check_limit", False)
    )
    return {"quota": _limits(found)}


@routes.endpoint("DELETE", "/<project_id>", "quotas:change", status=204, errors=(404,))
def reset_quota(project_id: str) -> None:
    """Give a project the limits of a new one"""
    network_quotas.reset(context(), caller(), project_id)


def _limits(quotas: dict[str, Quota]) -> Json:
    return {name: quota.limit for name, quota in quotas.items()}


def _details(quotas: dict[str, Quota]) -> Json:
    return {
        name: {"limit": quota.limit, "used": quota.used, "reserved": 0}
        for name, quota in quotas.items()
    }
