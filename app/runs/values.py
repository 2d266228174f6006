"""Rows turned into the values that cross the broker."""

from ipaddress import IPv4Network

from app.db.models import Network, Port
from tasks.messages import NetworkSpec, PortAddress, PortSpec, PortsRef, SubnetSpec


def port_spec(port: Port) -> PortSpec:
    """Return a port as a hypervisor sees it."""
    return PortSpec(
        port_id=port.id,
        network_id=port.network_id,
        mac=port.mac,
        addresses=[
            PortAddress(
                subnet_id=port.subnet_id,
                address=port.address,
                prefix_length=IPv4Network(port.subnet.cidr).prefixlen,
            )
        ],
    )


def ports_ref(ports: list[Port]) -> PortsRef:
    """Return the ports whose traces are to go."""
    return PortsRef(ports=[port_spec(port) for port in ports])


def network_spec(network: Network) -> NetworkSpec:
    """Return a network, with its first subnet, as a hypervisor carries it out."""
    subnet = network.subnets[0]
    return NetworkSpec(
        network_id=network.id,
        name=network.name,
        mtu=network.mtu,
        subnets=[
            SubnetSpec(
                subnet_id=subnet.id,
                version=4,
                cidr=subnet.cidr,
                gateway=subnet.gateway,
                host_address=subnet.gateway,
                dns=list(subnet.dns),
            )
        ],
    )
