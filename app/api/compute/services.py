"""Compute services: a worker on each hypervisor. Disabled ones get no new servers."""

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, fields, validate

from app.api.auth import context
from app.api.compute.schema import Json, Strict, Text, answer, name_like, small_number
from app.api.dialects import COMPUTE
from app.api.routes import Routes
from app.api.times import bare_micro_time
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


class ComputeServiceSchema(Schema):
    """A service, whether it may have new servers, and whether it is heard of."""

    id = fields.Integer(required=True)
    binary = fields.String(required=True)
    host = fields.String(required=True)
    zone = fields.String(required=True)
    status = fields.String(required=True)
    state = fields.String(required=True)
    updated_at = fields.String(required=True)
    disabled_reason = fields.String(required=True, allow_none=True)


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
    "PUT", "/enable", "services:change", body=ComputeServiceRef, returns=Status, errors=(404,)
)
def enable_service(body: Json) -> Any:
    """Let a hypervisor have new servers again"""
    return _set(body, enabled=True)


@routes.endpoint(
    "PUT", "/disable", "services:change", body=ComputeServiceRef, returns=Status, errors=(404,)
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
)
def disable_service_with_reason(body: Json) -> Any:
    """Let a hypervisor have no new servers, and say why"""
    return _set(body, enabled=False)


@routes.endpoint("DELETE", "/<service_id>", "services:delete", status=204, errors=(400, 404, 409))
def delete_service(service_id: str) -> None:
    """Forget a hypervisor that was given up and will never be back; its servers are ERROR

    Refused while it is heard of, and until it is given up.
    """
    number = small_number(service_id)
    if number is None:
        raise RequestError(f"service_id: {service_id} is no number.")
    retiring.forget_number(context(), number)


def _set(body: Json, *, enabled: bool) -> Json:
    host, binary = body["host"], body["binary"]
    if binary != BINARY:
        raise NotFound(f"Could not find binary {binary} on host {host}.")
    hypervisors.set_enabled(context(), host, enabled=enabled, reason=body.get("disabled_reason"))
    return {"service": {**body, "status": "enabled" if enabled else "disabled"}}


def _passes(service: Json, wanted: Mapping[str, str]) -> bool:
    return all(service[name] == value for name, value in wanted.items())


def _service(view: HypervisorView) -> Json:
    return {
        "id": view.number,
        "binary": BINARY,
        "host": view.name,
        "zone": view.zone,
        "status": "enabled" if view.enabled else "disabled",
        "state": "up" if view.alive else "down",
        "updated_at": bare_micro_time(view.last_seen_at),
        "disabled_reason": view.disabled_reason,
    }
