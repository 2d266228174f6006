"""Ports: the interfaces of servers. `?device_id=` is how clients find a server's addresses."""

from typing import Any

from flask import request
from marshmallow import Schema, fields

from app.api.auth import caller, context
from app.api.dialects import NETWORK
from app.api.network.lists import Json, project, select
from app.api.network.networks import Common, common
from app.api.routes import Routes
from app.services import networks
from app.services.networks import PortView
from tasks.errors import NotFound

routes = Routes(NETWORK, "ports", "The interfaces of servers.", "/v2.0/ports")

#: query parameter -> column, for the filters that the database applies
_FACTS = {"device_id": "server_id", "network_id": "network_id", "id": "id", "mac_address": "mac"}


class FixedAddress(Schema):
    """An address of a port."""

    subnet_id = fields.String(required=True)
    ip_address = fields.String(required=True)


class PortSchema(Common):
    """A port."""

    class Meta:
        include = {"binding:vnic_type": fields.String()}

    network_id = fields.String()
    status = fields.String()
    admin_state_up = fields.Boolean()
    mac_address = fields.String()
    fixed_ips = fields.List(fields.Nested(FixedAddress))
    security_groups = fields.List(fields.String())
    allowed_address_pairs = fields.List(fields.Dict())
    device_id = fields.String()
    device_owner = fields.String()
    port_security_enabled = fields.Boolean()


class PortsAnswer(Schema):
    """Ports."""

    ports = fields.List(fields.Nested(PortSchema), required=True)


class PortAnswer(Schema):
    """A port, wrapped."""

    port = fields.Nested(PortSchema, required=True)


@routes.endpoint("GET", "", "ports:list", returns=PortsAnswer, errors=(400,))
def list_ports() -> Any:
    """List the project's ports; any field is a filter"""
    facts = {
        column: request.args.getlist(name)
        for name, column in _FACTS.items()
        if name in request.args
    }
    return {"ports": select(_ports(facts), request.args, PortSchema().fields)}


@routes.endpoint("GET", "/<port_id>", "ports:list", returns=PortAnswer, errors=(404,))
def show_port(port_id: str) -> Any:
    """Show a port"""
    for body in _ports({"id": [port_id]}):
        return {"port": project(body, request.args.getlist("fields"))}
    raise NotFound(f"Port {port_id} could not be found.")


def _ports(facts: dict[str, list[str]]) -> list[Json]:
    return [_port(view) for view in networks.list_ports(context(), caller(), facts)]


def _port(view: PortView) -> Json:
    return {
        **common(view),
        "name": "",
        "network_id": view.network_id,
        "status": "ACTIVE" if view.seen else "DOWN",
        "admin_state_up": True,
        "mac_address": view.mac,
        "fixed_ips": [
            {"subnet_id": subnet_id, "ip_address": address} for subnet_id, address in view.addresses
        ],
        "security_groups": [],
        "allowed_address_pairs": [],
        "device_id": view.server_id or "",
        "device_owner": f"compute:{context().settings.availability_zone}",
        "port_security_enabled": True,
        "binding:vnic_type": "normal",
    }
