"""OpenStack's `network_data.json`: interfaces by MAC, and static addresses. Pure."""

import ipaddress
from typing import Any

from tasks.errors import MalformedMessage
from tasks.messages import NetworkSpec, PortAddress, PortSpec, SubnetSpec

Json = dict[str, Any]

_METADATA_PREFIX = "169.254.169.254/32"
_DEFAULT = {4: "0.0.0.0/0", 6: "::/0"}


def network_data(networks: list[NetworkSpec], ports: list[PortSpec]) -> Json:
    """Return the file's content. Raises MalformedMessage if a port's network or subnet is not
    among those given.

    Of several subnets with a gateway the first one of each IP version, in the order of the ports,
    has the default route: two of them would make some guests' network services fail.
    """
    by_id = {network.network_id: network for network in networks}
    links: list[Json] = []
    places: list[tuple[PortSpec, SubnetSpec, PortAddress]] = []
    for port in ports:
        network = by_id.get(port.network_id)
        if network is None:
            raise MalformedMessage(f"port {port.port_id} is on a network that was not sent")
        links.append(_link(network, port))
        places += [(port, subnet, address) for subnet, address in subnets_of(network, port)]
    routes = _routes([subnet for _, subnet, _ in places])
    servers = list(dict.fromkeys(server for _, subnet, _ in places for server in subnet.dns))
    return {
        "links": links,
        "networks": [
            _address(number, port, subnet, address, routes[number])
            for number, (port, subnet, address) in enumerate(places)
        ],
        "services": [_dns(server) for server in servers],
    }


def subnets_of(network: NetworkSpec, port: PortSpec) -> list[tuple[SubnetSpec, PortAddress]]:
    """Return each of the port's addresses with its subnet. Raises MalformedMessage."""
    by_id = {subnet.subnet_id: subnet for subnet in network.subnets}
    missing = [a.subnet_id for a in port.addresses if a.subnet_id not in by_id]
    if missing:
        raise MalformedMessage(f"port {port.port_id} is on a subnet that was not sent")
    return [(by_id[address.subnet_id], address) for address in port.addresses]


def _routes(subnets: list[SubnetSpec]) -> list[list[Json]]:
    """Return the routes of each place."""
    found: list[list[Json]] = []
    defaults: set[int] = set()
    told_metadata = False
    for subnet in subnets:
        routes = [_route(route.destination, route.nexthop) for route in subnet.routes]
        has_default = subnet.gateway is not None and subnet.version not in defaults
        if has_default:
            defaults.add(subnet.version)
            routes.insert(0, _route(_DEFAULT[subnet.version], str(subnet.gateway)))
        # The host itself answers there: on the first subnet where it has an address.
        if subnet.version == 4 and subnet.host_address and not told_metadata:
            told_metadata = True
            if not (has_default and subnet.gateway == subnet.host_address):
                routes.append(_route(_METADATA_PREFIX, subnet.host_address))
        found.append(routes)
    return found


def _route(destination: str, gateway: str) -> Json:
    prefix = ipaddress.ip_network(destination)
    return {
        "network": str(prefix.network_address),
        "netmask": str(prefix.netmask),
        "gateway": gateway,
    }


def _link(network: NetworkSpec, port: PortSpec) -> Json:
    return {
        "id": _link_id(port),
        "vif_id": port.port_id,
        "type": "phy",
        "ethernet_mac_address": port.mac.lower(),
        "mtu": network.mtu,
    }


def _address(
    number: int, port: PortSpec, subnet: SubnetSpec, address: PortAddress, routes: list[Json]
) -> Json:
    mask = ipaddress.ip_interface(f"{address.address}/{address.prefix_length}").netmask
    return {
        "id": f"network{number}",
        "network_id": port.network_id,
        "type": f"ipv{subnet.version}",
        "link": _link_id(port),
        "ip_address": address.address,
        "netmask": str(mask),
        "routes": routes,
        "services": [_dns(server) for server in subnet.dns],
    }


def _link_id(port: PortSpec) -> str:
    return f"tap{port.port_id[:11]}"


def _dns(server: str) -> dict[str, str]:
    return {"type": "dns", "address": server}
