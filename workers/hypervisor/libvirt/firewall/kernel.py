"""What the kernel has of our packet filter, asked and changed by its own tools.

`nft` and `ip` in JSON and `conntrack` in XML, each with a deadline. python3-nftables is not on
PyPI, and a process of 5 ms is nothing beside what else a change costs.
"""

import json
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lxml import etree

from tasks.errors import HostBusy, HostError
from workers.hypervisor.libvirt.firewall.expressions import Json
from workers.hypervisor.libvirt.firewall.ruleset import FAMILY, MARKER, TABLE

_LIMIT_S = 30.0
_TCP = 6
#: How often a connection is put back that its own packets begin anew, and for how long at least.
_TRIES, _SHORTEST_S = 10, 30
#: Whether bridged packets come through the host's packet filter at all: a switch for every bridge
#: of the host, which appears with the module, and one of each bridge.
_SWITCHES = Path("/proc/sys/net/bridge")
_OF_ALL_BRIDGES = ("bridge-nf-call-iptables", "bridge-nf-call-ip6tables")
_OF_A_BRIDGE = ("nf_call_iptables", "nf_call_ip6tables")


def apply(commands: list[Json]) -> None:
    """Carry the commands out as one transaction. Raises HostError, HostBusy."""
    if commands:
        _run("nft", "-j", "-f", "-", fed=json.dumps({"nftables": commands}))


def marker() -> str | None:
    """Return the marker of our table; None if there is no table, or a broken one."""
    for name in chains(FAMILY).get(TABLE, []):
        if name.startswith(MARKER):
            return name
    return None


def chains(family: str) -> dict[str, list[str]]:
    """Return the names of a family's chains, by table."""
    told = json.loads(_run("nft", "-j", "list", "chains", family))
    found: dict[str, list[str]] = {}
    for one in told["nftables"]:
        if "chain" in one:
            found.setdefault(one["chain"]["table"], []).append(one["chain"]["name"])
    return found


def remove_table() -> None:
    """Remove our table, if it is there."""
    table = {"table": {"family": FAMILY, "name": TABLE}}
    apply([{"add": table}, {"delete": table}])


# --- bridges -----------------------------------------------------------------------------------


def load_bridge_filter() -> None:
    """Have the module that lets the packet filter see bridged packets. It begins with all bridges
    of the host; where nobody had it before, nobody else's is to change. Raises HostError."""
    if _SWITCHES.is_dir():
        return
    _run("modprobe", "br_netfilter")
    for name in _OF_ALL_BRIDGES:
        (_SWITCHES / name).write_text("0")


def filter_bridge(bridge: str) -> None:
    """Have what crosses the bridge go through the packet filter. Raises HostError."""
    switches = [word for name in _OF_A_BRIDGE for word in (name, "1")]
    _run("ip", "link", "set", "dev", bridge, "type", "bridge", *switches)


def bridges() -> dict[str, bool]:
    """Return all bridges, and of each whether its packets are filtered by its own switch."""
    return {
        link["ifname"]: all(link["linkinfo"]["info_data"].get(name) == 1 for name in _OF_A_BRIDGE)
        for link in _links("type", "bridge")
    }


def taps_on(bridges: Iterable[str]) -> set[str]:
    """Return the names of the guests' interfaces on these bridges."""
    wanted = set(bridges)
    return {link["ifname"] for link in _links("type", "tun") if link.get("master") in wanted}


def _links(*which: str) -> list[dict[str, Any]]:
    told = _run("ip", "-j", "-d", "link", "show", *which)
    return [link for link in json.loads(told or "[]") if link]


# --- connections -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Flow:
    """A connection that the kernel keeps track of, as it began."""

    protocol: int
    source: str
    destination: str
    sport: int | None
    dport: int | None
    #: ICMP's type and code.
    icmp: tuple[int, int] | None
    mark: int
    zone: int
    #: In seconds, after which the kernel forgets it if nothing more is sent.
    timeout: int = 0

    @property
    def version(self) -> int:
        """Return its IP version."""
        return 6 if ":" in self.source else 4

    def words(self) -> list[str]:
        """Return the words by which `conntrack` finds it."""
        found = ["-f", "ipv6" if self.version == 6 else "ipv4", "-p", str(self.protocol)]
        found += ["--orig-src", self.source, "--orig-dst", self.destination]
        if self.sport is not None and self.dport is not None:
            found += ["--orig-port-src", str(self.sport), "--orig-port-dst", str(self.dport)]
        return found

    def reversed(self) -> "Flow":
        """Return the same connection as if the other side had begun it."""
        return replace(
            self,
            source=self.destination,
            destination=self.source,
            sport=self.dport,
            dport=self.sport,
        )


