"""What a server's machine has used and moved. Before 2.48 in the words of Nova's libvirt driver, a
key for each figure; from then on in a form that is the same for all hypervisors."""

from typing import Any

from marshmallow import INCLUDE, fields, post_dump

from app.api.auth import caller, context
from app.api.compute.schema import Json
from app.api.dialects import COMPUTE
from app.api.gates import Gate
from app.api.routes import Routes
from app.api.versioned import Versioned, since
from app.services import diagnostics
from app.services.diagnostics import DiagnosisView
from tasks.messages import Diagnosis

routes = Routes(COMPUTE, "server-diagnostics", "What servers have used.", "/v2.1/servers")

_KIB_OF_MIB = 1024
_DIRECTIONS = ("rx", "tx")


class DiagnosticsAnswer(Versioned):
    """What a server's machine has used. Keys of each processor, disk and interface before 2.48."""

    class Meta:
        unknown = INCLUDE

    state = since(Gate.DIAGNOSTICS, fields.String())
    driver = since(Gate.DIAGNOSTICS, fields.String())
    hypervisor = since(Gate.DIAGNOSTICS, fields.String())
    hypervisor_os = since(Gate.DIAGNOSTICS, fields.String())
    uptime = since(Gate.DIAGNOSTICS, fields.Integer())
    config_drive = since(Gate.DIAGNOSTICS, fields.Boolean())
    num_cpus = since(Gate.DIAGNOSTICS, fields.Integer())
    num_nics = since(Gate.DIAGNOSTICS, fields.Integer())
    num_disks = since(Gate.DIAGNOSTICS, fields.Integer())
    memory_details = since(Gate.DIAGNOSTICS, fields.Dict())
    cpu_details = since(Gate.DIAGNOSTICS, fields.List(fields.Dict()))
    nic_details = since(Gate.DIAGNOSTICS, fields.List(fields.Dict()))
    disk_details = since(Gate.DIAGNOSTICS, fields.List(fields.Dict()))

    @post_dump(pass_original=True)
    def _free(self, known: Json, given: Json, **_: Any) -> Json:
        return known if Gate.DIAGNOSTICS.is_open else given


@routes.endpoint(
    "GET",
    "/<server_id>/diagnostics",
    "servers:diagnose",
    returns=DiagnosticsAnswer,
    errors=(404, 409),
)
def show_diagnostics(server_id: str) -> Any:
    """Show what a server's machine has used and moved since it was started

    The host is asked: 409 if it does not answer within ten seconds, or the server does not run.
    """
    view = diagnostics.show(context(), caller(), server_id)
    return _normalised(view) if Gate.DIAGNOSTICS.is_open else _by_key(view.diagnosis)


def _by_key(found: Diagnosis) -> Json:
    body: Json = {f"cpu{number}_time": ns for number, ns in enumerate(found.cpu_times_ns)}
    for disk in found.disks:
        body[f"{disk.device}_read_req"] = disk.read_requests
        body[f"{disk.device}_read"] = disk.read_bytes
        body[f"{disk.device}_write_req"] = disk.write_requests
        body[f"{disk.device}_write"] = disk.write_bytes
        body[f"{disk.device}_errors"] = disk.errors
    body["memory"] = found.memory_kib
    body |= {f"memory-{name}": figure for name, figure in found.memory.items()}
    for nic in found.interfaces:
        for direction in _DIRECTIONS:
            counted = getattr(nic, direction)
            key = f"{nic.device}_{direction}"
            body[key] = counted.octets
            body[f"{key}_packets"] = counted.packets
            body[f"{key}_errors"] = counted.errors
            body[f"{key}_drop"] = counted.drop
    return body


def _normalised(view: DiagnosisView) -> Json:
    found = view.diagnosis
    used_kib = found.memory.get("actual", found.memory_kib)
    return {
        "state": found.state,
        "driver": found.driver,
        "hypervisor": found.domain_type,
        "hypervisor_os": "linux",
        "uptime": view.uptime_s,
        "config_drive": view.config_drive,
        "num_cpus": len(found.cpu_times_ns),
        "num_nics": len(found.interfaces),
        "num_disks": len(found.disks),
        "memory_details": {
            "maximum": found.memory_kib // _KIB_OF_MIB,
            "used": used_kib // _KIB_OF_MIB,
        },
        "cpu_details": [
            {"id": number, "time": ns, "utilisation": None}
            for number, ns in enumerate(found.cpu_times_ns)
        ],
        "nic_details": [
            {
                "mac_address": nic.mac,
                **{
                    f"{direction}_{name}": figure
                    for direction in _DIRECTIONS
                    for name, figure in {**dict(getattr(nic, direction)), "rate": None}.items()
                },
            }
            for nic in found.interfaces
        ],
        "disk_details": [
            {
                "read_bytes": disk.read_bytes,
                "read_requests": disk.read_requests,
                "write_bytes": disk.write_bytes,
                "write_requests": disk.write_requests,
                "errors_count": disk.errors,
            }
            for disk in found.disks
        ],
    }
