"""The five faces of the API: where each lives, and what its errors look like.

OpenStack's services wrap an error each in their own way, and clients print what they find there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from marshmallow import Schema, fields

#: Compute's outer key for each status; anything else is `computeFault`.
_COMPUTE_KEYS = {
    400: "badRequest",
    401: "unauthorized",
    403: "forbidden",
    404: "itemNotFound",
    405: "badMethod",
    409: "conflictingRequest",
    413: "overLimit",
    415: "badMediaType",
    429: "overLimit",
    501: "notImplemented",
    503: "serviceUnavailable",
}

#: Network's error types, which its clients turn into exceptions.
_NETWORK_TYPES = {
    400: "HTTPBadRequest",
    403: "PolicyNotAuthorized",
    404: "HTTPNotFound",
    405: "HTTPMethodNotAllowed",
    409: "Conflict",
    413: "HTTPRequestEntityTooLarge",
    415: "HTTPUnsupportedMediaType",
    501: "HTTPNotImplemented",
    503: "HTTPServiceUnavailable",
}

#: Those that clients tell apart, by our code word.
_NETWORK_CODES = {
    "over_quota": "OverQuota",
    "security_group_in_use": "SecurityGroupInUse",
    "security_group_rule_exists": "SecurityGroupRuleExists",
    "invalid_input": "InvalidInput",
    "network_not_found": "NetworkNotFound",
    "subnet_not_found": "SubnetNotFound",
    "port_not_found": "PortNotFound",
    "network_in_use": "NetworkInUse",
    "subnet_in_use": "SubnetInUse",
    "port_in_use": "PortInUse",
    "mac_address_in_use": "MacAddressInUse",
    "ip_address_in_use": "IpAddressAlreadyAllocated",
    "ip_address_generation_failure": "IpAddressGenerationFailure",
    "gateway_conflict": "GatewayConflictWithAllocationPools",
    "segment_in_use": "SegmentIdInUse",
    "default_external_network_exists": "DefaultExternalNetworkExists",
    "auto_allocation_failure": "AutoAllocationFailure",
    "gateway_in_use": "GatewayIpInUse",
    "router_not_found": "RouterNotFound",
    "router_in_use": "RouterInUse",
    "router_gateway_in_use": "RouterExternalGatewayInUseByFloatingIp",
    "router_interface_in_use": "RouterInterfaceInUseByFloatingIP",
    "router_interface_not_found": "RouterInterfaceNotFound",
    "no_interface_on_subnet": "RouterInterfaceNotFoundForSubnet",
    "floating_ip_not_found": "FloatingIPNotFound",
    "floating_ip_taken": "FloatingIPPortAlreadyAssociated",
    "no_way_to_floating_ip": "ExternalGatewayForFloatingIPNotFound",
}


@dataclass(frozen=True)
class Problem:
    """An error on its way out: HTTP status, the text for the client, our code word."""

    status: int
    message: str
    code: str


class ComputeFaultBody(Schema):
    """What is inside of compute's outer key."""

    code = fields.Integer(required=True)
    message = fields.String(required=True)


class ComputeFault(Schema):
    """Compute's errors. One key, which tells the kind."""

    class Meta:
        include = {key: fields.Nested(ComputeFaultBody) for key in _COMPUTE_KEYS.values()} | {
            "computeFault": fields.Nested(ComputeFaultBody)
        }


class NeutronErrorBody(Schema):
    """What is inside of network's outer key."""

    type = fields.String(required=True)
    message = fields.String(required=True)
    detail = fields.String(required=True)


class NeutronFault(Schema):
    """Network's errors."""

    NeutronError = fields.Nested(NeutronErrorBody, required=True)


class KeystoneErrorBody(Schema):
    """What is inside of identity's outer key."""

    code = fields.Integer(required=True)
    message = fields.String(required=True)
    title = fields.String(required=True)


class KeystoneFault(Schema):
    """Identity's errors, and every service's 401."""

    error = fields.Nested(KeystoneErrorBody, required=True)


class GlanceFault(Schema):
    """Image's errors."""

    code = fields.Integer(required=True)
    title = fields.String(required=True)
    message = fields.String(required=True)


class ByreErrorBody(KeystoneErrorBody):
    """Identity's form, with the code word of Byre's table of errors."""

    reason = fields.String(required=True)


class ByreFault(Schema):
    """Byre's own errors."""

    error = fields.Nested(ByreErrorBody, required=True)


def _compute(problem: Problem) -> dict[str, Any]:
    key = _COMPUTE_KEYS.get(problem.status, "computeFault")
    return {key: {"code": problem.status, "message": problem.message}}


def _network(problem: Problem) -> dict[str, Any]:
    by_status = _NETWORK_TYPES.get(problem.status, "HTTPInternalServerError")
    kind = _NETWORK_CODES.get(problem.code, by_status)
    return {"NeutronError": {"type": kind, "message": problem.message, "detail": ""}}


def keystone_error(problem: Problem) -> dict[str, Any]:
    """Return identity's form; also the 401 of every service."""
    title = HTTPStatus(problem.status).phrase
    return {"error": {"code": problem.status, "message": problem.message, "title": title}}


def _image(problem: Problem) -> dict[str, Any]:
    title = HTTPStatus(problem.status).phrase
    return {"code": problem.status, "title": title, "message": problem.message}


def _byre(problem: Problem) -> dict[str, Any]:
    body = keystone_error(problem)
    body["error"]["reason"] = problem.code
    return body


@dataclass(frozen=True)
class Dialect:
    """One face: its prefix, the schema of its errors, and how they are written."""

    name: str
    prefix: str
    fault: type[Schema]
    write: Callable[[Problem], dict[str, Any]]


IDENTITY = Dialect("identity", "/identity", KeystoneFault, keystone_error)
COMPUTE = Dialect("compute", "/compute", ComputeFault, _compute)
IMAGE = Dialect("image", "/image", GlanceFault, _image)
NETWORK = Dialect("network", "/network", NeutronFault, _network)
BYRE = Dialect("byre", "", ByreFault, _byre)


def dialect_of(path: str) -> Dialect:
    """Return the dialect that a path is answered in."""
    for dialect in (IDENTITY, COMPUTE, IMAGE, NETWORK):
        if path == dialect.prefix or path.startswith(f"{dialect.prefix}/"):
            return dialect
    return BYRE
