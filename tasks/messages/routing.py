"""What is routed between networks and to the world: routers and floating IPs."""

from pydantic import Field

from tasks.messages.base import Value


class RoutedSubnet(Value):
    """A subnet that a router leads to."""

    network_id: str
    cidr: str


class RouterSpec(Value):
    """What a router lets through on each host: its subnets reach each other."""

    router_id: str
    subnets: list[RoutedSubnet]
    #: Whether its subnets reach the world, by the host's NAT.
    world: bool
    #: Whether they reach each other.
    up: bool = True


class RemoteAddress(Value):
    """An address on a routed network that a port of another host has, and how to get there."""

    network_id: str
    address: str
    mac: str
    #: The other host's underlay address.
    host_ip: str


class ExternalSpec(Value):
    """An external network: where floating IPs are answered for."""

    network_id: str
    #: On the operator's bridge that the host has for this name, with the VLAN tag if there is one;
    #: without a name on the host's uplink.
    physical_network: str | None = None
    vlan: int | None = Field(default=None, ge=1, le=4094)
    cidr: str
    #: The way out for what leaves with a floating IP, on an operator's bridge.
    gateway: str | None


class FloatingSpec(Value):
    """A floating IP of a port of this host: one of the port's IPv4 addresses by another name."""

    floating_id: str
    address: str
    port_id: str
    #: The port's network, and the address there.
    network_id: str
    fixed: str
    external: ExternalSpec


class RoutingSpec(Value):
    """The routers of a host's networks, and the floating IPs of its ports."""

    routers: list[RouterSpec] = Field(default_factory=list)
    remotes: list[RemoteAddress] = Field(default_factory=list)
    floating: list[FloatingSpec] = Field(default_factory=list)
