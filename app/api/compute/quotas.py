"""Quotas: how many servers, processors and how much memory a project may have."""

from typing import Any

from marshmallow import Schema, fields, validate

from app.api.auth import caller, context
from app.api.compute.schema import Count, Flag, Json, Strict, answer, wrapped
from app.api.dialects import COMPUTE
from app.api.routes import Routes
from app.services import compute_quotas
from app.services.compute_quotas import COLUMNS
from app.services.keypairs import MAX_KEYPAIRS
from app.services.network_quotas import Quota
from app.services.server_metadata import MAX_ITEMS

routes = Routes(COMPUTE, "quotas", "What projects may have.", "/v2.1/os-quota-sets")

_MAX = 0x7FFFFFFF

#: What Nova names beside those and no setting changes; 0 for what cannot be had.
_FIXED = {
    "key_pairs": MAX_KEYPAIRS,
    "metadata_items": MAX_ITEMS,
    "injected_files": 0,
    "injected_file_content_bytes": 0,
    "injected_file_path_bytes": 0,
    "floating_ips": 0,
    # Network's quotas say how many there may be.
    "fixed_ips": -1,
    "security_groups": -1,
    "security_group_rules": -1,
}
_NAMES = (*COLUMNS, *_FIXED, "server_groups", "server_group_members")


class QuotaUse(Schema):
    """A limit, and what is used of it."""

    limit = fields.Integer(required=True)
    in_use = fields.Integer(required=True)
    reserved = fields.Integer(required=True)


class QuotaQuery(Schema):
    """Users have no limits of their own: theirs are their project's."""

    user_id = fields.String()


_LIMITS: dict[str, fields.Field[Any]] = {name: fields.Integer(required=True) for name in _NAMES}
_DETAILS: dict[str, fields.Field[Any]] = {
    name: fields.Nested(QuotaUse, required=True) for name in _NAMES
}
_ID: dict[str, fields.Field[Any]] = {"id": fields.String(required=True)}


def _quota_set(name: str, parts: dict[str, fields.Field[Any]]) -> type[Schema]:
    inner = Schema.from_dict(parts, name=name)
    return answer(f"{name}Answer", quota_set=fields.Nested(inner, required=True))


QuotaSet = _quota_set("QuotaSet", _ID | _LIMITS)
ChangedQuotaSet = _quota_set("ChangedQuotaSet", _LIMITS)
DetailedQuotaSet = _quota_set("DetailedQuotaSet", _ID | _DETAILS)
ChangeQuotaSet = Strict.from_dict(
    {name: Count(validate=validate.Range(min=-1, max=_MAX)) for name in COLUMNS}
    | {"force": Flag(), "tenant_id": fields.String()},
    name="ChangeQuotaSet",
)


@routes.endpoint(
    "GET", "/<project_id>", "quotas:show", query=QuotaQuery, returns=QuotaSet, errors=(404,)
)
def show_quota_set(_query: Json, project_id: str) -> Any:
    """Show a project's limits"""
    found = compute_quotas.get(context(), caller(), project_id)
    return {"quota_set": {"id": project_id, **_limits(found)}}


@routes.endpoint("GET", "/<project_id>/defaults", "quotas:defaults", returns=QuotaSet)
def show_defaults(project_id: str) -> Any:
    """Show the limits of a new project"""
    return {"quota_set": {"id": project_id, **compute_quotas.defaults(context()), **_fixed()}}


@routes.endpoint(
    "GET",
    "/<project_id>/detail",
    "quotas:show",
    query=QuotaQuery,
    returns=DetailedQuotaSet,
    errors=(404,),
)
def show_details(_query: Json, project_id: str) -> Any:
    """Show a project's limits, and what is used of them"""
    found = compute_quotas.get(context(), caller(), project_id)
    fixed = {name: Quota(limit, 0) for name, limit in _fixed().items()}
    details = {name: _detail(one) for name, one in {**fixed, **found}.items()}
    return {"quota_set": {"id": project_id, **details}}


@routes.endpoint(
    "PUT",
    "/<project_id>",
    "quotas:change",
    body=wrapped("quota_set", ChangeQuotaSet),
    returns=ChangedQuotaSet,
    errors=(404,),
)
def change_quota_set(body: Json, project_id: str) -> Any:
    """Change some of a project's limits: instances, cores, ram (MiB)"""
    asked = body["quota_set"]
    limits = {name: asked[name] for name in COLUMNS if name in asked}
    forced = asked.get("force", False)
    return {
        "quota_set": _limits(compute_quotas.change(context(), project_id, limits, forced=forced))
    }


@routes.endpoint("DELETE", "/<project_id>", "quotas:change", status=202, errors=(404,))
def reset_quota_set(project_id: str) -> None:
    """Give a project the limits of a new one"""
    compute_quotas.reset(context(), project_id)


def _fixed() -> dict[str, int]:
    """Return the limits that are the same for all projects."""
    settings = context().settings
    return {
        **_FIXED,
        "server_groups": settings.quota_server_groups,
        "server_group_members": settings.quota_server_group_members,
    }


def _limits(found: dict[str, Quota]) -> Json:
    return {**{name: one.limit for name, one in found.items()}, **_fixed()}


def _detail(one: Quota) -> Json:
    return {"limit": one.limit, "in_use": one.used, "reserved": 0}
