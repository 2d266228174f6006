"""Networks and ports as hosts carry them out."""

from typing import Any, Literal

from pydantic import Field, model_validator

from tasks.messages.base import Value


class Route(Value):
    """A route that guests of a subnet are given, beside the default one."""

    destination: str
    nexthop: str


class SubnetSpec(Value):
    """A block of addresses of a network."""

    subnet_id: str
    version: Literal[4, 6]
    cidr: str
    #: The guests' way out, which on all kinds but `provider` is the host itself; none: no way out.
    gateway: str | None
    #: The host's own address there, from which it answers DHCP; the gateway, if there is one.
    #: The same on every host. None where the host has no address (`provider`).
    host_address: str | None
    dns: list[str] = Field(default_factory=list)
    routes: list[Route] = Field(default_factory=list)
    #: Whether the host answers DHCP for it.
    dhcp: bool = True


class Overlay(Value):
    """The tunnel by which a network spans hosts (VXLAN, RFC 7348, head-end replication)."""

    vni: int = Field(ge=1, le=16_777_215)
    #: Underlay addresses of the other hosts that carry the network.
    peers: list[str] = Field(default_factory=list)


class NetworkSpec(Value):
    """A network as its hosts carry it out.

    `nat`: a bridge of the host's own, from which subnets with a gateway reach the world by NAT.
    `isolated`: the same without a way out. Both span hosts if they have an overlay.
    `provider`: a bridge that the host's operator made, by the name of its physical network.
    """

    network_id: str
    name: str
    kind: Literal["nat", "isolated", "provider"] = "nat"
    mtu: int = Field(ge=576, le=9216)
    subnets: list[SubnetSpec]
    overlay: Overlay | None = None
    #: `provider` only: the host's setting `physical_networks` says which bridge that is.
    physical_network: str | None = None
    #: `provider` only: IEEE 802.1Q tag.
    vlan: int | None = Field(default=None, ge=1, le=4094)

    @model_validator(mode="before")
    @classmethod
    def _of_version_2(cls, raw: Any) -> Any:
        """Version 2 knew one IPv4 subnet, in the network's own fields."""
        if not isinstance(raw, dict) or "subnets" in raw or "cidr" not in raw:
            return raw
        raw = dict(raw)
        gateway = raw.pop("gateway", None)
        subnet = {
            "subnet_id": raw.get("network_id"),
            "version": 4,
            "cidr": raw.pop("cidr"),
            "gateway": gateway,
            "host_address": gateway,
            "dns": raw.pop("dns", []),
        }
        return {**raw, "subnets": [subnet]}


class PortAddress(Value):
    """One fixed address of a port."""

    subnet_id: str
    address: str
    prefix_length: int = Field(ge=0, le=128)


class AddressPair(Value):
    """Neutron's allowed address pair: what else a port may send from. An address or a prefix."""

    address: str
    #: None: the port's own.
    mac: str | None = None


class PortSpec(Value):
    """One interface: the control plane chose the MAC and the addresses before anything was made."""

    port_id: str
    network_id: str
    mac: str
    addresses: list[PortAddress]
    #: Neutron's port security: with it the interface is kept to its own MAC and addresses, and to
    #: what its security groups allow; without it, to nothing.
    security: bool = True
    #: Ids of its security groups. With none, nothing but DHCP, ARP and ND gets through.
    groups: list[str] = Field(default_factory=list)
    pairs: list[AddressPair] = Field(default_factory=list)
    #: Whether its groups decide what gets through. Not so for ports of version 2, which knew none.
    grouped: bool = True
    #: By which its guest is to know it, in its metadata; empty: none.
    tag: str = ""

    @model_validator(mode="before")
    @classmethod
    def _of_version_2(cls, raw: Any) -> Any:
        """Version 2 knew one address, in the port's own fields, and no groups: all was open."""
        if not isinstance(raw, dict) or "addresses" in raw or "address" not in raw:
            return raw
        raw = dict(raw)
        address = {
            "subnet_id": raw.get("network_id"),
            "address": raw.pop("address"),
            "prefix_length": raw.pop("prefix_length", 32),
        }
        return {**raw, "addresses": [address], "grouped": False}
