"""Networks, DHCP entries and packet filters as libvirt describes them. Pure."""

import ipaddress
import re
from dataclasses import dataclass

from lxml import etree

from tasks.messages import NetworkSpec, PortSpec
from workers.hypervisor import names
from workers.hypervisor.libvirt.domain_xml import METADATA_PREFIX, NAMESPACE, as_text

#: A guest asks again every half of it. Short, because a lease that could not be given back keeps
#: its address from every other MAC; dnsmasq knows nothing under 120.
LEASE_S = 300

#: The MAC of an entry that no interface may use. With no entry at all libvirt turns DHCP off, and
#: on and off takes dnsmasq half a second and every guest's requests of that time.
NOBODY = "02:00:00:00:00:00"
_DNSMASQ = "http://libvirt.org/schemas/network/dnsmasq/1.0"
#: A host name that dnsmasq's file can hold: nothing that ends a field or a line.
_HOST_NAME = re.compile(r"[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")


@dataclass(frozen=True)
class DhcpEntry:
    """A static DHCP entry: this MAC gets this address."""

    mac: str
    address: str
    name: str | None

    def xml(self) -> str:
        """Return the entry as libvirt takes it."""
        host = etree.Element("host", mac=self.mac, ip=self.address)
        if self.name:
            host.set("name", self.name)
        etree.SubElement(host, "lease", expiry=str(LEASE_S), unit="seconds")
        return as_text(host)


def network_xml(spec: NetworkSpec) -> str:
    """Return a NAT network: a bridge with the gateway's address, and DHCP for known MACs only.

    There is no range: the control plane gives out addresses, and a stranger gets none.
    """
    network = etree.Element("network", nsmap={"dnsmasq": _DNSMASQ})
    etree.SubElement(network, "name").text = names.network_name(spec.network_id)
    etree.SubElement(network, "uuid").text = names.checked(spec.network_id)
    mark = etree.SubElement(
        etree.SubElement(network, "metadata"),
        f"{{{NAMESPACE}}}network",
        nsmap={METADATA_PREFIX: NAMESPACE},
    )
    etree.SubElement(mark, f"{{{NAMESPACE}}}id").text = spec.network_id
    etree.SubElement(network, "forward", mode="nat")
    etree.SubElement(
        network, "bridge", name=names.bridge_name(spec.network_id), stp="off", delay="0"
    )
    etree.SubElement(network, "mtu", size=str(spec.mtu))
    subnet = spec.subnets[0]
    gateway = str(subnet.host_address)
    prefix = ipaddress.ip_network(subnet.cidr).prefixlen
    address = etree.SubElement(network, "ip", address=gateway, prefix=str(prefix))
    dhcp = etree.SubElement(address, "dhcp")
    etree.SubElement(dhcp, "host", mac=NOBODY, ip=gateway)
    if subnet.dns:
        servers = ",".join(str(ipaddress.ip_address(server)) for server in subnet.dns)
        options = etree.SubElement(network, f"{{{_DNSMASQ}}}options")
        etree.SubElement(
            options, f"{{{_DNSMASQ}}}option", value=f"dhcp-option=option:dns-server,{servers}"
        )
    return as_text(network)


def is_ours(network_description: str) -> bool:
    """Say whether a network's XML carries our mark."""
    network = etree.fromstring(network_description)
    return network.find(f"metadata/{{{NAMESPACE}}}network") is not None


def dhcp_entries(network_description: str) -> list[DhcpEntry]:
    """Return the static DHCP entries of ports in a network's XML."""
    network = etree.fromstring(network_description)
    entries = [
        DhcpEntry(host.get("mac", "").lower(), host.get("ip", ""), host.get("name"))
        for host in network.iterfind("ip/dhcp/host")
    ]
    return [entry for entry in entries if entry.mac != NOBODY]


def wanted_entry(port: PortSpec, hostname: str, others: list[DhcpEntry]) -> DhcpEntry:
    """Return the port's entry. The host name is left out where dnsmasq could not hold it, or where
    another entry of the network has it: names may repeat among servers, but not in libvirt."""
    taken = {entry.name for entry in others if entry.mac != port.mac.lower()}
    usable = _HOST_NAME.fullmatch(hostname) is not None and hostname not in taken
    return DhcpEntry(port.mac.lower(), port.addresses[0].address, hostname if usable else None)


def filter_xml(port: PortSpec) -> str:
    """Return the port's filter: libvirt's own `clean-traffic`, which lets out only the
    interface's own MAC, IP and ARP, and DHCP requests."""
    described = etree.Element("filter", name=names.filter_name(port.port_id), chain="root")
    etree.SubElement(described, "uuid").text = names.checked(port.port_id)
    etree.SubElement(described, "filterref", filter="clean-traffic")
    return as_text(described)
