"""Servers' addresses, apart from all else."""

from typing import Any

from marshmallow import INCLUDE, Schema, fields, post_dump

from app.api.auth import caller, context
from app.api.compute.schema import Json, answer
from app.api.compute.servers_body import BareAddressSchema, bare_addresses
from app.api.dialects import COMPUTE
from app.api.routes import Routes
from app.services import servers
from tasks.errors import NotFound

routes = Routes(COMPUTE, "addresses", "Servers' addresses.", "/v2.1/servers/<server_id>/ips")

Addresses: type[Schema] = answer(
    "AddressesAnswer",
    addresses=fields.Dict(
        keys=fields.String(), values=fields.List(fields.Nested(BareAddressSchema)), required=True
    ),
)


class OneNetwork(Schema):
    """A server's addresses on one network, by its name."""

    class Meta:
        unknown = INCLUDE

    @post_dump(pass_original=True)
    def _whole(self, data: Json, original: Json, **_: Any) -> Json:
        return original


@routes.endpoint("GET", "", "addresses:show", returns=Addresses, errors=(404,))
def show_addresses(server_id: str) -> Any:
    """Show a server's addresses, by network"""
    return {"addresses": _addresses(server_id)}


@routes.endpoint("GET", "/<network>", "addresses:show", returns=OneNetwork, errors=(404,))
def show_addresses_on_network(server_id: str, network: str) -> Any:
    """Show a server's addresses on one network"""
    found = _addresses(server_id)
    if network not in found:
        raise NotFound(f"Network label: {network} not found")
    return {network: found[network]}


def _addresses(server_id: str) -> dict[str, list[Json]]:
    return bare_addresses(servers.get(context(), caller(), server_id).addresses)
