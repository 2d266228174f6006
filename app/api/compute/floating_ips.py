"""Floating IPs as compute gave them before there was a network API: of pools, which are external
networks."""

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, fields

from app.api.auth import caller, context
from app.api.compute.schema import Json, Strict, Text, answer
from app.api.dialects import COMPUTE
from app.api.gates import Gate
from app.api.routes import Routes
from app.services import floating_ips, networks
from app.services.floating_ips import NewFloatingIp
from app.services.network_errors import NoAddressLeft
from app.services.network_views import NetworkView
from app.services.router_views import FloatingIpView
from tasks.errors import Conflict, Forbidden, NotFound, OverQuota

routes = Routes(
    COMPUTE,
    "floating-ips",
    "The network API's floating IPs, in compute's words; up to 2.35.",
    "/v2.1/os-floating-ips",
)
pool_routes = Routes(
    COMPUTE,
    "floating-ip-pools",
    "External networks, by their names; up to 2.35.",
    "/v2.1/os-floating-ip-pools",
)


class ComputeFloatingIp(Schema):
    """A floating IP, and the server that it stands for."""

    id = fields.String(required=True)
    ip = fields.String(required=True)
    pool = fields.String(required=True)
    fixed_ip = fields.String(required=True, allow_none=True)
    instance_id = fields.String(required=True, allow_none=True)


class AllocateFloatingIp(Strict):
    """Of which external network, by name or id; without, of the only one."""

    pool = Text(allow_none=True)


class FloatingIpPool(Schema):
    """An external network's name."""

    name = fields.String(required=True)


ComputeFloatingIps = answer(
    "ComputeFloatingIpsAnswer",
    floating_ips=fields.List(fields.Nested(ComputeFloatingIp), required=True),
)
ComputeFloatingIpAnswer = answer(
    "ComputeFloatingIpAnswer", floating_ip=fields.Nested(ComputeFloatingIp, required=True)
)
FloatingIpPools = answer(
    "FloatingIpPoolsAnswer",
    floating_ip_pools=fields.List(fields.Nested(FloatingIpPool), required=True),
)


@routes.endpoint("GET", "", "floating_ips:list", returns=ComputeFloatingIps, until=Gate.NO_PROXIES)
def list_floating_ips() -> Any:
    """List the project's floating IPs"""
    own = {"project_id": [caller().project_id]}
    views = floating_ips.list_floating_ips(context(), caller(), own)
    names = {network.id: _name(network) for network in _pools()}
    return {"floating_ips": [_body(view, names) for view in views]}


@routes.endpoint(
    "POST",
    "",
    "floating_ips:create",
    body=AllocateFloatingIp,
    returns=ComputeFloatingIpAnswer,
    errors=(404, 409),
    until=Gate.NO_PROXIES,
)
def create_floating_ip(body: Json) -> Any:
    """Take an address of a pool"""
    pool = _pool(body.get("pool"))
    try:
        view = floating_ips.create(context(), caller(), NewFloatingIp(pool.id))
    except OverQuota as error:
        raise Forbidden(f"IP allocation over quota in pool {_name(pool)}.") from error
    except NoAddressLeft as error:
        raise NotFound(f"No more floating IPs in pool {_name(pool)}.") from error
    return {"floating_ip": _body(view, {pool.id: _name(pool)})}


@routes.endpoint(
    "GET",
    "/<floating_id>",
    "floating_ips:list",
    returns=ComputeFloatingIpAnswer,
    errors=(404,),
    until=Gate.NO_PROXIES,
)
def show_floating_ip(floating_id: str) -> Any:
    """Show a floating IP"""
    view = floating_ips.get(context(), caller(), floating_id)
    network = networks.get(context(), caller(), view.network_id)
    return {"floating_ip": _body(view, {network.id: _name(network)})}


@routes.endpoint(
    "DELETE",
    "/<floating_id>",
    "floating_ips:delete",
    status=202,
    errors=(404,),
    until=Gate.NO_PROXIES,
)
def delete_floating_ip(floating_id: str) -> None:
    """Give an address back"""
    floating_ips.delete(context(), caller(), floating_id)


@pool_routes.endpoint(
    "GET", "", "floating_ips:list", returns=FloatingIpPools, until=Gate.NO_PROXIES
)
def list_pools() -> Any:
    """List the pools that floating IPs can be of"""
    return {"floating_ip_pools": [{"name": _name(network)} for network in _pools()]}


def _pools() -> list[NetworkView]:
    return [view for view in networks.list_networks(context(), caller()) if view.external]


def _pool(word: str | None) -> NetworkView:
    """Return the external network of this id or name; without a word, the only one. Raises
    NotFound, Conflict."""
    found = [each for each in _pools() if word in (None, each.id, each.name)]
    if not found:
        raise NotFound("Floating IP pool not found.")
    if len(found) > 1:
        raise Conflict("pool: must name one of several external networks, by its id if need be.")
    return found[0]


def _name(network: NetworkView) -> str:
    return network.name or network.id


def _body(view: FloatingIpView, names: Mapping[str, str]) -> Json:
    return {
        "id": view.id,
        "ip": view.address,
        # A network that came after its list was read is told by its id.
        "pool": names.get(view.network_id, view.network_id),
        "fixed_ip": view.fixed_address,
        "instance_id": None if view.port is None else view.port.server_id,
    }
