"""Subnets: create, list, show, update, delete."""

from typing import Any

from flask import request
from marshmallow import Schema, fields

from app.api.auth import caller, context
from app.api.compute.schema import Count, Flag, Strict, Text, wrapped
from app.api.dialects import NETWORK
from app.api.links import LinkSchema
from app.api.network.common import (
    Common,
    common,
    name_field,
    only,
    renamed,
    short_list,
    text_field,
)
from app.api.network.lists import Json, facts, project, select
from app.api.routes import Routes
from app.services import subnets
from app.services.network_views import SubnetView
from app.services.subnets import STATEFUL, NewSubnet

routes = Routes(NETWORK, "subnets", "Networks' blocks of addresses.", "/v2.0/subnets")


class PoolSchema(Strict):
    """Addresses from one to another."""

    start = text_field(64, required=True)
    end = text_field(64, required=True)


class RouteSchema(Strict):
    """A route that guests are given."""

    destination = text_field(64, required=True)
    nexthop = text_field(64, required=True)


class SubnetSchema(Common):
    """A network's block of addresses."""

    network_id = fields.String()
    ip_version = fields.Integer()
    cidr = fields.String()
    gateway_ip = fields.String(allow_none=True)
    enable_dhcp = fields.Boolean()
    dns_nameservers = fields.List(fields.String())
    allocation_pools = fields.List(fields.Nested(PoolSchema))
    host_routes = fields.List(fields.Nested(RouteSchema))
    ipv6_ra_mode = fields.String(allow_none=True)
    ipv6_address_mode = fields.String(allow_none=True)
    subnetpool_id = fields.String(allow_none=True)
    service_types = fields.List(fields.String())


class UpdateSubnet(Strict):
    """What can be changed of a subnet."""

    name = name_field()
    description = name_field()
    gateway_ip = Text(allow_none=True)
    enable_dhcp = Flag()
    dns_nameservers = short_list(text_field(64), allow_none=True)
    allocation_pools = short_list(fields.Nested(PoolSchema))
    host_routes = short_list(fields.Nested(RouteSchema), allow_none=True)
    service_types = only([[]])


class CreateSubnet(UpdateSubnet):
    """A subnet to be made. Without a gateway its first address is one; null is none."""

    network_id = text_field(required=True)
    ip_version = Count(required=True)
    cidr = text_field(64, required=True)
    ipv6_ra_mode = text_field(64, allow_none=True)
    ipv6_address_mode = text_field(64, allow_none=True)
    project_id = text_field()
    tenant_id = text_field()
    subnetpool_id = only()
    segment_id = only()


class SubnetsAnswer(Schema):
    """Subnets."""

    subnets = fields.List(fields.Nested(SubnetSchema), required=True)
    subnets_links = fields.List(fields.Nested(LinkSchema))


class SubnetAnswer(Schema):
    """A subnet, wrapped."""

    subnet = fields.Nested(SubnetSchema, required=True)


#: field -> column, for the filters that the database applies
_FACTS = {"id": "id", "name": "name", "network_id": "network_id"}
#: field -> column
_COLUMNS = {
    "name": "name",
    "description": "description",
    "gateway_ip": "gateway",
    "enable_dhcp": "enable_dhcp",
    "dns_nameservers": "dns",
    "allocation_pools": "pools",
    "host_routes": "host_routes",
}
_NEW = {
    **_COLUMNS,
    "network_id": "network_id",
    "ip_version": "version",
    "cidr": "cidr",
    "ipv6_ra_mode": "ra_mode",
    "ipv6_address_mode": "address_mode",
}


@routes.endpoint("GET", "", "subnets:list", returns=SubnetsAnswer, errors=(400,))
def list_subnets() -> Any:
    """List the subnets of the networks that one may use; any field is a filter"""
    narrow = facts(request.args, _FACTS)
    bodies = [_subnet(view) for view in subnets.list_subnets(context(), caller(), narrow)]
    return select("subnets", bodies, request.args, SubnetSchema().fields)


@routes.endpoint(
    "POST",
    "",
    "subnets:create",
    body=wrapped("subnet", CreateSubnet),
    returns=SubnetAnswer,
    status=201,
    errors=(404, 409),
)
def create_subnet(body: Json) -> Any:
    """Make a subnet"""
    asked = renamed(body["subnet"], _NEW)
    for name in ("dns", "host_routes"):
        asked[name] = asked.get(name) or ()
    return {"subnet": _subnet(subnets.create(context(), caller(), NewSubnet(**asked)))}


@routes.endpoint("GET", "/<subnet_id>", "subnets:list", returns=SubnetAnswer, errors=(404,))
def show_subnet(subnet_id: str) -> Any:
    """Show a subnet"""
    body = _subnet(subnets.get(context(), caller(), subnet_id))
    return {"subnet": project(body, request.args.getlist("fields"))}


@routes.endpoint(
    "PUT",
    "/<subnet_id>",
    "subnets:update",
    body=wrapped("subnet", UpdateSubnet),
    returns=SubnetAnswer,
    errors=(404, 409),
)
def update_subnet(body: Json, subnet_id: str) -> Any:
    """Change a subnet"""
    changes = renamed(body["subnet"], _COLUMNS)
    return {"subnet": _subnet(subnets.update(context(), caller(), subnet_id, changes))}


@routes.endpoint("DELETE", "/<subnet_id>", "subnets:delete", status=204, errors=(404, 409))
def delete_subnet(subnet_id: str) -> None:
    """Remove a subnet of which no port has an address"""
    subnets.delete(context(), caller(), subnet_id)


def _subnet(view: SubnetView) -> Json:
    mode = STATEFUL if view.advertised else None
    return {
        **common(view),
        "network_id": view.network_id,
        "ip_version": view.version,
        "cidr": view.cidr,
        "gateway_ip": view.gateway,
        "enable_dhcp": view.enable_dhcp,
        "dns_nameservers": list(view.dns),
        "allocation_pools": list(view.pools),
        "host_routes": list(view.host_routes),
        "ipv6_ra_mode": mode,
        "ipv6_address_mode": mode,
        "subnetpool_id": None,
        "service_types": [],
    }
