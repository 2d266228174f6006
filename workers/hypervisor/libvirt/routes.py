"""What this host's kernel has of floating IPs and routers beside the packet filter.

Effect  of each floating IP: the host answers ARP for it where the external network is, says so once
        unasked, and has a route to it, so that without the packet filter it leads nowhere and
        never to the host itself; on an operator's bridge also a way back by that bridge. Of each
        guest of another host that a router leads to: where it is. One rule of iptables, before
        libvirt's, lets through what the packet filter marked; a table `arp byre_arp` says as whom
        the host asks on operators' bridges. All else bears the number PROTOCOL.
Repeat  what is there as wanted stays.
Undo    `ensure` with a state that has less, or nothing.
"""

import hashlib
import ipaddress
import socket
import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from tasks.errors import HostError
from tasks.messages import FloatingSpec
from workers.hypervisor import names
from workers.hypervisor.firewall_state import FirewallState
from workers.hypervisor.libvirt import links
from workers.hypervisor.libvirt.firewall import kernel
from workers.hypervisor.libvirt.firewall.translation import ROUTED

log = structlog.get_logger(__name__)

#: Of routes, rules and neighbours (rtnetlink's rtm_protocol): nobody else's is touched.
PROTOCOL = "142"
#: Before the main table's own rule (32766); the first looks for all but a default route there.
_RULE_NEAR, _RULE_FAR = 21_000, 21_001
#: Tables of the external networks on operators' bridges.
_TABLES = 1_420_000_000
_ACCEPT = ("-m", "mark", "--mark", f"{ROUTED:#x}/{ROUTED:#x}", "-j", "ACCEPT")
_SYSCTL = Path("/proc/sys/net/ipv4")

#: The words of a command of `ip`, after its verb.
Words = tuple[str, ...]


@dataclass(frozen=True)
class Wanted:
    """All that is to be there."""

    routes: frozenset[Words] = frozenset()
    rules: frozenset[Words] = frozenset()
    proxies: frozenset[Words] = frozenset()
    neighbours: frozenset[Words] = frozenset()
    #: Tunnel's name -> (MAC, other host's address)
    tunnels: Mapping[str, frozenset[Words]] = field(default_factory=dict)
    #: Interfaces by which floating IPs are reached.
    devices: frozenset[str] = frozenset()
    #: Operators' bridges among them -> the floating IP as which the host asks there for others.
    speakers: Mapping[str, str] = field(default_factory=dict)
    #: Floating IPs that cannot be had here.
    refused: frozenset[str] = frozenset()


class Routes:
    """The kernel's routes of one host. Not for several threads at once."""

    def __init__(self, physical_networks: Mapping[str, str]) -> None:
        self._physical_networks = physical_networks
        self.refused: frozenset[str] = frozenset()

    def ensure(self, state: FirewallState) -> None:
        """Have what the state says, and nothing else of ours. Raises HostError."""
        wanted = self._wanted(state)
        there = _there()
        _prepare(wanted.devices, wanted.speakers.keys())
        _speak(wanted.speakers)
        coming = wanted.proxies - there.proxies
        _change("route", there.routes, wanted.routes, replace=True)
        _change("rule", there.rules, wanted.rules)
        _change("neigh", there.proxies, wanted.proxies)
        _change("neigh", there.neighbours, wanted.neighbours, replace=True)
        _point_tunnels(wanted.tunnels)
        _let_marked_through(wanted=_is_routing(state))
        for _, address, _, device in sorted(coming):
            _announce(address, device)

    def is_intact(self, state: FirewallState) -> bool:
        """Say whether all is there."""
        if not _is_routing(state):
            return True
        wanted, there = self._wanted(state), _there()
        same = all(
            getattr(wanted, name) == getattr(there, name)
            for name in ("routes", "rules", "proxies", "neighbours")
        )
        spoken = _spoken() == _spoken_as(wanted.speakers)
        return same and spoken and all(_lets_marked_through(version) for version in (4, 6))

    def _wanted(self, state: FirewallState) -> Wanted:
        wanted = _wanted(state, self._physical_networks)
        if wanted.refused - self.refused:
            log.warning("routes.refused", floating_ips=sorted(wanted.refused))
        self.refused = wanted.refused
        return wanted


