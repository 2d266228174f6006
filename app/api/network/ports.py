"""Ports: create, list, show, update, delete. `?device_id=` is how clients find a server's
addresses."""

from typing import Any

from flask import request
from marshmallow import Schema, fields

from app.api.auth import caller, context
from app.api.compute.schema import Flag, Strict, Text, wrapped
from app.api.dialects import NETWORK
from app.api.links import LinkSchema
from app.api.network.common import (
    Common,
    common,
    name_field,
    only,
    project_of,
    renamed,
    short_list,
    text_field,
)
from app.api.network.lists import Json, facts, project, select
from app.api.routes import Routes
from app.services import ports
from app.services.network_views import FLOATING_IP, ROUTER_INTERFACE, PortView
from app.services.ports import NewPort

routes = Routes(NETWORK, "ports", "The interfaces of servers.", "/v2.0/ports")

#: field -> column, for the filters that the database applies
_FACTS = {
    **{name: name for name in ("id", "name", "device_id", "network_id", "project_id")},
    "mac_address": "mac",
}


class FixedAddress(Schema):
    """An address of a port."""

    subnet_id = fields.String(required=True)
    ip_address = fields.String(required=True)


class AddressPair(Schema):
    """What else a port may send from."""

    ip_address = fields.String(required=True)
    mac_address = fields.String(required=True)


class PortSchema(Common):
    """A port. Its host is shown to administrators only."""

    class Meta:
        include = {
            "binding:vnic_type": fields.String(),
            "binding:host_id": fields.String(),
            "binding:vif_type": fields.String(),
        }

    network_id = fields.String()
    status = fields.String()
    admin_state_up = fields.Boolean()
    mac_address = fields.String()
    fixed_ips = fields.List(fields.Nested(FixedAddress))
    security_groups = fields.List(fields.String())
    allowed_address_pairs = fields.List(fields.Nested(AddressPair))
    device_id = fields.String()
    device_owner = fields.String()
    dns_name = fields.String()
    port_security_enabled = fields.Boolean()


class FixedWish(Strict):
    """An address that a port is to have: of a subnet, or a certain one."""

    subnet_id = Text(allow_none=True)
    ip_address = text_field(64, allow_none=True)


class PairWish(Strict):
    """What else a port is to send from: an address or a prefix."""

    ip_address = text_field(64, required=True)
    mac_address = text_field(64, allow_none=True)


class UpdatePort(Strict):
    """What can be changed of a port."""

    class Meta(Strict.Meta):
        include = {"binding:vnic_type": only(["normal"]), "binding:profile": only([{}])}

    name = name_field()
    description = name_field()
    admin_state_up = Flag()
    mac_address = text_field(64)
    fixed_ips = short_list(fields.Nested(FixedWish))
    allowed_address_pairs = short_list(fields.Nested(PairWish))
    port_security_enabled = Flag()
    security_groups = short_list(text_field(), allow_none=True)
    device_id = text_field()
    device_owner = text_field()
    dns_name = text_field(63)
    extra_dhcp_opts = only([[]])


class CreatePort(UpdatePort):
    """A port to be made. Without `fixed_ips` it gets an address of each IP version."""

    network_id = text_field(required=True)
    project_id = text_field()
    tenant_id = text_field()


class PortsAnswer(Schema):
    """Ports."""

    ports = fields.List(fields.Nested(PortSchema), required=True)
    ports_links = fields.List(fields.Nested(LinkSchema))


class PortAnswer(Schema):
    """A port, wrapped."""

    port = fields.Nested(PortSchema, required=True)


#: field -> column
_SAME = ("name", "description", "admin_state_up", "device_id", "device_owner", "dns_name")
_COLUMNS = {
    **dict(zip(_SAME, _SAME, strict=True)),
    "mac_address": "mac",
    "port_security_enabled": "port_security",
}
_CHANGED = {"allowed_address_pairs": "address_pairs", "security_groups": "security_groups"}


@routes.endpoint("GET", "", "ports:list", returns=PortsAnswer, errors=(400,))
def list_ports() -> Any:
    """List the project's ports; any field is a filter"""
    narrow = facts(request.args, _FACTS)
    bodies = [_port(view) for view in ports.list_ports(context(), caller(), narrow)]
    return select("ports", bodies, request.args, PortSchema().fields)


@routes.endpoint(
    "POST",
    "",
    "ports:create",
    body=wrapped("port", CreatePort),
    returns=PortAnswer,
    status=201,
    errors=(404, 409),
)
def create_port(body: Json) -> Any:
    """Make a port"""
    asked = body["port"]
    new = NewPort(
        network_id=asked["network_id"],
        project_id=project_of(asked),
        pairs=asked.get("allowed_address_pairs", ()),
        security_groups=asked.get("security_groups"),
        fixed=_fixed(asked),
        **renamed(asked, _COLUMNS),
    )
    return {"port": _port(ports.create(context(), caller(), new))}


@routes.endpoint("GET", "/<port_id>", "ports:list", returns=PortAnswer, errors=(404,))
def show_port(port_id: str) -> Any:
    """Show a port"""
    body = _port(ports.get(context(), caller(), port_id))
    return {"port": project(body, request.args.getlist("fields"))}


@routes.endpoint(
    "PUT",
    "/<port_id>",
    "ports:update",
    body=wrapped("port", UpdatePort),
    returns=PortAnswer,
    errors=(404, 409),
)
def update_port(body: Json, port_id: str) -> Any:
    """Change a port"""
    asked = body["port"]
    changes = renamed(asked, {**_COLUMNS, **_CHANGED})
    if "fixed_ips" in asked:
        changes["fixed"] = _fixed(asked)
    return {"port": _port(ports.update(context(), caller(), port_id, changes))}


@routes.endpoint("DELETE", "/<port_id>", "ports:delete", status=204, errors=(404, 409))
def delete_port(port_id: str) -> None:
    """Remove a port that no server has"""
    ports.delete(context(), caller(), port_id)


def _fixed(asked: Json) -> list[tuple[str | None, str | None]] | None:
    if "fixed_ips" not in asked:
        return None
    return [(wish.get("subnet_id"), wish.get("ip_address")) for wish in asked["fixed_ips"]]


def port_status(view: PortView) -> str:
    """Return the status that is shown of a port."""
    if view.device_owner == FLOATING_IP:
        return "N/A"
    return "ACTIVE" if view.seen or view.device_owner == ROUTER_INTERFACE else "DOWN"


def device_owner(view: PortView) -> str:
    """Return what a port is shown to be for."""
    zone = context().settings.availability_zone
    return f"compute:{zone}" if view.server_id else view.device_owner


def _port(view: PortView) -> Json:
    body = {
        **common(view),
        "network_id": view.network_id,
        "status": port_status(view),
        "admin_state_up": view.admin_state_up,
        "mac_address": view.mac,
        "fixed_ips": [
            {"subnet_id": subnet_id, "ip_address": address} for subnet_id, address in view.addresses
        ],
        "security_groups": list(view.security_groups),
        # As in Neutron: a pair without a MAC is one with the port's own.
        "allowed_address_pairs": [{"mac_address": view.mac, **pair} for pair in view.address_pairs],
        "device_id": view.device_id,
        "device_owner": device_owner(view),
        "dns_name": view.dns_name,
        "port_security_enabled": view.port_security,
        "binding:vnic_type": "normal",
    }
    if caller().is_admin:
        body |= {
            "binding:host_id": view.host,
            "binding:vif_type": "bridge" if view.host else "unbound",
        }
    return body
