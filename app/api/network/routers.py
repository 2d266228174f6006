"""Routers: create, list, show, update, delete, and the subnets that they lead to."""

from typing import Any

from flask import request
from marshmallow import Schema, ValidationError, fields

from app.api.auth import caller, context
from app.api.compute.schema import Flag, Strict, wrapped
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
from app.services import routers
from app.services.router_views import RouterView
from app.services.routers import InterfaceView, NewRouter
from tasks.errors import NotSupported

routes = Routes(NETWORK, "routers", "Which subnets reach each other.", "/v2.0/routers")

#: field -> column, for the filters that the database applies
_FACTS = {"id": "id", "name": "name", "project_id": "project_id"}


class GatewaySchema(Schema):
    """A router's way to the world. It has no address of its own: who leaves without a floating IP
    has its host's."""

    network_id = fields.String(required=True)
    enable_snat = fields.Boolean(required=True)
    external_fixed_ips = fields.List(fields.Dict(), required=True)


class RouterSchema(Common):
    """A router."""

    status = fields.String()
    admin_state_up = fields.Boolean()
    external_gateway_info = fields.Nested(GatewaySchema, allow_none=True)
    routes = fields.List(fields.Dict())
    availability_zones = fields.List(fields.String())
    availability_zone_hints = fields.List(fields.String())


class GatewayWish(Strict):
    """A router's way to the world, as it is asked for."""

    network_id = text_field()
    enable_snat = Flag()
    external_fixed_ips = short_list(fields.Dict(), allow_none=True)


class _Gateway(fields.Field[Any]):
    """null and {} are none."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if value == {}:
            return None
        if not isinstance(value, dict):
            raise ValidationError("must be an object or null.")
        return GatewayWish().load(value)


class UpdateRouter(Strict):
    """What can be changed of a router."""

    name = name_field()
    description = name_field()
    admin_state_up = Flag()
    external_gateway_info = _Gateway(allow_none=True)
    routes = short_list(fields.Dict(), allow_none=True)
    distributed = only([True])
    ha = only([False])


class CreateRouter(UpdateRouter):
    """A router to be made."""

    project_id = text_field()
    tenant_id = text_field()
    availability_zone_hints = short_list(text_field())
    flavor_id = only()


class RouterInterfaceWish(Strict):
    """A subnet, or a port that has its gateway's address."""

    subnet_id = text_field(allow_none=True)
    port_id = text_field(allow_none=True)


class RoutersAnswer(Schema):
    """Routers."""

    routers = fields.List(fields.Nested(RouterSchema), required=True)
    routers_links = fields.List(fields.Nested(LinkSchema))


class RouterAnswer(Schema):
    """A router, wrapped."""

    router = fields.Nested(RouterSchema, required=True)


class RouterInterfaceAnswer(Schema):
    """A router on a subnet."""

    id = fields.String(required=True)
    tenant_id = fields.String(required=True)
    project_id = fields.String(required=True)
    port_id = fields.String(required=True)
    network_id = fields.String(required=True)
    subnet_id = fields.String(required=True)
    subnet_ids = fields.List(fields.String(), required=True)


_COLUMNS = {name: name for name in ("name", "description", "admin_state_up")}


@routes.endpoint("GET", "", "routers:list", returns=RoutersAnswer, errors=(400,))
def list_routers() -> Any:
    """List the project's routers; any field is a filter"""
    narrow = facts(request.args, _FACTS)
    bodies = [_router(view) for view in routers.list_routers(context(), caller(), narrow)]
    return select("routers", bodies, request.args, RouterSchema().fields)


@routes.endpoint(
    "POST",
    "",
    "routers:create",
    body=wrapped("router", CreateRouter),
    returns=RouterAnswer,
    status=201,
    errors=(404, 409, 501),
)
def create_router(body: Json) -> Any:
    """Make a router"""
    asked = body["router"]
    new = NewRouter(project_id=project_of(asked), **_columns(asked))
    return {"router": _router(routers.create(context(), caller(), new))}


@routes.endpoint("GET", "/<router_id>", "routers:list", returns=RouterAnswer, errors=(404,))
def show_router(router_id: str) -> Any:
    """Show a router"""
    body = _router(routers.get(context(), caller(), router_id))
    return {"router": project(body, request.args.getlist("fields"))}


@routes.endpoint(
    "PUT",
    "/<router_id>",
    "routers:update",
    body=wrapped("router", UpdateRouter),
    returns=RouterAnswer,
    errors=(404, 409, 501),
)
def update_router(body: Json, router_id: str) -> Any:
    """Change a router"""
    changes = _columns(body["router"])
    return {"router": _router(routers.update(context(), caller(), router_id, changes))}


@routes.endpoint("DELETE", "/<router_id>", "routers:delete", status=204, errors=(404, 409))
def delete_router(router_id: str) -> None:
    """Remove a router that is on no subnet"""
    routers.delete(context(), caller(), router_id)


@routes.endpoint(
    "PUT",
    "/<router_id>/add_router_interface",
    "routers:update",
    body=RouterInterfaceWish,
    returns=RouterInterfaceAnswer,
    errors=(404, 409, 501),
)
def add_interface(body: Json, router_id: str) -> Any:
    """Have a router lead to a subnet"""
    return _interface(routers.add_interface(context(), caller(), router_id, **body))


@routes.endpoint(
    "PUT",
    "/<router_id>/remove_router_interface",
    "routers:update",
    body=RouterInterfaceWish,
    returns=RouterInterfaceAnswer,
    errors=(404, 409),
)
def remove_interface(body: Json, router_id: str) -> Any:
    """Have a router lead to a subnet no more"""
    return _interface(routers.remove_interface(context(), caller(), router_id, **body))


def _columns(asked: Json) -> Json:
    """Return what is asked for as columns. Raises NotSupported for what no host carries out."""
    if asked.get("routes"):
        raise NotSupported("routes: routers have no routes beside those to their subnets.")
    columns = renamed(asked, _COLUMNS)
    if "external_gateway_info" in asked:
        gateway = asked["external_gateway_info"] or {}
        if gateway.get("enable_snat") is False:
            raise NotSupported("enable_snat: hosts translate what leaves; false is not supported.")
        if gateway.get("external_fixed_ips"):
            raise NotSupported(
                "external_fixed_ips: a router has no address of its own, each host is the router."
            )
        columns["external_network_id"] = gateway.get("network_id")
    return columns


def _router(view: RouterView) -> Json:
    zone = context().settings.availability_zone
    gateway = None
    if view.external_network_id is not None:
        gateway = {
            "network_id": view.external_network_id,
            "enable_snat": True,
            "external_fixed_ips": [],
        }
    return {
        **common(view),
        "status": "ACTIVE",
        "admin_state_up": view.admin_state_up,
        "external_gateway_info": gateway,
        "routes": [],
        "availability_zones": [zone],
        "availability_zone_hints": [],
    }


def _interface(view: InterfaceView) -> Json:
    return {
        "id": view.router_id,
        "tenant_id": view.project_id,
        "project_id": view.project_id,
        "port_id": view.port_id,
        "network_id": view.network_id,
        "subnet_id": view.subnet_ids[0],
        "subnet_ids": list(view.subnet_ids),
    }
