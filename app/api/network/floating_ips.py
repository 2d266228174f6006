"""Floating IPs: create, list, show, associate, disassociate, delete."""

from typing import Any

from flask import request
from marshmallow import Schema, fields

from app.api.auth import caller, context
from app.api.compute.schema import Strict, wrapped
from app.api.dialects import NETWORK
from app.api.links import LinkSchema
from app.api.network.common import Common, common, name_field, project_of, renamed, text_field
from app.api.network.lists import Json, facts, project, select
from app.api.network.ports import device_owner, port_status
from app.api.routes import Routes
from app.services import floating_ips
from app.services.floating_ips import NewFloatingIp
from app.services.network_views import PortView
from app.services.router_views import FloatingIpView

routes = Routes(
    NETWORK, "floatingips", "Addresses that stand for those of ports.", "/v2.0/floatingips"
)

#: field -> column, for the filters that the database applies
_FACTS = {
    **{name: name for name in ("id", "port_id", "router_id", "project_id")},
    "floating_ip_address": "address",
    "floating_network_id": "network_id",
}


class PortDetails(Schema):
    """What a floating IP's port is."""

    name = fields.String()
    network_id = fields.String()
    mac_address = fields.String()
    admin_state_up = fields.Boolean()
    status = fields.String()
    device_id = fields.String()
    device_owner = fields.String()


class FloatingIpSchema(Common):
    """A floating IP. It has no name."""

    class Meta:
        exclude = ("name",)

    status = fields.String()
    floating_ip_address = fields.String()
    floating_network_id = fields.String()
    fixed_ip_address = fields.String(allow_none=True)
    port_id = fields.String(allow_none=True)
    router_id = fields.String(allow_none=True)
    port_details = fields.Nested(PortDetails, allow_none=True)


class UpdateFloatingIp(Strict):
    """What can be changed of a floating IP. `port_id` null: it stands for nothing any more."""

    port_id = text_field(allow_none=True)
    fixed_ip_address = text_field(64, allow_none=True)
    description = name_field()


class CreateFloatingIp(UpdateFloatingIp):
    """A floating IP to be made."""

    floating_network_id = text_field(required=True)
    floating_ip_address = text_field(64, allow_none=True)
    subnet_id = text_field(allow_none=True)
    project_id = text_field()
    tenant_id = text_field()


class FloatingIpsAnswer(Schema):
    """Floating IPs."""

    floatingips = fields.List(fields.Nested(FloatingIpSchema), required=True)
    floatingips_links = fields.List(fields.Nested(LinkSchema))


class FloatingIpAnswer(Schema):
    """A floating IP, wrapped."""

    floatingip = fields.Nested(FloatingIpSchema, required=True)


_CHANGED = {
    "description": "description",
    "port_id": "port_id",
    "fixed_ip_address": "fixed_address",
}
_NEW = {
    **_CHANGED,
    "floating_network_id": "network_id",
    "floating_ip_address": "address",
    "subnet_id": "subnet_id",
}


@routes.endpoint("GET", "", "floatingips:list", returns=FloatingIpsAnswer, errors=(400,))
def list_floating_ips() -> Any:
    """List the project's floating IPs; any field is a filter"""
    narrow = facts(request.args, _FACTS)
    views = floating_ips.list_floating_ips(context(), caller(), narrow)
    bodies = [_floating_ip(view) for view in views]
    return select("floatingips", bodies, request.args, FloatingIpSchema().fields)


@routes.endpoint(
    "POST",
    "",
    "floatingips:create",
    body=wrapped("floatingip", CreateFloatingIp),
    returns=FloatingIpAnswer,
    status=201,
    errors=(404, 409),
)
def create_floating_ip(body: Json) -> Any:
    """Take an address of an external network"""
    asked = body["floatingip"]
    new = NewFloatingIp(project_id=project_of(asked), **renamed(asked, _NEW))
    return {"floatingip": _floating_ip(floating_ips.create(context(), caller(), new))}


@routes.endpoint(
    "GET", "/<floating_id>", "floatingips:list", returns=FloatingIpAnswer, errors=(404,)
)
def show_floating_ip(floating_id: str) -> Any:
    """Show a floating IP"""
    body = _floating_ip(floating_ips.get(context(), caller(), floating_id))
    return {"floatingip": project(body, request.args.getlist("fields"))}


@routes.endpoint(
    "PUT",
    "/<floating_id>",
    "floatingips:update",
    body=wrapped("floatingip", UpdateFloatingIp),
    returns=FloatingIpAnswer,
    errors=(404, 409),
)
def update_floating_ip(body: Json, floating_id: str) -> Any:
    """Have a floating IP stand for a port, or for nothing"""
    changes = renamed(body["floatingip"], _CHANGED)
    view = floating_ips.update(context(), caller(), floating_id, changes)
    return {"floatingip": _floating_ip(view)}


@routes.endpoint("DELETE", "/<floating_id>", "floatingips:delete", status=204, errors=(404,))
def delete_floating_ip(floating_id: str) -> None:
    """Give an address back"""
    floating_ips.delete(context(), caller(), floating_id)


def _floating_ip(view: FloatingIpView) -> Json:
    body = {
        **common(view),
        "status": view.status,
        "floating_ip_address": view.address,
        "floating_network_id": view.network_id,
        "fixed_ip_address": view.fixed_address,
        "port_id": None if view.port is None else view.port.id,
        "router_id": view.router_id,
        "port_details": None if view.port is None else _details(view.port),
    }
    del body["name"]
    return body


def _details(port: PortView) -> Json:
    return {
        "name": port.name,
        "network_id": port.network_id,
        "mac_address": port.mac,
        "admin_state_up": port.admin_state_up,
        "status": port_status(port),
        "device_id": port.device_id,
        "device_owner": device_owner(port),
    }
