"""Networks and subnets: list and show."""

from typing import Any

from flask import request
from marshmallow import Schema, fields

from app.api.auth import caller, context
from app.api.dialects import NETWORK
from app.api.network.lists import Json, project, select
from app.api.routes import Routes
from app.api.times import second_time
from app.services import networks
from app.services.networks import NetworkView, SubnetView
from tasks.errors import NotFound

routes = Routes(NETWORK, "networks", "What servers can be on.", "/v2.0")


class Common(Schema):
    """What everything of the network API has."""

    id = fields.String()
    name = fields.String()
    tenant_id = fields.String()
    project_id = fields.String()
    description = fields.String()
    tags = fields.List(fields.String())
    revision_number = fields.Integer()
    created_at = fields.String()
    updated_at = fields.String()


class NetworkSchema(Common):
    """A network."""

    class Meta:
        include = {"router:external": fields.Boolean()}

    status = fields.String()
    admin_state_up = fields.Boolean()
    shared = fields.Boolean()
    mtu = fields.Integer()
    subnets = fields.List(fields.String())
    availability_zones = fields.List(fields.String())
    availability_zone_hints = fields.List(fields.String())
    port_security_enabled = fields.Boolean()


class PoolSchema(Schema):
    """Addresses from one to another."""

    start = fields.String(required=True)
    end = fields.String(required=True)


class SubnetSchema(Common):
    """A network's block of addresses."""

    network_id = fields.String()
    ip_version = fields.Integer()
    cidr = fields.String()
    gateway_ip = fields.String(allow_none=True)
    enable_dhcp = fields.Boolean()
    dns_nameservers = fields.List(fields.String())
    allocation_pools = fields.List(fields.Nested(PoolSchema))
    host_routes = fields.List(fields.Dict())
    ipv6_ra_mode = fields.String(allow_none=True)
    ipv6_address_mode = fields.String(allow_none=True)
    subnetpool_id = fields.String(allow_none=True)
    service_types = fields.List(fields.String())


class NetworksAnswer(Schema):
    """Networks."""

    networks = fields.List(fields.Nested(NetworkSchema), required=True)


class NetworkAnswer(Schema):
    """A network, wrapped."""

    network = fields.Nested(NetworkSchema, required=True)


class SubnetsAnswer(Schema):
    """Subnets."""

    subnets = fields.List(fields.Nested(SubnetSchema), required=True)


class SubnetAnswer(Schema):
    """A subnet, wrapped."""

    subnet = fields.Nested(SubnetSchema, required=True)


@routes.endpoint("GET", "/networks", "networks:list", returns=NetworksAnswer, errors=(400,))
def list_networks() -> Any:
    """List the networks that one may use; any field is a filter"""
    return {"networks": select(_networks(), request.args, NetworkSchema().fields)}


@routes.endpoint(
    "GET", "/networks/<network_id>", "networks:list", returns=NetworkAnswer, errors=(404,)
)
def show_network(network_id: str) -> Any:
    """Show a network"""
    for body in _networks():
        if body["id"] == network_id:
            return {"network": project(body, request.args.getlist("fields"))}
    raise NotFound(f"Network {network_id} could not be found.")


@routes.endpoint("GET", "/subnets", "subnets:list", returns=SubnetsAnswer, errors=(400,))
def list_subnets() -> Any:
    """List the subnets of the networks that one may use; any field is a filter"""
    return {"subnets": select(_subnets(), request.args, SubnetSchema().fields)}


@routes.endpoint("GET", "/subnets/<subnet_id>", "subnets:list", returns=SubnetAnswer, errors=(404,))
def show_subnet(subnet_id: str) -> Any:
    """Show a subnet"""
    for body in _subnets():
        if body["id"] == subnet_id:
            return {"subnet": project(body, request.args.getlist("fields"))}
    raise NotFound(f"Subnet {subnet_id} could not be found.")


def _networks() -> list[Json]:
    return [_network(view) for view in networks.list_networks(context(), caller())]


def _subnets() -> list[Json]:
    return [_subnet(view) for view in networks.list_subnets(context(), caller())]


def common(view: Any) -> Json:
    """Return what everything of the network API has."""
    return {
        "id": view.id,
        "tenant_id": view.project_id,
        "project_id": view.project_id,
        "description": "",
        "tags": [],
        "revision_number": 0,
        "created_at": second_time(view.created_at),
        "updated_at": second_time(view.updated_at or view.created_at),
    }


def _network(view: NetworkView) -> Json:
    return {
        **common(view),
        "name": view.name,
        "status": "ACTIVE",
        "admin_state_up": True,
        "shared": view.shared,
        "router:external": False,
        "mtu": view.mtu,
        "subnets": list(view.subnet_ids),
        "availability_zones": [context().settings.availability_zone],
        "availability_zone_hints": [],
        # Interfaces are filtered against spoofing, whoever they belong to.
        "port_security_enabled": True,
    }


def _subnet(view: SubnetView) -> Json:
    return {
        **common(view),
        "name": view.name,
        "network_id": view.network_id,
        "ip_version": view.version,
        "cidr": view.cidr,
        "gateway_ip": view.gateway,
        "enable_dhcp": True,
        "dns_nameservers": list(view.dns),
        "allocation_pools": list(view.pools),
        "host_routes": [],
        "ipv6_ra_mode": None,
        "ipv6_address_mode": None,
        "subnetpool_id": None,
        "service_types": [],
    }