def _is_routing(state: FirewallState) -> bool:
    return bool(state.floating or any(len(one.subnets) > 1 for one in state.routers.values()))


# --- what is to be there -------------------------------------------------------------------------


def _wanted(state: FirewallState, physical_networks: Mapping[str, str]) -> Wanted:
    floating = state.floating_here()
    if not floating and not state.remotes:
        return Wanted()
    present = {str(each["ifname"]) for each in links.read("ip", "-json", "link", "show") if each}
    routes: set[Words] = set()
    rules: set[Words] = set()
    proxies: set[Words] = set()
    devices: set[str] = set()
    speakers: dict[str, str] = {}
    refused = set()
    for one in floating:
        device = _device_of(one, present, physical_networks)
        bridge = names.bridge_name(one.network_id)
        if device is None or bridge not in present:
            refused.add(one.floating_id)
            continue
        devices.add(device)
        routes.add((one.address, "dev", bridge))
        proxies.add(("proxy", one.address, "dev", device))
        if one.external.physical_network is not None:
            table = _table_of(one.external.network_id)
            speakers.setdefault(device, one.address)
            routes |= _way_out(one, device, table)
            rules |= _rules(one, bridge, table)
    neighbours, tunnels = _remotes(state, present)
    return Wanted(
        routes=frozenset(routes),
        rules=frozenset(rules),
        proxies=frozenset(proxies),
        neighbours=neighbours,
        tunnels=tunnels,
        devices=frozenset(devices),
        speakers=speakers,
        refused=frozenset(refused),
    )


def _device_of(
    one: FloatingSpec, present: Collection[str], physical_networks: Mapping[str, str]
) -> str | None:
    """Return by which interface the floating IP is reached; None if the host has none."""
    external = one.external
    if external.physical_network is not None:
        bridge = physical_networks.get(external.physical_network)
        if external.vlan is not None:
            bridge = names.vlan_bridge_name(external.network_id)
        return bridge if bridge in present and _takes_from_anywhere() else None
    block = ipaddress.ip_network(external.cidr)
    near = external.gateway or str(block[1])
    try:
        (route,) = links.read("ip", "-json", "route", "get", near)
    except (HostError, ValueError):
        return None
    device = str(route.get("dev"))
    is_ours = device == "lo" or device.startswith(("byre", names.TUNNEL))
    return None if is_ours else names.checked_device(device)


def _takes_from_anywhere() -> bool:
    """With a filter of source addresses for all interfaces the kernel takes nothing in by one that
    has no address, as operators' bridges have none."""
    try:
        return (_SYSCTL / "conf" / "all" / "rp_filter").read_text().strip() == "0"
    except OSError as error:
        raise HostError("The host cannot read its network.", problem=str(error)) from error


def _way_out(one: FloatingSpec, device: str, table: str) -> set[Words]:
    found: set[Words] = {(one.external.cidr, "dev", device, "table", table)}
    if one.external.gateway is not None:
        default = ("default", "via", one.external.gateway, "dev", device, "table", table)
        found.add((*default, "onlink"))
    return found


def _rules(one: FloatingSpec, bridge: str, table: str) -> set[Words]:
    sender = ("from", one.fixed, "iif", bridge)
    near = ("lookup", "main", "suppress_prefixlength", "0")
    return {
        ("pref", str(_RULE_NEAR), *sender, *near),
        ("pref", str(_RULE_FAR), *sender, "lookup", table),
    }


def _table_of(network_id: str) -> str:
    digest = hashlib.sha256(network_id.encode()).hexdigest()
    return str(_TABLES + int(digest, 16) % 100_000_000)


