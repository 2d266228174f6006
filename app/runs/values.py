"""Rows of ports turned into the values that cross the broker."""

from ipaddress import ip_interface, ip_network

from app.db.models import FixedAddress, Port
from tasks.messages import AddressPair, PortAddress, PortSpec, PortsRef


def port_spec(port: Port) -> PortSpec:
    """Return a port as a hypervisor sees it."""
    return PortSpec(
        port_id=port.id,
        network_id=port.network_id,
        mac=port.mac,
        addresses=[_address(held) for held in port.addresses],
        security=port.port_security,
        tag=port.tag,
        pairs=[
            AddressPair(address=pair["ip_address"], mac=pair.get("mac_address"))
            for pair in port.address_pairs
        ],
    )


def ports_ref(ports: list[Port]) -> PortsRef:
    """Return the ports whose traces are to go."""
    return PortsRef(ports=[port_spec(port) for port in ports])


def _address(held: FixedAddress) -> PortAddress:
    return PortAddress(
        subnet_id=held.subnet_id,
        address=held.address,
        prefix_length=ip_network(held.subnet.cidr).prefixlen,
    )


def network_prefix(prefix: str | None) -> str | None:
    """Return a rule's prefix without the bits behind it; one that holds everything is none."""
    if prefix is None:
        return None
    network = ip_interface(prefix).network
    return str(network) if network.prefixlen else None