def flows() -> list[Flow]:
    """Return all connections. Raises HostError, HostBusy."""
    found = []
    for family in ("ipv4", "ipv6"):
        told = _run("conntrack", "-L", "-f", family, "-o", "xml").strip()
        if told:
            # The kernel's own words, which nobody else wrote.
            parser = etree.XMLParser(resolve_entities=False, huge_tree=True)
            found += [_flow(one) for one in etree.fromstring(told.encode(), parser)]
    return [flow for flow in found if flow is not None]


def mark_flow(flow: Flow, bit: int, *, to: bool) -> None:
    """Set or clear the bit in the connection's mark. One that is gone meanwhile is done."""
    if flow.zone:
        _mark_in_zone(flow, bit, to=to)
        return
    value = bit if to else 0
    _run("conntrack", "-U", *flow.words(), "--mark", f"{value:#x}/{bit:#x}", allowed=(0, 1))


def forget_flow(flow: Flow) -> None:
    """Forget the connection. One that is gone meanwhile is done."""
    _run("conntrack", "-D", *flow.words(), "--zone", str(flow.zone), allowed=(0, 1))


def _mark_in_zone(flow: Flow, bit: int, *, to: bool) -> None:
    """`conntrack -U` takes no zone (1.4.7), `-D` and `-I` do. One that loses the bit is just
    forgotten, since it may begin anew; one that gets it is put back with it at once."""
    forget_flow(flow)
    if not to:
        return
    words = ["-p", str(flow.protocol), "-s", flow.source, "-d", flow.destination]
    words += ["--sport", str(flow.sport or 0), "--dport", str(flow.dport or 0)]
    words += ["--state", "ESTABLISHED"] if flow.protocol == _TCP else []
    words += ["-u", "SEEN_REPLY,ASSURED", "-t", str(max(flow.timeout, _SHORTEST_S))]
    words += ["--zone", str(flow.zone), "--mark", f"{flow.mark | bit:#x}"]
    for tries_left in reversed(range(_TRIES)):
        try:
            _run("conntrack", "-I", *words)
        except HostError:
            if not tries_left:
                raise
            # A packet of either side was faster, and began it anew.
            forget_flow(flow)
            forget_flow(flow.reversed())
        else:
            return


def _flow(described: etree._Element) -> Flow | None:
    original = described.find("meta[@direction='original']")
    own = described.find("meta[@direction='independent']")
    if original is None:
        return None

    def number(where: etree._Element | None, path: str) -> int | None:
        text = None if where is None else where.findtext(path)
        return int(text) if text and text.isdigit() else None

    transport = original.find("layer4")
    kind, code = number(original, "layer4/type"), number(original, "layer4/code")
    return Flow(
        protocol=int("0" if transport is None else transport.get("protonum", "0")),
        source=original.findtext("layer3/src", ""),
        destination=original.findtext("layer3/dst", ""),
        sport=number(original, "layer4/sport"),
        dport=number(original, "layer4/dport"),
        icmp=None if kind is None or code is None else (kind, code),
        mark=number(own, "mark") or 0,
        zone=number(original, "zone") or number(own, "zone") or 0,
        timeout=number(own, "timeout") or 0,
    )


def _run(*words: str, fed: str = "", allowed: Sequence[int] = (0,)) -> str:
    try:
        done = subprocess.run(
            words, input=fed, capture_output=True, text=True, timeout=_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise HostBusy("The host's packet filter does not answer.", program=words[0]) from error
    except OSError as error:
        raise HostError(
            "The host has no tool for its packet filter.", program=words[0], problem=str(error)
        ) from error
    if done.returncode not in allowed:
        raise HostError(
            "The host's packet filter could not be set.",
            program=" ".join(words[:4]),
            problem=done.stderr[-500:],
        )
    return done.stdout