def _remotes(
    state: FirewallState, present: Collection[str]
) -> tuple[frozenset[Words], dict[str, frozenset[Words]]]:
    """Of a guest that is here, whatever was told, the host finds out itself where it is."""
    here = {held.address for port in state.ports.values() for held in port.addresses}
    neighbours: set[Words] = set()
    tunnels: dict[str, set[Words]] = {}
    for remote in state.remotes:
        bridge = names.bridge_name(remote.network_id)
        tunnel = names.tunnel_name(remote.network_id)
        if remote.address in here or bridge not in present or tunnel not in present:
            continue
        address = str(ipaddress.ip_address(remote.address))
        neighbours.add((address, "lladdr", remote.mac.lower(), "dev", bridge))
        tunnels.setdefault(tunnel, set()).add((remote.mac.lower(), remote.host_ip))
    return frozenset(neighbours), {name: frozenset(found) for name, found in tunnels.items()}


# --- what is there -------------------------------------------------------------------------------


def _there() -> Wanted:
    return Wanted(
        routes=frozenset(map(_route, links.read("ip", "-json", "route", "show", *_OURS_ANYWHERE))),
        rules=frozenset(
            _rule(each)
            for each in links.read("ip", "-json", "-details", "rule", "show")
            if each.get("protocol") == PROTOCOL
        ),
        proxies=frozenset(
            ("proxy", str(each["dst"]), "dev", str(each["dev"]))
            for each in links.read("ip", "-json", "neigh", "show", "proxy")
            if each.get("protocol") == PROTOCOL
        ),
        neighbours=frozenset(
            (str(each["dst"]), "lladdr", str(each.get("lladdr")), "dev", str(each["dev"]))
            for each in links.read("ip", "-json", "neigh", "show", "nud", "permanent")
            if each.get("protocol") == PROTOCOL
        ),
    )


_OURS_ANYWHERE = ("table", "all", "proto", PROTOCOL)


def _route(each: Mapping[str, object]) -> Words:
    words = [str(each["dst"])]
    if "gateway" in each:
        words += ["via", str(each["gateway"])]
    words += ["dev", str(each.get("dev"))]
    if str(each.get("table", "main")) != "main":
        words += ["table", str(each["table"])]
    if "gateway" in each:
        words.append("onlink")
    return tuple(words)


def _rule(each: Mapping[str, object]) -> Words:
    words = ["pref", str(each["priority"]), "from", str(each["src"]), "iif", str(each.get("iif"))]
    words += ["lookup", str(each.get("table"))]
    if "suppress_prefixlen" in each:
        words += ["suppress_prefixlength", str(each["suppress_prefixlen"])]
    return tuple(words)


# --- making one of the other ---------------------------------------------------------------------


def _change(
    kind: str, there: frozenset[Words], wanted: frozenset[Words], *, replace: bool = False
) -> None:
    """What goes goes first: two of the same destination may differ in the rest."""
    lines = [f"{kind} delete {' '.join(words)}" for words in sorted(there - wanted)]
    verb = "replace" if replace else "add"
    # A rule's protocol, a route's and a neighbour's are said by the same word, a neighbour's last.
    lines += [
        f"{kind} {verb} {' '.join(words)} {_permanent(kind, words)}protocol {PROTOCOL}"
        for words in sorted(wanted - there)
    ]
    if lines:
        links.run("ip", "-force", "-batch", "-", given="\n".join(lines) + "\n")


def _permanent(kind: str, words: Words) -> str:
    return "nud permanent " if kind == "neigh" and words[0] != "proxy" else ""


def _point_tunnels(wanted: Mapping[str, frozenset[Words]]) -> None:
    """Say which host a MAC is on: a router's packets go there alone, though nothing was heard of
    it. It is not for ever: a guest that moves is believed at once, and what nobody uses ages."""
    for tunnel, ends in wanted.items():
        entries = links.read("bridge", "-json", "fdb", "show", "dev", tunnel)
        there = {(each.get("mac"), each.get("dst")) for each in entries}
        for mac, peer in sorted(ends - there):
            words = (mac, "dev", tunnel, "dst", peer, "self", "dynamic")
            links.run("bridge", "fdb", "replace", *words)


