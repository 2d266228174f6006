"""Networks and DHCP entries as libvirt describes them. Pure."""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from lxml import etree

from tasks.messages import NetworkSpec, PortSpec, SubnetSpec
from workers.hypervisor import names
from workers.hypervisor.libvirt.domain_xml import METADATA_PREFIX, NAMESPACE, as_text

#: A guest asks again every half of it. Short, because a lease that could not be given back keeps
#: its address from every other MAC; dnsmasq knows nothing under 120.
LEASE_S = 300

#: The MAC of an entry that no interface may use. With no entry at all libvirt turns DHCP off, and
#: on and off takes dnsmasq half a second and every guest's requests of that time.
NOBODY = "02:00:00:00:00:00"
#: Where the host answers for metadata; guests without a default route need one to it (DHCP's option
#: 121, RFC 3442).
METADATA_ROUTE = "169.254.169.254/32"
_DNSMASQ = "http://libvirt.org/schemas/network/dnsmasq/1.0"
#: A host name that dnsmasq's file can hold: nothing that ends a field or a line.
_HOST_NAME = re.compile(r"[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
#: DUID-LL of an Ethernet interface (RFC 8415, section 11.4), before its MAC.
_DUID_LL = "00:03:00:01:"


@dataclass(frozen=True)
class DhcpEntry:
    """A static DHCP entry: this MAC gets this address, IPv4 or IPv6."""

    mac: str
    address: str
    name: str | None

    @property
    def version(self) -> int:
        """4 or 6"""
        return ipaddress.ip_address(self.address).version

    def xml(self) -> str:
        """Return the entry as libvirt takes it."""
        return as_text(self.element())

    def element(self) -> etree._Element:
        """Return the entry as a part of a network. For IPv6 libvirt knows clients by their DUID
        alone; the one that is made of the MAC is the one that can be known before they ask."""
        if self.version == 6:
            host = etree.Element("host", id=_DUID_LL + self.mac, ip=self.address)
        else:
            host = etree.Element("host", mac=self.mac, ip=self.address)
        if self.name:
            host.set("name", self.name)
        etree.SubElement(host, "lease", expiry=str(LEASE_S), unit="seconds")
        return host


def network_xml(
    spec: NetworkSpec, bridge: str | None = None, entries: Sequence[DhcpEntry] = ()
) -> str:
    """Return the network as libvirt is to have it, with these entries of ports as far as they
    belong to its subnets. `bridge` is the operator's, for a provider network.

    There is no range: the control plane gives out addresses, and a stranger gets none.
    """
    network = _network(spec, bridge)
    for subnet, address in zip(_hosted(spec), network.iterfind("ip"), strict=True):
        block = ipaddress.ip_network(subnet.cidr)
        dhcp = address.find("dhcp")
        for entry in entries:
            if dhcp is not None and ipaddress.ip_address(entry.address) in block:
                dhcp.append(entry.element())
    return as_text(network)


def fingerprint(spec: NetworkSpec, bridge: str | None = None) -> str:
    """Return what tells two descriptions of a network apart, entries aside."""
    described = _described(spec, bridge)
    return sha256(etree.tostring(described, method="c14n")).hexdigest()[:16]


def carried_out(network_description: str) -> str:
    """Return the fingerprint of what a network of ours was made from; empty: from an older one."""
    network = etree.fromstring(network_description)
    return network.findtext(f"metadata/{{{NAMESPACE}}}network/{{{NAMESPACE}}}made", "")


def gateway_mac(network_id: str) -> str:
    """Return the MAC of the host on the network: the same on every host, so that a guest that moves
    still finds it, locally administered and unicast."""
    digits = names.checked(network_id).replace("-", "")
    return ":".join(["02", *(digits[at : at + 2] for at in range(0, 10, 2))])


def _network(spec: NetworkSpec, bridge: str | None) -> etree._Element:
    network = _described(spec, bridge)
    for mark in network.iterfind(f"metadata/{{{NAMESPACE}}}network"):
        etree.SubElement(mark, f"{{{NAMESPACE}}}made").text = fingerprint(spec, bridge)
    return network


def _described(spec: NetworkSpec, bridge: str | None) -> etree._Element:
    network = etree.Element("network", nsmap={"dnsmasq": _DNSMASQ})
    etree.SubElement(network, "name").text = names.network_name(spec.network_id)
    etree.SubElement(network, "uuid").text = names.checked(spec.network_id)
    mark = etree.SubElement(
        etree.SubElement(network, "metadata"),
        f"{{{NAMESPACE}}}network",
        nsmap={METADATA_PREFIX: NAMESPACE},
    )
    etree.SubElement(mark, f"{{{NAMESPACE}}}id").text = spec.network_id
    if bridge is not None:
        etree.SubElement(network, "forward", mode="bridge")
        etree.SubElement(network, "bridge", name=bridge)
        return network
    _add_bridge(network, spec)
    _add_addresses(network, spec)
    _add_options(network, spec)
    return network


def _add_bridge(network: etree._Element, spec: NetworkSpec) -> None:
    if spec.kind == "nat":
        forward = etree.SubElement(network, "forward", mode="nat")
        if any(subnet.version == 6 and subnet.gateway for subnet in spec.subnets):
            etree.SubElement(forward, "nat", ipv6="yes")
    bridge = names.bridge_name(spec.network_id)
    etree.SubElement(network, "bridge", name=bridge, stp="off", delay="0")
    etree.SubElement(network, "mtu", size=str(spec.mtu))
    etree.SubElement(network, "mac", address=gateway_mac(spec.network_id))


def _add_addresses(network: etree._Element, spec: NetworkSpec) -> None:
    """libvirt answers DHCP for one subnet of each IP version; guests have the addresses of further
    ones from the config drive."""
    answered: set[int] = set()
    for subnet in _hosted(spec):
        host = str(ipaddress.ip_address(str(subnet.host_address)))
        prefix = str(ipaddress.ip_network(subnet.cidr).prefixlen)
        family = "ipv6" if subnet.version == 6 else "ipv4"
        address = etree.SubElement(network, "ip", family=family, address=host, prefix=prefix)
        if subnet.dhcp and subnet.version not in answered:
            answered.add(subnet.version)
            etree.SubElement(address, "dhcp").append(DhcpEntry(NOBODY, host, None).element())


def _hosted(spec: NetworkSpec) -> list[SubnetSpec]:
    return [subnet for subnet in spec.subnets if subnet.host_address is not None]


def _add_options(network: etree._Element, spec: NetworkSpec) -> None:
    values = [value for subnet in _answered(spec) for value in _options(subnet)]
    if values:
        options = etree.SubElement(network, f"{{{_DNSMASQ}}}options")
        for value in values:
            etree.SubElement(options, f"{{{_DNSMASQ}}}option", value=f"dhcp-option={value}")


def _answered(spec: NetworkSpec) -> list[SubnetSpec]:
    first: dict[int, SubnetSpec] = {}
    for subnet in _hosted(spec):
        if subnet.dhcp:
            first.setdefault(subnet.version, subnet)
    return list(first.values())


def _options(subnet: SubnetSpec) -> list[str]:
    """Return what dnsmasq tells beside the address. Everything passes `ipaddress`: a comma or a
    line's end would be another option."""
    servers = [ipaddress.ip_address(server) for server in subnet.dns]
    if subnet.version == 6:
        listed = ",".join(f"[{server}]" for server in servers)
        return [f"option6:dns-server,{listed}"] if servers else []
    said = [f"option:dns-server,{','.join(map(str, servers))}"] if servers else []
    if subnet.gateway is None:
        # An empty one: dnsmasq would name itself.
        said.append("option:router")
    routes = _routes(subnet)
    if routes:
        said.append(f"option:classless-static-route,{','.join(routes)}")
    return said


def _routes(subnet: SubnetSpec) -> list[str]:
    """Return destinations and next hops in turn. A client that is told routes ignores the router,
    so the default route is repeated among them (RFC 3442)."""
    if subnet.gateway is not None and not subnet.routes:
        return []
    host = str(ipaddress.ip_address(str(subnet.host_address)))
    routes = [METADATA_ROUTE, host]
    for route in subnet.routes:
        routes += [
            str(ipaddress.ip_network(route.destination)),
            str(ipaddress.ip_address(route.nexthop)),
        ]
    if subnet.gateway is not None:
        routes += ["0.0.0.0/0", str(ipaddress.ip_address(subnet.gateway))]
    return routes


def is_ours(network_description: str) -> bool:
    """Say whether a network's XML carries our mark."""
    network = etree.fromstring(network_description)
    return network.find(f"metadata/{{{NAMESPACE}}}network") is not None


def dhcp_entries(network_description: str) -> list[DhcpEntry]:
    """Return the static DHCP entries of ports in a network's XML."""
    network = etree.fromstring(network_description)
    entries = [
        DhcpEntry(_mac_of(host), host.get("ip", ""), host.get("name"))
        for host in network.iterfind("ip/dhcp/host")
    ]
    return [entry for entry in entries if entry.mac != NOBODY]


def _mac_of(host: etree._Element) -> str:
    return (host.get("mac") or host.get("id", "").removeprefix(_DUID_LL)).lower()


def wanted_entries(
    network_description: str, port: PortSpec, hostname: str, others: list[DhcpEntry]
) -> list[DhcpEntry]:
    """Return the port's entries: one for each IP version that the network answers DHCP for."""
    found: dict[int, DhcpEntry] = {}
    for held in port.addresses:
        version = ipaddress.ip_address(held.address).version
        if version not in found and _index(network_description, held.address) is not None:
            found[version] = wanted_entry(port, held.address, hostname, others)
    return list(found.values())


def wanted_entry(port: PortSpec, address: str, hostname: str, others: list[DhcpEntry]) -> DhcpEntry:
    """Return the port's entry. The host name is left out where dnsmasq could not hold it, or where
    another entry of the network has it: names may repeat among servers, but not in libvirt."""
    taken = {entry.name for entry in others if entry.mac != port.mac.lower()}
    usable = _HOST_NAME.fullmatch(hostname) is not None and hostname not in taken
    return DhcpEntry(port.mac.lower(), address, hostname if usable else None)


def entry_index(network_description: str, entry: DhcpEntry) -> int:
    """Return which of the network's addresses answers DHCP for the entry, as libvirt counts them.
    Raises ValueError if none does."""
    index = _index(network_description, entry.address)
    if index is None:
        raise ValueError(f"the network answers no DHCP for {entry.address}")
    return index


def _index(network_description: str, address: str) -> int | None:
    wanted = ipaddress.ip_address(address)
    for index, described in enumerate(etree.fromstring(network_description).iterfind("ip")):
        if described.find("dhcp") is None:
            continue
        length = described.get("prefix") or described.get("netmask")
        if wanted in ipaddress.ip_network(f"{described.get('address')}/{length}", strict=False):
            return index
    return None


def blocks(network_description: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Return the subnets in which the host has an address of the network."""
    return [
        ipaddress.ip_network(
            f"{described.get('address')}/{described.get('prefix') or described.get('netmask')}",
            strict=False,
        )
        for described in etree.fromstring(network_description).iterfind("ip")
    ]
