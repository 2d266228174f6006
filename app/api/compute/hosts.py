"""Hosts as Nova's oldest administrators' API shows them: what each has, and who holds it."""

from collections.abc import Mapping
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate, validates_schema
from werkzeug import exceptions

from app.api.auth import context
from app.api.compute.schema import Json, Strict, Text, answer
from app.api.dialects import COMPUTE
from app.api.gates import Gate
from app.api.routes import Routes
from app.services import hypervisors
from app.services.hypervisors import HostResources

routes = Routes(COMPUTE, "hosts", "Hosts, and who holds what of them.", "/v2.1/os-hosts")

#: What Nova calls the service of a hypervisor here.
SERVICE = "compute"

_WORDS = ("enable", "disable")


class HostFilter(Schema):
    """Which hosts to list. What is unknown is ignored."""

    class Meta:
        unknown = EXCLUDE

    service = fields.String()
    zone = fields.String()


class ComputeHostSchema(Schema):
    """A host, by its name."""

    host_name = fields.String(required=True)
    service = fields.String(required=True)
    zone = fields.String(required=True)


class HostResource(Schema):
    """What there is in all, what is held now, or what a project holds."""

    host = fields.String(required=True)
    project = fields.String(required=True)
    cpu = fields.Integer(required=True)
    memory_mb = fields.Integer(required=True)
    disk_gb = fields.Integer(required=True)


class HostPart(Schema):
    """One of them, wrapped."""

    resource = fields.Nested(HostResource, required=True)


class UpdateHost(Strict):
    """What is to be different."""

    status = Text(validate=validate.OneOf(_WORDS))
    maintenance_mode = Text(validate=validate.OneOf(_WORDS))

    @validates_schema
    def _check_any(self, data: Mapping[str, Any], **_: Any) -> None:
        if not data:
            raise ValidationError("must hold status, maintenance_mode or both.", "status")


Hosts = answer(
    "ComputeHostsAnswer", hosts=fields.List(fields.Nested(ComputeHostSchema), required=True)
)
Host = answer("ComputeHostAnswer", host=fields.List(fields.Nested(HostPart), required=True))


@routes.endpoint("GET", "", "hosts:list", query=HostFilter, returns=Hosts, until=Gate.NO_HOSTS)
def list_hosts(query: Json) -> Any:
    """List hosts"""
    found = [
        {"host_name": view.name, "service": SERVICE, "zone": view.zone}
        for view in hypervisors.listed(context())
    ]
    return {"hosts": [one for one in found if all(one[name] == query[name] for name in query)]}


@routes.endpoint("GET", "/<host>", "hosts:show", returns=Host, errors=(404,), until=Gate.NO_HOSTS)
def show_host(host: str) -> Any:
    """Show what a host has, and which projects hold how much of it"""
    return {"host": _parts(hypervisors.resources(context(), host))}


@routes.endpoint(
    "PUT",
    "/<host>",
    "hosts:change",
    body=UpdateHost,
    errors=(404, 501),
    until=Gate.NO_HOSTS,
)
def update_host(body: Json, host: str) -> None:
    """Say that this is not done here, as Nova's libvirt driver does: a host is taken out of the
    choice by its compute service"""
    hypervisors.resources(context(), host)
    what = "host disabled status" if "status" in body else "host maintenance mode"
    raise exceptions.NotImplemented(f"Virt driver does not implement {what}.")


@routes.endpoint("GET", "/<host>/startup", "hosts:change", errors=(404, 501), until=Gate.NO_HOSTS)
def startup_host(host: str) -> None:
    """Say that hosts are not switched from here, as Nova's libvirt driver does"""
    _refuse_power(host)


@routes.endpoint("GET", "/<host>/shutdown", "hosts:change", errors=(404, 501), until=Gate.NO_HOSTS)
def shutdown_host(host: str) -> None:
    """Say that hosts are not switched from here, as Nova's libvirt driver does"""
    _refuse_power(host)


@routes.endpoint("GET", "/<host>/reboot", "hosts:change", errors=(404, 501), until=Gate.NO_HOSTS)
def reboot_host(host: str) -> None:
    """Say that hosts are not switched from here, as Nova's libvirt driver does"""
    _refuse_power(host)


def _refuse_power(host: str) -> None:
    hypervisors.resources(context(), host)
    raise exceptions.NotImplemented("Virt driver does not implement host power management.")


def _parts(found: HostResources) -> list[Json]:
    host = found.host
    rows = [
        ("(total)", host.vcpus + host.dedicated_vcpus, host.memory_mib, host.disk_gib),
        (
            "(used_now)",
            host.vcpus_used + host.dedicated_vcpus_used,
            host.memory_mib_used,
            host.disk_gib_used,
        ),
        (
            "(used_max)",
            sum(one.vcpus for one in found.held),
            sum(one.memory_mib for one in found.held),
            sum(one.disk_gib for one in found.held),
        ),
        *((one.project_id, one.vcpus, one.memory_mib, one.disk_gib) for one in found.held),
    ]
    return [
        {
            "resource": {
                "host": host.name,
                "project": project,
                "cpu": vcpus,
                "memory_mb": memory_mib,
                "disk_gb": disk_gib,
            }
        }
        for project, vcpus, memory_mib, disk_gib in rows
    ]
