"""Compute services: a worker on each hypervisor. Disabled ones get no new servers."""

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from app.api.auth import context
from app.api.compute.schema import (
    Flag,
    Json,
    Strict,
    Text,
    answer,
    name_like,
    read_uuid,
    small_number,
)
from app.api.dialects import COMPUTE
from app.api.gates import Gate
from app.api.routes import Routes
from app.api.times import bare_micro_time
from app.api.versioned import Changed, Versioned, since
from app.services import hypervisors, retiring
from app.services.hypervisors import HypervisorView
from tasks.errors import NotFound, RequestError

routes = Routes(
    COMPUTE, "compute-services", "The hypervisors' workers, for operators.", "/v2.1/os-services"
)

#: What Nova calls the service that runs on each hypervisor.
BINARY = "nova-compute"


class ServiceFilter(Schema):
    """Which services to list."""

    host = fields.String()
    binary = fields.String()


class ComputeServiceSchema(Versioned):
    """A service, whether it may have new servers, and whether it is heard of."""

    id = Changed(Gate.UUIDS, fields.Integer(), fields.String(), required=True)
    binary = fields.String(required=True)
    host = fields.String(required=True)
    zone = fields.String(required=True)
    status = fields.String(required=True)
    state = fields.String(required=True)
    updated_at = fields.String(required=True)
    disabled_reason = fields.String(required=True, allow_none=True)
    forced_down = since(Gate.FORCED_DOWN, fields.Boolean())


class ComputeServiceRef(Strict):
    """A service."""

    host = Text(required=True, validate=validate.Length(min=1, max=255))
    binary = Text(required=True, validate=validate.Length(min=1, max=255))


class ReasonedComputeServiceRef(ComputeServiceRef):
    """A service, and why it is disabled."""

    disabled_reason = Text(required=True, validate=name_like)


class ComputeServiceStatus(Schema):
    """What a service was made."""

    host = fields.String(required=True)
    binary = fields.String(required=True)
    status = fields.String(required=True)


class ReasonedComputeServiceStatus(ComputeServiceStatus):
    """What a service was made, and why."""

    disabled_reason = fields.String(required=True)


class ForcedComputeServiceRef(ComputeServiceRef):
    """A service, and whether it is down whatever is heard of it."""

    forced_down = Flag(required=True)


class ForcedComputeService(Schema):
    """A service, and what is said of it."""

    host = fields.String(required=True)
    binary = fields.String(required=True)
    forced_down = fields.Boolean(required=True)


class ChangeComputeService(Strict):
    """What is to be different of a service."""

    status = Text(validate=validate.OneOf(("enabled", "disabled")))
    disabled_reason = Text(validate=name_like)
    forced_down = Flag()

    @validates_schema
    def _check_whole(self, data: Json, **_: Any) -> None:
        if "disabled_reason" in data and data.get("status") != "disabled":
            raise ValidationError("is for the status `disabled` only.", "disabled_reason")
        if not data:
            raise ValidationError(
                "No updates were requested. Fields 'status' or 'forced_down' should be specified.",
                "status",
            )


Forced = answer(
    "ForcedComputeServiceAnswer", service=fields.Nested(ForcedComputeService, required=True)
)
Service = answer(
    "FullComputeServiceAnswer", service=fields.Nested(ComputeServiceSchema, required=True)
)
Services = answer(
    "ComputeServicesAnswer",
    services=fields.List(fields.Nested(ComputeServiceSchema), required=True),
)
Status = answer("ComputeServiceAnswer", service=fields.Nested(ComputeServiceStatus, required=True))
ReasonedStatus = answer(
    "ComputeServiceReasonAnswer", service=fields.Nested(ReasonedComputeServiceStatus, required=True)
)


@routes.endpoint("GET", "", "services:list", query=ServiceFilter, returns=Services)
def list_services(query: Json) -> Any:
    """List the hypervisors' workers"""
    views = hypervisors.listed(context())
    found = [_service(view) for view in views]
    return {"services": [each for each in found if _passes(each, query)]}