def _prepare(devices: Collection[str], bridges: Collection[str]) -> None:
    """Answers for others wait up to 0.8 s by default. What comes by an operator's bridge may be
    from anywhere, though the host's own way there is another."""
    for device in devices:
        names.checked_device(device)
        _write(_SYSCTL / "neigh" / device / "proxy_delay", "0")
        if device in bridges:
            _write(_SYSCTL / "conf" / device / "rp_filter", "0")
            _write(_SYSCTL / "conf" / device / "forwarding", "1")


def _speak(speakers: Mapping[str, str]) -> None:
    """On an operator's bridge the host has no address of its own. Who is asked there by ARP may not
    answer an address that is none of that network: the host asks as a floating IP that it has."""
    if _spoken() == _spoken_as(speakers):
        return
    lines = ["add table arp byre_arp", "delete table arp byre_arp"]
    if speakers:
        lines += [
            "table arp byre_arp {",
            f"  chain {_spoken_as(speakers)} {{",
            "    type filter hook output priority 0; policy accept;",
            *(
                f'    oifname "{device}" arp operation request arp saddr ip set {address}'
                for device, address in sorted(speakers.items())
            ),
            "  }",
            "}",
        ]
    links.run("nft", "-f", "-", given="\n".join(lines) + "\n")


def _spoken() -> str | None:
    found = kernel.chains("arp").get("byre_arp")
    return found[0] if found else None


def _spoken_as(speakers: Mapping[str, str]) -> str | None:
    """Return the name of the chain, which tells what is in it."""
    text = repr(sorted(speakers.items())).encode()
    return f"asking_{hashlib.sha256(text).hexdigest()[:16]}" if speakers else None


def _write(path: Path, value: str) -> None:
    try:
        if path.read_text().strip() != value:
            path.write_text(value)
    except OSError as error:
        raise HostError("The host could not change its network.", problem=str(error)) from error


def _let_marked_through(*, wanted: bool) -> None:
    for version in (4, 6):
        if wanted and not _lets_marked_through(version):
            _remove_accept(version)
            links.run(_iptables(version), "-w", "5", "-I", "FORWARD", "1", *_ACCEPT)
        if not wanted and _accepts(version):
            _remove_accept(version)


def _lets_marked_through(version: int) -> bool:
    """Say whether ours is the first rule: what came before may be libvirt's, put there since."""
    rules = _accepts(version, first=True)
    return bool(rules)


def _accepts(version: int, *, first: bool = False) -> list[str]:
    said = links.run(_iptables(version), "-w", "5", "-S", "FORWARD").splitlines()
    rules = [line for line in said if line.startswith("-A ")]
    own = f"-A FORWARD {' '.join(_ACCEPT)}"
    return [line for line in (rules[:1] if first else rules) if line == own]


def _remove_accept(version: int) -> None:
    for _ in _accepts(version):
        links.run(_iptables(version), "-w", "5", "-D", "FORWARD", *_ACCEPT)


def _iptables(version: int) -> str:
    return "iptables" if version == 4 else "ip6tables"


def _announce(address: str, device: str) -> None:
    """Tell who is there that the address is here now (gratuitous ARP, RFC 5227, section 3)."""
    own = next(
        (each for each in links.read("ip", "-json", "link", "show", "dev", device) if each), {}
    )
    hardware = bytes.fromhex(str(own.get("address", "")).replace(":", ""))
    if len(hardware) != 6:
        return
    ip = socket.inet_aton(address)
    everybody = b"\xff" * 6
    ether = everybody + hardware + struct.pack("!H", 0x0806)
    try:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as line:
            line.bind((device, 0))
            # As a request and as an answer: some listen to the one, some to the other.
            for kind in (1, 2):
                head = struct.pack("!HHBBH", 1, 0x0800, 6, 4, kind)
                line.send(ether + head + hardware + ip + everybody + ip)
    except OSError as error:
        # They ask again when what they know has aged.
        log.warning("routes.not_announced", address=address, device=device, problem=str(error))
