"""Networks: create, list, show, update, delete."""

from typing import Any, ClassVar

from flask import request
from marshmallow import Schema, fields, validate

from app.api.auth import caller, context
from app.api.compute.schema import Count, Flag, Strict, wrapped
from app.api.dialects import NETWORK
from app.api.links import LinkSchema
from app.api.network.common import (
    Common,
    common,
    name_field,
    project_of,
    renamed,
    short_list,
    text_field,
)
from app.api.network.lists import Json, facts, project, select
from app.api.routes import Routes
from app.services import networks
from app.services.network_views import NetworkView
from app.services.networks import NewNetwork

routes = Routes(NETWORK, "networks", "What servers can be on.", "/v2.0/networks")

#: Names of physical networks are words of the operator's: they are looked for in text.
_WORD = validate.Regexp(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")


class NetworkSchema(Common):
    """A network. What begins with `provider:` is shown to administrators only."""

    class Meta:
        include = {
            "router:external": fields.Boolean(),
            "provider:network_type": fields.String(),
            "provider:physical_network": fields.String(allow_none=True),
            "provider:segmentation_id": fields.Integer(allow_none=True),
        }

    status = fields.String()
    admin_state_up = fields.Boolean()
    shared = fields.Boolean()
    #: Of external networks.
    is_default = fields.Boolean()
    mtu = fields.Integer()
    subnets = fields.List(fields.String())
    availability_zones = fields.List(fields.String())
    availability_zone_hints = fields.List(fields.String())
    port_security_enabled = fields.Boolean()


class UpdateNetwork(Strict):
    """What can be changed of a network."""

    class Meta(Strict.Meta):
        include: ClassVar[Json] = {"router:external": Flag()}

    name = name_field()
    description = name_field()
    admin_state_up = Flag()
    shared = Flag()
    is_default = Flag()
    mtu = Count(allow_none=True)
    port_security_enabled = Flag()


class CreateNetwork(UpdateNetwork):
    """A network to be made. With nothing said it spans hosts."""

    class Meta(UpdateNetwork.Meta):
        include = {
            **UpdateNetwork.Meta.include,
            "provider:network_type": text_field(64, allow_none=True),
            "provider:physical_network": fields.String(allow_none=True, validate=_WORD),
            "provider:segmentation_id": Count(allow_none=True),
        }

    project_id = text_field()
    tenant_id = text_field()
    availability_zone_hints = short_list(text_field())


class NetworksAnswer(Schema):
    """Networks."""

    networks = fields.List(fields.Nested(NetworkSchema), required=True)
    networks_links = fields.List(fields.Nested(LinkSchema))


class NetworkAnswer(Schema):
    """A network, wrapped."""

    network = fields.Nested(NetworkSchema, required=True)


#: field -> column, for the filters that the database applies
_FACTS = {"id": "id", "name": "name", "project_id": "project_id"}
#: field -> column
_COLUMNS = {
    "name": "name",
    "description": "description",
    "admin_state_up": "admin_state_up",
    "shared": "shared",
    "router:external": "external",
    "is_default": "is_default",
    "mtu": "mtu",
    "port_security_enabled": "port_security",
}
_NEW = {
    **_COLUMNS,
    "provider:network_type": "provider_type",
    "provider:physical_network": "physical_network",
    "provider:segmentation_id": "segment",
}


@routes.endpoint("GET", "", "networks:list", returns=NetworksAnswer, errors=(400,))
def list_networks() -> Any:
    """List the networks that one may use; any field is a filter"""
    narrow = facts(request.args, _FACTS)
    bodies = [_network(view) for view in networks.list_networks(context(), caller(), narrow)]
    return select("networks", bodies, request.args, NetworkSchema().fields)


@routes.endpoint(
    "POST",
    "",
    "networks:create",
    body=wrapped("network", CreateNetwork),
    returns=NetworkAnswer,
    status=201,
    errors=(404, 409),
)
def create_network(body: Json) -> Any:
    """Make a network"""
    asked = body["network"]
    new = NewNetwork(project_id=project_of(asked), **renamed(asked, _NEW))
    return {"network": _network(networks.create(context(), caller(), new))}


@routes.endpoint("GET", "/<network_id>", "networks:list", returns=NetworkAnswer, errors=(404,))
def show_network(network_id: str) -> Any:
    """Show a network"""
    body = _network(networks.get(context(), caller(), network_id))
    return {"network": project(body, request.args.getlist("fields"))}


@routes.endpoint(
    "PUT",
    "/<network_id>",
    "networks:update",
    body=wrapped("network", UpdateNetwork),
    returns=NetworkAnswer,
    errors=(404, 409),
)
def update_network(body: Json, network_id: str) -> Any:
    """Change a network"""
    changes = renamed(body["network"], _COLUMNS)
    return {"network": _network(networks.update(context(), caller(), network_id, changes))}


@routes.endpoint("DELETE", "/<network_id>", "networks:delete", status=204, errors=(404, 409))
def delete_network(network_id: str) -> None:
    """Remove a network that no port is on"""
    networks.delete(context(), caller(), network_id)


def _network(view: NetworkView) -> Json:
    body = {
        **common(view),
        "status": "ACTIVE",
        "admin_state_up": view.admin_state_up,
        "shared": view.shared,
        "router:external": view.external,
        "mtu": view.mtu,
        "subnets": list(view.subnet_ids),
        "availability_zones": [context().settings.availability_zone],
        "availability_zone_hints": [],
        "port_security_enabled": view.port_security,
    }
    if view.external:
        body["is_default"] = view.is_default
    if caller().is_admin:
        body |= {
            "provider:network_type": view.provider_type,
            "provider:physical_network": view.provider_physical,
            "provider:segmentation_id": view.provider_segment,
        }
    return body
