"""Each port's filter against spoofing, as libvirt's nwfilter describes it. Pure.

libvirt sets it up on the guest's interface before the guest runs, and does not start the guest if
it cannot. What is allowed is written out, all else is dropped: from the guest, its own MACs with
its own addresses in Ethernet, IP, ARP and IPv6, no answers of a DHCP server, no router
advertisements; to the guest, its own addresses, DHCP's answers, ARP and neighbour discovery, and so
no broadcast or multicast beside these, in which no security group could tell one port from another.
"""

from typing import Literal

from lxml import etree

from tasks.messages import PortSpec
from workers.hypervisor import names
from workers.hypervisor.firewall_state import Net, mac, nets_of
from workers.hypervisor.libvirt.domain_xml import as_text
from workers.hypervisor.libvirt.firewall.table import (
    MLD,
    NEIGHBOUR_ADVERTISEMENT,
    NEIGHBOUR_SOLICITATION,
    REDIRECT,
    ROUTER_ADVERTISEMENT,
    ROUTER_SOLICITATION,
)

#: By which QEMU tells switches where a guest is now.
_RARP = "0x8035"
#: The report of version 2: multicast listeners speak before they have an address.
_MLD_REPORT = 143

_Action = Literal["accept", "drop"]
_Direction = Literal["in", "out", "inout"]
_Matches = dict[str, str | int]


def filter_xml(port: PortSpec, generation: int = 0) -> str:
    """Return the port's filter. With another generation it does the same and is not the same to
    libvirt, which sets up anew only what has changed."""
    described = etree.Element("filter", name=names.filter_name(port.port_id), chain="root")
    etree.SubElement(described, "uuid").text = names.checked(port.port_id)
    rules = _Rules(described)
    if port.security:
        _leaving(rules, port)
        _arriving(rules, port)
    # Last in each case. Without port security it lets everything through.
    action: _Action = "drop" if port.security else "accept"
    rules.add_at(900 + generation % 100, action, "inout", "mac")
    return as_text(described)


class _Rules:
    """The rules of one filter, in order."""

    def __init__(self, described: etree._Element) -> None:
        self._filter = described
        self._count = 0

    def add(self, action: _Action, direction: _Direction, kind: str, **matches: str | int) -> None:
        """Add a rule at the end; `out` is from the guest, `kind` is the protocol's."""
        # One priority for all would leave their order to libvirt.
        self._count += 1
        self.add_at(min(-900 + self._count, 800), action, direction, kind, **matches)

    def add_at(
        self,
        priority: int,
        action: _Action,
        direction: _Direction,
        kind: str,
        **matches: str | int,
    ) -> None:
        """Add a rule at its place."""
        where = {"action": action, "direction": direction, "priority": str(priority)}
        rule = etree.SubElement(self._filter, "rule", where)
        etree.SubElement(rule, kind, {key: str(value) for key, value in matches.items()})


def _leaving(rules: _Rules, port: PortSpec) -> None:
    own = mac(port.mac)
    rules.add("drop", "out", "ip", protocol="udp", srcportstart=67, dstportstart=68)
    if any(one.version == 6 for _, one in nets_of(port)):
        rules.add("drop", "out", "ipv6", protocol="udp", srcportstart=547, dstportstart=546)
        for message in (ROUTER_ADVERTISEMENT, REDIRECT):
            rules.add("drop", "out", "ipv6", protocol="icmpv6", type=message)
        for message in (ROUTER_SOLICITATION, NEIGHBOUR_SOLICITATION, _MLD_REPORT):
            nobody: _Matches = {"srcmacaddr": own, "srcipaddr": "::", "srcipmask": 128}
            rules.add("accept", "out", "ipv6", protocol="icmpv6", type=message, **nobody)
    asking: _Matches = {"srcipaddr": "0.0.0.0", "dstipaddr": "255.255.255.255"}  # noqa: S104
    asking |= {"protocol": "udp", "srcportstart": 68, "dstportstart": 67}
    rules.add("accept", "out", "ip", srcmacaddr=own, **asking)
    for hardware, one in nets_of(port):
        own_address = _address("src", one)
        rules.add("accept", "out", _header(one), srcmacaddr=hardware, **own_address)
        if one.version == 4:
            claim = {f"arp{key}": value for key, value in own_address.items()}
            rules.add("accept", "out", "arp", srcmacaddr=hardware, arpsrcmacaddr=hardware, **claim)
    rules.add("accept", "out", "mac", srcmacaddr=own, protocolid=_RARP)


def _arriving(rules: _Rules, port: PortSpec) -> None:
    rules.add("accept", "in", "arp")
    rules.add("accept", "in", "ip", protocol="udp", srcportstart=67, dstportstart=68)
    nets = list(dict.fromkeys(one for _, one in nets_of(port)))
    for one in nets:
        rules.add("accept", "in", _header(one), **_address("dst", one))
    if any(one.version == 6 for one in nets):
        discovery = (ROUTER_ADVERTISEMENT, NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT)
        for message in (*discovery, *MLD):
            rules.add("accept", "in", "ipv6", protocol="icmpv6", type=message)


def _header(one: Net) -> str:
    return "ip" if one.version == 4 else "ipv6"


def _address(end: str, one: Net) -> _Matches:
    """A prefix of length 0 is every address, which is said by naming none."""
    if not one.prefixlen:
        return {}
    return {f"{end}ipaddr": str(one.network_address), f"{end}ipmask": one.prefixlen}
