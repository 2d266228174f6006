"""A server's interfaces, as compute shows them."""

from typing import Any

from marshmallow import Schema, fields

from app.api.auth import caller, context
from app.api.compute.schema import Json, answer
from app.api.dialects import COMPUTE
from app.api.routes import Routes
from app.services import ports, servers
from app.services.network_views import PortView
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
