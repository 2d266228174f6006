"""OpenStack's first-boot files, as cloud-init reads them from a config drive. Pure.

Interfaces are matched by MAC address alone, and addresses are given as static, so that an
unmodified cloud-init configures the guest without a metadata service and without guessing names.
"""

import base64
import binascii
import ipaddress
import json
from typing import Any

from tasks.errors import MalformedMessage
from tasks.messages import FirstBoot, NetworkSpec, PortAddress, PortSpec, SubnetSpec

#: `latest` is what cloud-init looks for first; the dated one is for readers that want a version.
VERSIONS = ("latest", "2018-08-27")


def first_boot_files(
    server_id: str,
    project_id: str,
    first_boot: FirstBoot,
    networks: list[NetworkSpec],
    ports: list[PortSpec],
    *,
    random_seed: bytes,
) -> dict[str, bytes]:
    """Return path -> content. Raises MalformedMessage if the user data is not base64 or a port's
    network is not among the networks."""
    files = {
        "meta_data.json": _json(_meta_data(server_id, project_id, first_boot, random_seed)),
        "network_data.json": _json(_network_data(networks, ports)),
        "vendor_data.json": _json({}),
        "vendor_data2.json": _json({}),
    }
    user_data = _decoded(first_boot.user_data)
    if user_data:
        files["user_data"] = user_data
    return {
        f"openstack/{version}/{name}": content
        for version in VERSIONS
        for name, content in files.items()
    }


def _meta_data(
    server_id: str, project_id: str, first_boot: FirstBoot, random_seed: bytes
) -> dict[str, Any]:
    data: dict[str, Any] = {
        "uuid": server_id,
        "hostname": first_boot.hostname,
        "name": first_boot.name,
        "availability_zone": first_boot.availability_zone,
        "project_id": project_id,
        "launch_index": 0,
        "devices": [],
        "meta": first_boot.metadata,
        "public_keys": first_boot.public_keys,
        "keys": [
            {"name": name, "type": "ssh", "data": key}
            for name, key in first_boot.public_keys.items()
        ],
        "random_seed": base64.b64encode(random_seed).decode(),
    }
    if first_boot.admin_pass:
        data["admin_pass"] = first_boot.admin_pass
    return data


def _network_data(networks: list[NetworkSpec], ports: list[PortSpec]) -> dict[str, Any]:
    by_id = {network.network_id: network for network in networks}
    links: list[dict[str, Any]] = []
    addresses: list[dict[str, Any]] = []
    servers: list[str] = []
    for port in ports:
        network = by_id.get(port.network_id)
        if network is None:
            raise MalformedMessage(f"port {port.port_id} is on a network that was not sent")
        links.append(_link(network, port))
        for subnet, address in subnets_of(network, port):
            addresses.append(_address(len(addresses), subnet, port, address))
            servers += [server for server in subnet.dns if server not in servers]
    return {
        "links": links,
        "networks": addresses,
        "services": [_dns(server) for server in servers],
    }


def _link(network: NetworkSpec, port: PortSpec) -> dict[str, Any]:
    return {
        "id": _link_id(port),
        "vif_id": port.port_id,
        "type": "phy",
        "ethernet_mac_address": port.mac,
        "mtu": network.mtu,
    }


def subnets_of(network: NetworkSpec, port: PortSpec) -> list[tuple[SubnetSpec, PortAddress]]:
    """Return each of the port's addresses with its subnet. Raises MalformedMessage."""
    by_id = {subnet.subnet_id: subnet for subnet in network.subnets}
    missing = [a.subnet_id for a in port.addresses if a.subnet_id not in by_id]
    if missing:
        raise MalformedMessage(f"port {port.port_id} is on a subnet that was not sent")
    return [(by_id[address.subnet_id], address) for address in port.addresses]


def _address(
    number: int, subnet: SubnetSpec, port: PortSpec, address: PortAddress
) -> dict[str, Any]:
    default_route = {"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": subnet.gateway}  # noqa: S104
    return {
        "id": f"network{number}",
        "network_id": port.network_id,
        "type": "ipv4",
        "link": _link_id(port),
        "ip_address": address.address,
        "netmask": str(ipaddress.ip_network(f"0.0.0.0/{address.prefix_length}").netmask),
        "routes": [default_route] if subnet.gateway else [],
        "services": [_dns(server) for server in subnet.dns],
    }


def _link_id(port: PortSpec) -> str:
    return f"tap{port.port_id[:11]}"


def _dns(server: str) -> dict[str, str]:
    return {"type": "dns", "address": server}


def _decoded(user_data: str) -> bytes:
    try:
        return base64.b64decode(user_data, validate=True)
    except binascii.Error as error:
        raise MalformedMessage("the user data is not base64") from error


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
