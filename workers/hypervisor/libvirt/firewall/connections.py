"""The kernel's connections, as conntrack keeps track of them: read, marked, forgotten.

Read by `conntrack` in XML, in some 40 microseconds each. Marked through netlink, in half a
millisecond each, however many there are: `conntrack -U` looks through all of them for each one, and
takes no zone (1.4.7). Forgotten by `conntrack -D`, all between two addresses in one look.
"""

import errno
import socket
from collections.abc import Iterable
from dataclasses import dataclass, replace

from lxml import etree
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.nfnetlink.nfctsocket import NFCTAttrTuple, NFCTSocket

from tasks.errors import HostError
from workers.hypervisor.firewall_state import Net
from workers.hypervisor.libvirt.firewall import kernel

_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}


@dataclass(frozen=True)
class Flow:
    """A connection that the kernel keeps track of, as it began."""

    zone: int
    protocol: int
    source: str
    destination: str
    #: None for protocols without ports.
    ports: tuple[int, int] | None = None
    #: ICMP's type and code.
    icmp: tuple[int, int] | None = None
    mark: int = 0
    #: Where it really goes, if it began with a floating IP.
    reached: str = ""

    @property
    def receiver(self) -> str:
        """Return the address of its other side."""
        return self.reached or self.destination

    @property
    def version(self) -> int:
        """Return its IP version."""
        return 6 if ":" in self.source else 4


def flows() -> list[Flow]:
    """Return all connections. Raises HostError, HostBusy."""
    found = []
    for family in ("ipv4", "ipv6"):
        told = kernel.run("conntrack", "-L", "-f", family, "-o", "xml").strip()
        if told:
            # The kernel's own words, which nobody else wrote.
            parser = etree.XMLParser(resolve_entities=False, huge_tree=True)
            found += [_flow(one) for one in etree.fromstring(told.encode(), parser)]
    return [flow for flow in found if flow is not None]


def set_bit(found: Iterable[Flow], bit: int, *, to: bool) -> None:
    """Set or clear the bit in the marks of these connections, which have ports. One that is gone
    meanwhile is done; one that its other side began anew is changed in its place, since the kernel
    finds it by either direction. Raises HostError."""
    by_family: dict[int, list[Flow]] = {4: [], 6: []}
    for flow in found:
        by_family[flow.version].append(flow)
    for version, some in by_family.items():
        if some:
            _set_bit(_FAMILY[version], some, bit if to else 0, bit)


def _set_bit(family: int, found: list[Flow], mark: int, mask: int) -> None:
    with NFCTSocket(nfgen_family=family) as table:
        for flow in found:
            zone = {"zone": flow.zone} if flow.zone else {}
            try:
                table.entry(
                    "set", tuple_orig=_tuple(family, flow), mark=mark, mark_mask=mask, **zone
                )
            except NetlinkError as error:
                if error.code != errno.ENOENT:
                    raise HostError(
                        "The host's packet filter could not be set.", problem=str(error)
                    ) from error


def _tuple(family: int, flow: Flow) -> NFCTAttrTuple:
    sport, dport = flow.ports or (None, None)
    return NFCTAttrTuple(
        family=family,
        saddr=flow.source,
        daddr=flow.destination,
        proto=flow.protocol,
        sport=sport,
        dport=dport,
    )


def forget(found: Iterable[Flow]) -> None:
    """Forget these connections, which have no ports, with all others of the same protocol between
    the same ends. Raises HostError, HostBusy."""
    for like in {replace(flow, icmp=None, mark=0, reached="") for flow in found}:
        ends = ("--orig-src", like.source, "--orig-dst", like.destination)
        _delete(like.version, like.zone, "-p", str(like.protocol), *ends)


def forget_of(one: Net, zone: int) -> None:
    """Forget all connections of an address. Raises HostError, HostBusy."""
    for end in ("--orig-src", "--orig-dst", "--reply-src"):
        _delete(one.version, zone, end, str(one.network_address))


def forget_translated(floating: str) -> None:
    """Forget all connections to and from a floating IP. Raises HostError, HostBusy."""
    for end in ("--orig-dst", "--reply-dst"):
        _delete(4, 0, end, floating)


def _delete(version: int, zone: int, *words: str) -> None:
    """None to be found is done."""
    where = ("-f", f"ipv{version}", "--zone", str(zone))
    kernel.run("conntrack", "-D", *where, *words, allowed=(0, 1))


def _flow(described: etree._Element) -> Flow | None:
    original = described.find("meta[@direction='original']")
    own = described.find("meta[@direction='independent']")
    reply = described.find("meta[@direction='reply']")
    if original is None:
        return None

    def pair(first: str, second: str) -> tuple[int, int] | None:
        left, right = _number(original, f"layer4/{first}"), _number(original, f"layer4/{second}")
        return None if left is None or right is None else (left, right)

    transport = original.find("layer4")
    destination = original.findtext("layer3/dst", "")
    reached = "" if reply is None else reply.findtext("layer3/src", "")
    return Flow(
        zone=_number(original, "zone") or _number(own, "zone") or 0,
        protocol=int("0" if transport is None else transport.get("protonum", "0")),
        source=original.findtext("layer3/src", ""),
        destination=destination,
        ports=pair("sport", "dport"),
        icmp=pair("type", "code"),
        mark=_number(own, "mark") or 0,
        reached="" if reached == destination else reached,
    )


def _number(where: etree._Element | None, path: str) -> int | None:
    text = None if where is None else where.findtext(path)
    return int(text) if text and text.isdigit() else None
