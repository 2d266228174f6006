"""What the network API refuses that its clients tell apart by name (app.api.dialects)."""

from tasks.errors import Conflict, NotFound, RequestError


class InvalidInput(RequestError):
    """A value that does not fit the others, or what is there."""

    code = "invalid_input"


class NetworkNotFound(NotFound):
    """No such network, or another project's."""

    code = "network_not_found"

    def __init__(self, network_id: str) -> None:
        super().__init__(f"Network {network_id} could not be found.")


class SubnetNotFound(NotFound):
    """No such subnet, or of another project's network."""

    code = "subnet_not_found"

    def __init__(self, subnet_id: str) -> None:
        super().__init__(f"Subnet {subnet_id} could not be found.")


class PortNotFound(NotFound):
    """No such port, or another project's."""

    code = "port_not_found"

    def __init__(self, port_id: str) -> None:
        super().__init__(f"Port {port_id} could not be found.")


class NetworkInUse(Conflict):
    """Ports are on the network."""

    code = "network_in_use"


class SubnetInUse(Conflict):
    """Ports have addresses of the subnet."""

    code = "subnet_in_use"


class PortInUse(Conflict):
    """A server has the port."""

    code = "port_in_use"


class MacAddressInUse(Conflict):
    """Another port has the MAC."""

    code = "mac_address_in_use"


class IpAddressInUse(Conflict):
    """Another port has the address, or the network itself."""

    code = "ip_address_in_use"


class NoAddressLeft(Conflict):
    """The subnet has no address left."""

    code = "ip_address_generation_failure"


class GatewayInPool(Conflict):
    """The gateway is among the addresses that ports may get."""

    code = "gateway_conflict"


class Overlap(Conflict):
    """The block overlaps another one that the same hosts route, or one that is kept free."""

    code = "cidr_overlap"


class SegmentInUse(Conflict):
    """Another network has that VLAN of the physical network, or that tunnel."""

    code = "segment_in_use"


class DefaultExternalNetworkExists(Conflict):
    """There is one that is the default already."""

    code = "default_external_network_exists"

    def __init__(self, network_id: str) -> None:
        super().__init__(f"A default external network already exists: {network_id}.")


class AutoAllocationFailure(Conflict):
    """What an automatic network would be made from is not there."""

    code = "auto_allocation_failure"

    def __init__(self, reason: str) -> None:
        super().__init__(f"Deployment error: {reason}.")


class GatewayInUse(Conflict):
    """A router has the subnet's gateway address."""

    code = "gateway_in_use"


class RouterNotFound(NotFound):
    """No such router, or another project's."""

    code = "router_not_found"

    def __init__(self, router_id: str) -> None:
        super().__init__(f"Router {router_id} could not be found")


class RouterInUse(Conflict):
    """The router is on subnets."""

    code = "router_in_use"


class RouterGatewayInUse(Conflict):
    """Floating IPs need the router's way to the world."""

    code = "router_gateway_in_use"


class RouterInterfaceInUse(Conflict):
    """Floating IPs need the router's interface."""

    code = "router_interface_in_use"


class RouterInterfaceNotFound(NotFound):
    """The router has no such port."""

    code = "router_interface_not_found"


class NoInterfaceOnSubnet(NotFound):
    """The router is not on the subnet."""

    code = "no_interface_on_subnet"


class FloatingIpNotFound(NotFound):
    """No such floating IP, or another project's."""

    code = "floating_ip_not_found"

    def __init__(self, floating_id: str) -> None:
        super().__init__(f"Floating IP {floating_id} could not be found")


class FloatingIpTaken(Conflict):
    """The port's address has a floating IP of that network."""

    code = "floating_ip_taken"


class NoWayToFloatingIp(NotFound):
    """No router leads from the port's subnet to the external network."""

    code = "no_way_to_floating_ip"
