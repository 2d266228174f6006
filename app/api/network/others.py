"""What clients list beside networks: the zone that networks are in, and what there is none of."""

from typing import Any

from flask import request
from marshmallow import Schema, fields

from app.api.auth import context
from app.api.dialects import NETWORK
from app.api.network.lists import select
from app.api.routes import Routes

routes = Routes(NETWORK, "others", "Zones; agents and subnet pools, of which there are none.")


class NetworkZoneSchema(Schema):
    """A zone, as networks or routers are in it."""

    name = fields.String()
    resource = fields.String()
    state = fields.String()


class NetworkZonesAnswer(Schema):
    """Zones."""

    availability_zones = fields.List(fields.Nested(NetworkZoneSchema), required=True)


class NetworkAgentsAnswer(Schema):
    """Neutron's agents: hosts' workers are compute's services."""

    agents = fields.List(fields.Dict(), required=True)


class SubnetPoolsAnswer(Schema):
    """Pools from which subnets would get their blocks."""

    subnetpools = fields.List(fields.Dict(), required=True)


@routes.endpoint(
    "GET", "/v2.0/availability_zones", "zones:list", returns=NetworkZonesAnswer, errors=(400,)
)
def list_zones() -> Any:
    """List the zone that all networks and routers are in"""
    name = context().settings.availability_zone
    bodies = [
        {"name": name, "resource": resource, "state": "available"}
        for resource in ("network", "router")
    ]
    return select("availability_zones", bodies, request.args, NetworkZoneSchema().fields)


@routes.endpoint("GET", "/v2.0/agents", "agents:list", returns=NetworkAgentsAnswer)
def list_agents() -> Any:
    """List Neutron's agents: there are none"""
    return {"agents": []}


@routes.endpoint("GET", "/v2.0/subnetpools", "subnetpools:list", returns=SubnetPoolsAnswer)
def list_subnet_pools() -> Any:
    """List pools of subnets: there are none"""
    return {"subnetpools": []}
