"""Quotas: what a project may have, and what projects without limits of their own."""

from collections.abc import Callable, Iterable
from typing import Any

from marshmallow import Schema, fields, validate

from app.api.auth import caller, context
from app.api.compute.schema import Count, Flag, Json, Strict, answer, wrapped
from app.api.dialects import COMPUTE
from app.api.gates import Gate
from app.api.routes import Routes
from app.api.versioned import Versioned, since, until
from app.services import compute_quotas
from app.services.compute_quotas import COLUMNS, OF_NETWORK
from app.services.network_quotas import Quota
from tasks.errors import NotFound, RequestError

routes = Routes(COMPUTE, "quotas", "What projects may have.", "/v2.1/os-quota-sets")
class_routes = Routes(
    COMPUTE, "quota_classes", "What new projects may have.", "/v2.1/os-quota-class-sets"
)

#: The one class that there is.
DEFAULT = "default"

_MAX = 0x7FFFFFFF

#: What Nova names beside those that are stored. Ports are counted, by network's quotas.
_FIXED = {"fixed_ips": -1}
_GROUPS = frozenset({"server_groups", "server_group_members"})
_NETWORKS = frozenset({*OF_NETWORK, "fixed_ips"})
_FILES = frozenset({"injected_files", "injected_file_content_bytes", "injected_file_path_bytes"})
_NAMES = (*COLUMNS, *OF_NETWORK, *_FIXED)


class QuotaUse(Schema):
    """A limit, and what is used of it."""

    limit = fields.Integer(required=True)
    in_use = fields.Integer(required=True)
    reserved = fields.Integer(required=True)


class QuotaQuery(Schema):
    """Users have no limits of their own: their project's are shown, and none can be set."""

    user_id = fields.String()


def _of_class(name: str, field: fields.Field[Any]) -> fields.Field[Any]:
    if name in _GROUPS:
        return since(Gate.QUOTA_CLASSES, field)
    if name in _NETWORKS:
        return until(Gate.QUOTA_CLASSES, field)
    return until(Gate.NO_PERSONALITY, field) if name in _FILES else field


#: Which of them are not told any more from a version on.
_GONE = {
    "floating_ips": Gate.NO_PROXIES,
    "fixed_ips": Gate.NO_PROXIES,
    "security_groups": Gate.NO_PROXIES,
    "security_group_rules": Gate.NO_PROXIES,
    **dict.fromkeys(_FILES, Gate.NO_PERSONALITY),
}


def _quota_fields(
    make: Callable[[], fields.Field[Any]], names: Iterable[str] = _NAMES
) -> dict[str, fields.Field[Any]]:
    return {name: until(_GONE[name], make()) if name in _GONE else make() for name in names}


_LIMITS = _quota_fields(lambda: fields.Integer(required=True))
_DETAILS = _quota_fields(lambda: fields.Nested(QuotaUse, required=True))
_ID: dict[str, fields.Field[Any]] = {"id": fields.String(required=True)}


def _quota_set(name: str, parts: dict[str, fields.Field[Any]]) -> type[Schema]:
    inner = Versioned.from_dict(parts, name=name)
    return answer(f"{name}Answer", quota_set=fields.Nested(inner, required=True))


QuotaSet = _quota_set("QuotaSet", _ID | _LIMITS)
ChangedQuotaSet = _quota_set("ChangedQuotaSet", _LIMITS)
DetailedQuotaSet = _quota_set("DetailedQuotaSet", _ID | _DETAILS)
_CHANGES = _quota_fields(lambda: Count(validate=validate.Range(min=-1, max=_MAX)), COLUMNS)
ChangeQuotaSet = Strict.from_dict(
    _CHANGES | {"force": Flag(), "tenant_id": fields.String()}, name="ChangeQuotaSet"
)


#: From 2.50 on a class has server groups, and nothing of networks; from 2.57 on nothing of files.
_CLASS_LIMITS: dict[str, fields.Field[Any]] = {
    name: _of_class(name, fields.Integer(required=True)) for name in _NAMES
}


def _quota_class(name: str, parts: dict[str, fields.Field[Any]]) -> type[Schema]:
    inner = Versioned.from_dict(parts, name=name)
    return answer(f"{name}Answer", quota_class_set=fields.Nested(inner, required=True))


QuotaClass = _quota_class("QuotaClass", _ID | _CLASS_LIMITS)
ChangedQuotaClass = _quota_class("ChangedQuotaClass", _CLASS_LIMITS)
ChangeQuotaClass = Strict.from_dict(_CHANGES, name="ChangeQuotaClass")


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
    return {"quota_set": {"id": project_id, **compute_quotas.defaults(context()), **_FIXED}}


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
    fixed = {name: Quota(limit, 0) for name, limit in _FIXED.items()}
    details = {name: _detail(one) for name, one in {**fixed, **found}.items()}
    return {"quota_set": {"id": project_id, **details}}


@routes.endpoint(
    "PUT",
    "/<project_id>",
    "quotas:change",
    body=wrapped("quota_set", ChangeQuotaSet),
    query=QuotaQuery,
    returns=ChangedQuotaSet,
    errors=(404,),
)
def change_quota_set(body: Json, query: Json, project_id: str) -> Any:
    """Change some of a project's limits; ram is in MiB"""
    _refuse_user(query)
    asked = body["quota_set"]
    limits = {name: asked[name] for name in COLUMNS if name in asked}
    forced = asked.get("force", False)
    return {
        "quota_set": _limits(compute_quotas.change(context(), project_id, limits, forced=forced))
    }


@routes.endpoint(
    "DELETE", "/<project_id>", "quotas:change", query=QuotaQuery, status=202, errors=(404,)
)
def reset_quota_set(query: Json, project_id: str) -> None:
    """Let a project have no limits of its own any more"""
    _refuse_user(query)
    compute_quotas.reset(context(), project_id)


@class_routes.endpoint("GET", "/<name>", "quotas:classes", returns=QuotaClass, errors=(404,))
def show_quota_class(name: str) -> Any:
    """Show the limits of projects without their own: the class `default`"""
    _check_class(name)
    found = compute_quotas.defaults(context())
    return {"quota_class_set": {"id": name, **found, **_FIXED}}


@class_routes.endpoint(
    "PUT",
    "/<name>",
    "quotas:classes",
    body=wrapped("quota_class_set", ChangeQuotaClass),
    returns=ChangedQuotaClass,
    errors=(404,),
)
def change_quota_class(body: Json, name: str) -> Any:
    """Change some of the limits of projects without their own, those that there are included"""
    _check_class(name)
    found = compute_quotas.change_defaults(context(), body["quota_class_set"])
    return {"quota_class_set": {**found, **_FIXED}}


def _check_class(name: str) -> None:
    if name != DEFAULT:
        raise NotFound(f"Quota class {name} could not be found; there is {DEFAULT}.")


def _refuse_user(query: Json) -> None:
    if "user_id" in query:
        raise RequestError("user_id: users have no limits of their own.")


def _limits(found: dict[str, Quota]) -> Json:
    return {**{name: one.limit for name, one in found.items()}, **_FIXED}


def _detail(one: Quota) -> Json:
    return {"limit": one.limit, "in_use": one.used, "reserved": 0}