@routes.endpoint(
    "PUT",
    "/enable",
    "services:change",
    body=ComputeServiceRef,
    returns=Status,
    errors=(404,),
    until=Gate.UUIDS,
)
def enable_service(body: Json) -> Any:
    """Let a hypervisor have new servers again"""
    return _set(body, enabled=True)


@routes.endpoint(
    "PUT",
    "/disable",
    "services:change",
    body=ComputeServiceRef,
    returns=Status,
    errors=(404,),
    until=Gate.UUIDS,
)
def disable_service(body: Json) -> Any:
    """Let a hypervisor have no new servers; those that it has stay"""
    return _set(body, enabled=False)


@routes.endpoint(
    "PUT",
    "/disable-log-reason",
    "services:change",
    body=ReasonedComputeServiceRef,
    returns=ReasonedStatus,
    errors=(404,),
    until=Gate.UUIDS,
)
def disable_service_with_reason(body: Json) -> Any:
    """Let a hypervisor have no new servers, and say why"""
    return _set(body, enabled=False)


@routes.endpoint("DELETE", "/<service_id>", "services:delete", status=204, errors=(400, 404, 409))
def delete_service(service_id: str) -> None:
    """Forget a hypervisor that was given up and will never be back; its servers are ERROR

    Refused while it is heard of, and until it is given up.
    """
    if Gate.UUIDS.is_open:
        number: int | None = hypervisors.get(context(), read_uuid(service_id)).number
    else:
        number = small_number(service_id)
    if number is None:
        raise RequestError(f"service_id: {service_id} is no number.")
    retiring.forget_number(context(), number)


@routes.endpoint(
    "PUT",
    "/force-down",
    "services:change",
    body=ForcedComputeServiceRef,
    returns=Forced,
    errors=(404,),
    since=Gate.FORCED_DOWN,
    until=Gate.UUIDS,
)
def force_service_down(body: Json) -> Any:
    """Say that a hypervisor is down, whatever is heard of it; or no more"""
    _check_binary(body)
    hypervisors.force_down(context(), body["host"], forced=body["forced_down"])
    return {"service": body}


@routes.endpoint(
    "PUT",
    "/<service_id>",
    "services:change",
    body=ChangeComputeService,
    returns=Service,
    errors=(404,),
    since=Gate.UUIDS,
)
def change_service(body: Json, service_id: str) -> Any:
    """Let a hypervisor have new servers or not, and say that it is down or not"""
    status = body.get("status")
    view = hypervisors.change(
        context(),
        read_uuid(service_id),
        enabled=None if status is None else status == "enabled",
        reason=body.get("disabled_reason"),
        forced_down=body.get("forced_down"),
    )
    return {"service": _service(view)}


def _set(body: Json, *, enabled: bool) -> Json:
    _check_binary(body)
    hypervisors.set_enabled(
        context(), body["host"], enabled=enabled, reason=body.get("disabled_reason")
    )
    return {"service": {**body, "status": "enabled" if enabled else "disabled"}}


def _check_binary(body: Json) -> None:
    host, binary = body["host"], body["binary"]
    if binary != BINARY:
        raise NotFound(f"Could not find binary {binary} on host {host}.")


def _passes(service: Json, wanted: Mapping[str, str]) -> bool:
    return all(service[name] == value for name, value in wanted.items())


def _service(view: HypervisorView) -> Json:
    return {
        "id": view.id if Gate.UUIDS.is_open else view.number,
        "binary": BINARY,
        "host": view.name,
        "zone": view.zone,
        "status": "enabled" if view.enabled else "disabled",
        "state": "up" if view.alive else "down",
        "updated_at": bare_micro_time(view.last_seen_at),
        "disabled_reason": view.disabled_reason,
        "forced_down": view.forced_down,
    }
