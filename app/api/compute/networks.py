"""Networks as compute showed them before there was a network API. Of what nova-network said of one,
only id and name are known; the rest is null."""

from typing import Any

from marshmallow import Schema, fields
from werkzeug import exceptions

from app.api.auth import caller, context
from app.api.compute.schema import Json, answer
from app.api.dialects import COMPUTE
from app.api.gates import Gate
from app.api.routes import Routes
from app.services import networks
from app.services.network_views import NetworkView

routes = Routes(COMPUTE, "networks", "The network API's networks; up to 2.35.", "/v2.1/os-networks")
tenant_routes = Routes(
    COMPUTE, "tenant-networks", "The same, in brief; up to 2.35.", "/v2.1/os-tenant-networks"
)

_UNKNOWN = (
    "cidr",
    "netmask",
    "gateway",
    "broadcast",
    "dns1",
    "dns2",
    "cidr_v6",
    "gateway_v6",
    "netmask_v6",
)
_UNKNOWN_TO_ADMINS = (
    "created_at",
    "updated_at",
    "deleted_at",
    "deleted",
    "injected",
    "bridge",
    "vlan",
    "vpn_public_address",
    "vpn_public_port",
    "vpn_private_address",
    "dhcp_start",
    "project_id",
    "host",
    "bridge_interface",
    "multi_host",
    "priority",
    "rxtx_base",
    "mtu",
    "dhcp_server",
    "enable_dhcp",
    "share_address",
)


class ComputeNetwork(Schema):
    """A network. What is null is nova-network's; administrators are shown more of it."""

    class Meta:
        include = {
            **{name: fields.String(required=True, allow_none=True) for name in _UNKNOWN},
            **{name: fields.String(allow_none=True) for name in _UNKNOWN_TO_ADMINS},
        }

    id = fields.String(required=True)
    label = fields.String(required=True)


class TenantNetwork(Schema):
    """A network, in brief."""

    id = fields.String(required=True)
    label = fields.String(required=True)
    cidr = fields.String(required=True, metadata={"description": "Nova's word for none: None."})


ComputeNetworks = answer(
    "ComputeNetworksAnswer", networks=fields.List(fields.Nested(ComputeNetwork), required=True)
)
ComputeNetworkAnswer = answer(
    "ComputeNetworkAnswer", network=fields.Nested(ComputeNetwork, required=True)
)
TenantNetworks = answer(
    "TenantNetworksAnswer", networks=fields.List(fields.Nested(TenantNetwork), required=True)
)
TenantNetworkAnswer = answer(
    "TenantNetworkAnswer", network=fields.Nested(TenantNetwork, required=True)
)


@routes.endpoint("GET", "", "networks:list", returns=ComputeNetworks, until=Gate.NO_PROXIES)
def list_networks() -> Any:
    """List the networks that one may use"""
    return {"networks": [_full(view) for view in networks.list_networks(context(), caller())]}


@routes.endpoint(
    "GET",
    "/<network_id>",
    "networks:list",
    returns=ComputeNetworkAnswer,
    errors=(404,),
    until=Gate.NO_PROXIES,
)
def show_network(network_id: str) -> Any:
    """Show a network"""
    return {"network": _full(networks.get(context(), caller(), network_id))}


@routes.endpoint("POST", "", "networks:change", errors=(410,), until=Gate.NO_PROXIES)
def create_network() -> None:
    """Say that networks are not made here, as Nova does"""
    _refuse()


@routes.endpoint("POST", "/add", "networks:change", errors=(410,), until=Gate.NO_PROXIES)
def add_network() -> None:
    """Say that networks are not given to projects here, as Nova does"""
    _refuse()


@routes.endpoint("DELETE", "/<network_id>", "networks:change", errors=(410,), until=Gate.NO_PROXIES)
def delete_network(network_id: str) -> None:  # noqa: ARG001
    """Say that networks are not removed here, as Nova does"""
    _refuse()


@routes.endpoint(
    "POST", "/<network_id>/action", "networks:change", errors=(410,), until=Gate.NO_PROXIES
)
def change_network(network_id: str) -> None:  # noqa: ARG001
    """Say that networks are not taken from projects here, as Nova does"""
    _refuse()


@tenant_routes.endpoint("GET", "", "networks:list", returns=TenantNetworks, until=Gate.NO_PROXIES)
def list_tenant_networks() -> Any:
    """List the networks that one may use, in brief"""
    return {"networks": [_brief(view) for view in networks.list_networks(context(), caller())]}


@tenant_routes.endpoint(
    "GET",
    "/<network_id>",
    "networks:list",
    returns=TenantNetworkAnswer,
    errors=(404,),
    until=Gate.NO_PROXIES,
)
def show_tenant_network(network_id: str) -> Any:
    """Show a network in brief"""
    return {"network": _brief(networks.get(context(), caller(), network_id))}


@tenant_routes.endpoint("POST", "", "networks:change", errors=(410,), until=Gate.NO_PROXIES)
def create_tenant_network() -> None:
    """Say that networks are not made here, as Nova does"""
    _refuse()


@tenant_routes.endpoint(
    "DELETE", "/<network_id>", "networks:change", errors=(410,), until=Gate.NO_PROXIES
)
def delete_tenant_network(network_id: str) -> None:  # noqa: ARG001
    """Say that networks are not removed here, as Nova does"""
    _refuse()


def _refuse() -> None:
    raise exceptions.Gone("This was nova-network's: networks are changed by the network API.")


def _full(view: NetworkView) -> Json:
    unknown = _UNKNOWN + (_UNKNOWN_TO_ADMINS if caller().is_admin else ())
    return {"id": view.id, "label": view.name, **dict.fromkeys(unknown)}


def _brief(view: NetworkView) -> Json:
    return {"id": view.id, "label": view.name, "cidr": "None"}
