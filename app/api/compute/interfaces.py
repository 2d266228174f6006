"""A server's interfaces, as compute shows them."""

import ipaddress
from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from app.api.auth import caller, context
from app.api.compute.schema import Json, Strict, Text, answer, wrapped
from app.api.compute.servers_schema import an_address, device_tag
from app.api.dialects import COMPUTE
from app.api.gates import Gate
from app.api.routes import Routes
from app.services import ports, servers
from app.services import server_interfaces as interfaces
from app.services.network_views import PortView
from app.services.server_networks import Interface as Wanted
from tasks.errors import NotFound

routes = Routes(
    COMPUTE, "interfaces", "Servers' interfaces.", "/v2.1/servers/<server_id>/os-interface"
)


class FixedIp(Schema):
    """An address of an interface."""

    subnet_id = fields.String(required=True)
    ip_address = fields.String(required=True)


class InterfaceSchema(Schema):
    """An interface."""

    port_id = fields.String(required=True)
    net_id = fields.String(required=True)
    mac_addr = fields.String(required=True)
    port_state = fields.String(required=True)
    fixed_ips = fields.List(fields.Nested(FixedIp), required=True)


class WantedAddress(Strict):
    """An address that the interface is to have."""

    ip_address = Text(required=True, validate=an_address(ipaddress.ip_address))


class AttachInterface(Strict):
    """An interface to attach: one's own port, or a new one on a network. Neither: on the one
    network that there is."""

    net_id = Text(allow_none=True, validate=validate.Length(min=1))
    port_id = Text(allow_none=True, validate=validate.Length(min=1))
    fixed_ips = fields.List(fields.Nested(WantedAddress), validate=validate.Length(min=1, max=1))
    tag = device_tag(Gate.ATTACH_TAG)

    @validates_schema
    def _check_whole(self, data: Mapping[str, Any], **_: Any) -> None:
        if data.get("net_id") and data.get("port_id"):
            raise ValidationError("Must not input both network_id and port_id", "net_id")
        if data.get("fixed_ips") and not data.get("net_id"):
            raise ValidationError("Must input network_id when request IP address", "fixed_ips")


AttachInterfaceRequest = wrapped("interfaceAttachment", AttachInterface)

Interfaces = answer(
    "InterfacesAnswer",
    interfaceAttachments=fields.List(fields.Nested(InterfaceSchema), required=True),
)
Interface = answer(
    "InterfaceAnswer", interfaceAttachment=fields.Nested(InterfaceSchema, required=True)
)


@routes.endpoint("GET", "", "interfaces:list", returns=Interfaces, errors=(404,))
def list_interfaces(server_id: str) -> Any:
    """List a server's interfaces, in the guest's order"""
    return {"interfaceAttachments": [_interface(view) for view in _of(server_id)]}


@routes.endpoint("GET", "/<port_id>", "interfaces:list", returns=Interface, errors=(404,))
def show_interface(server_id: str, port_id: str) -> Any:
    """Show an interface of a server"""
    for view in _of(server_id):
        if view.id == port_id:
            return {"interfaceAttachment": _interface(view)}
    raise NotFound(f"Interface {port_id} of server {server_id} could not be found.")


@routes.endpoint(
    "POST",
    "",
    "interfaces:attach",
    body=AttachInterfaceRequest,
    returns=Interface,
    errors=(404, 409),
)
def attach_interface(body: Json, server_id: str) -> Any:
    """Give a server another interface

    It is answered as soon as the port is the server's; `port_state` tells when its guest uses it.
    """
    asked = body["interfaceAttachment"]
    [address] = [each["ip_address"] for each in asked.get("fixed_ips", ())] or [None]
    wanted = Wanted(asked.get("net_id"), address, asked.get("port_id"), asked.get("tag", ""))
    view = interfaces.attach(context(), caller(), server_id, wanted)
    return {"interfaceAttachment": _interface(view)}


@routes.endpoint("DELETE", "/<port_id>", "interfaces:detach", status=202, errors=(404, 409))
def detach_interface(server_id: str, port_id: str) -> None:
    """Take an interface from a server

    Its guest, if it runs, has to let go of it. A port that its owner made stays.
    """
    interfaces.detach(context(), caller(), server_id, port_id)


def _of(server_id: str) -> list[PortView]:
    servers.get(context(), caller(), server_id)
    return ports.of_server(context(), server_id)


def _interface(view: PortView) -> Json:
    return {
        "port_id": view.id,
        "net_id": view.network_id,
        "mac_addr": view.mac,
        "port_state": "ACTIVE" if view.seen else "DOWN",
        "fixed_ips": [
            {"subnet_id": subnet_id, "ip_address": address} for subnet_id, address in view.addresses
        ],
    }
