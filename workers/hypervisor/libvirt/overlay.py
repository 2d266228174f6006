"""Tunnels by which a network spans hosts: VXLAN (RFC 7348) with head-end replication.

Effect  an interface `byrx<8>` for each network with an overlay, a port of its bridge. What has no
        known receiver is sent to each peer once: the all-zero entries of the interface's
        forwarding table are the peers. Two tables of nftables: `bridge byre_overlay` keeps the
        host's own part out of the tunnels, `inet byre_underlay` lets in tunnelled packets of our
        networks only from their peers.
Repeat  an interface that is as wanted stays; only peers that came or went are changed.
Undo    `remove` takes the interface, and so its peers.

Each host answers DHCP, ARP for the gateway, and router solicitations for its own guests, with the
same addresses and the same MAC everywhere: nothing that a host says or is asked itself crosses a
tunnel, so each guest has exactly one answer, its own host's.
"""

import hashlib
import ipaddress
import json
import threading
from collections.abc import Iterable
from typing import Any

import structlog

from tasks.errors import HostError
from tasks.messages import NetworkSpec, Overlay
from workers.hypervisor import names
from workers.hypervisor.libvirt import links
from workers.hypervisor.libvirt.firewall.translation import ROUTED
from workers.hypervisor.libvirt.turns import Turns

log = structlog.get_logger(__name__)

#: Assigned by IANA (RFC 7348, section 8).
PORT = 4789
#: Outer IP, UDP and VXLAN headers, and the inner Ethernet one (RFC 7348, section 5), by IP version.
_OVERHEAD = {4: 50, 6: 70}
#: The receiver of what has no known receiver.
_EVERYBODY = "00:00:00:00:00:00"


def _host_stays(mac: str) -> str:
    """Return the table by which all that is sent or heard by a bridge itself stays on its host, and
    so do DHCP and routers' words of guests. By name, so that it holds before a tunnel is there.

    What a router leads to a guest of another host goes, from a MAC that is this host's alone: the
    one that it has on its bridge is every host's."""
    return f"""\
add table bridge byre_overlay
delete table bridge byre_overlay
table bridge byre_overlay {{
  chain host_says {{
    type filter hook output priority 0; policy accept;
    oifname "{names.TUNNEL}*" meta mark & {ROUTED} == {ROUTED} ether saddr set {mac} accept
    oifname "{names.TUNNEL}*" drop
  }}
  chain host_hears {{
    type filter hook input priority 0; policy accept;
    iifname "{names.TUNNEL}*" drop
  }}
  chain crossing {{
    type filter hook forward priority -300; policy accept;
    oifname "{names.TUNNEL}*" jump local_matters
    iifname "{names.TUNNEL}*" jump local_matters
  }}
  chain local_matters {{
    ether type ip udp dport {{ 67, 68 }} drop
    ether type ip6 udp dport {{ 546, 547 }} drop
    icmpv6 type {{ nd-router-solicit, nd-router-advert }} drop
  }}
}}
"""


class Tunnels:
    """The tunnels of one host, whose address on the underlay is `local`."""

    def __init__(self, local: str, turns: Turns) -> None:
        self._turns = turns
        self._local = ipaddress.ip_address(local)
        self._stays = _host_stays(_own_mac(local))
        self._lock = threading.Lock()
        self._let_in: str | None = None

    def ensure(self, spec: NetworkSpec, bridge: str) -> None:
        """Have the network's tunnel, with its peers and no others. A host whose address nobody else
        can reach has none, and its part of the network is its own."""
        if spec.overlay is None or self._local.is_loopback or self._local.is_unspecified:
            self.remove(spec.network_id)
            return
        device = names.tunnel_name(spec.network_id)
        with self._lock:
            self._refuse_too_large(spec)
            peers = self._others(spec.overlay.peers)
            # Before the tunnel: for no moment may anybody but a peer speak on the network.
            self._guard({spec.overlay.vni: peers})
            self._ensure_device(device, spec.overlay, spec.mtu, bridge)
            _ensure_peers(device, peers)

    def remove(self, network_id: str) -> None:
        """Remove the network's tunnel. Absent is done."""
        device = names.tunnel_name(network_id)
        with self._lock:
            if links.link(device) is not None:
                links.remove(device)
                self._guard({})

    def _others(self, peers: Iterable[str]) -> set[str]:
        """A peer that is ourselves would send everything back; one on loopback is nobody."""
        addresses = {ipaddress.ip_address(peer) for peer in peers}
        return {
            str(one)
            for one in addresses
            if one != self._local and not one.is_loopback and one.version == self._local.version
        }

    def _refuse_too_large(self, spec: NetworkSpec) -> None:
        underlay = links.mtu_to(str(self._local))
        if underlay is None:
            raise HostError(
                "The host does not have the address by which others are to reach it.",
                host_ip=str(self._local),
            )
        needed = spec.mtu + _OVERHEAD[self._local.version]
        if needed > underlay:
            raise HostError(
                f"The network's MTU of {spec.mtu} does not fit through the tunnel between hosts.",
                underlay_mtu=underlay,
                needed=needed,
            )

    def _ensure_device(self, device: str, overlay: Overlay, mtu: int, bridge: str) -> None:
        there = links.link(device)
        if there is not None and not self._is_as_wanted(there, overlay):
            links.remove(device)
            there = None
        if there is None:
            # Before the tunnel: for no moment may DHCP cross it.
            self._apply(self._stays)
            links.run(
                *("ip", "link", "add", device, "mtu", str(mtu), "type", "vxlan"),
                *("id", str(overlay.vni), "local", str(self._local), "dstport", str(PORT)),
            )
            log.info("tunnel.made", device=device, vni=overlay.vni)
        links.run("ip", "link", "set", device, "mtu", str(mtu), "master", bridge, "up")

    def _is_as_wanted(self, there: dict[str, Any], overlay: Overlay) -> bool:
        data = there.get("linkinfo", {}).get("info_data", {})
        own = data.get("local") or data.get("local6")
        return (data.get("id"), own, data.get("port")) == (overlay.vni, str(self._local), PORT)

    def _guard(self, coming: dict[int, set[str]]) -> None:
        """Let packets of our networks in from those networks' peers, from nobody else: who can send
        to the host could otherwise speak on any network. What somebody flushed is put back.
        `coming` is of a network whose tunnel is not made yet, or not as it will be."""
        peers = {**_known_peers(), **coming}
        wanted = _from_peers(peers)
        there = _tables() if peers else set()
        # At first in any case: a table of an older worker knows no routers.
        if peers and (self._let_in is None or ("bridge", "byre_overlay") not in there):
            self._apply(self._stays)
        is_flushed = bool(peers) and ("inet", "byre_underlay") not in there
        if is_flushed or wanted != self._let_in:
            self._apply(wanted)
            self._let_in = wanted

    def _apply(self, commands: str) -> None:
        with self._turns.ours():
            links.run("nft", "-f", "-", given=commands)


def _own_mac(local: str) -> str:
    """Return a MAC for this host, locally administered and unicast."""
    digits = hashlib.sha256(local.encode()).hexdigest()
    return ":".join(["06", *(digits[at : at + 2] for at in range(0, 10, 2))])


def _tables() -> set[tuple[str, str]]:
    """Return family and name of each table that nftables has."""
    found = json.loads(links.run("nft", "--json", "list", "tables"))["nftables"]
    return {(each["table"]["family"], each["table"]["name"]) for each in found if "table" in each}


def _ensure_peers(device: str, wanted: set[str]) -> None:
    entries = links.read("bridge", "-json", "fdb", "show", "dev", device)
    there = {e["dst"] for e in entries if e.get("mac") == _EVERYBODY and "dst" in e}
    for peer in sorted(wanted - there):
        links.run("bridge", "fdb", "append", _EVERYBODY, "dev", device, "dst", peer)
    for entry in entries:
        # What was learned of a peer that is gone would send into the void until it aged.
        if "dst" in entry and entry["dst"] not in wanted:
            words = ("dev", device, "dst", entry["dst"])
            links.run("bridge", "fdb", "delete", entry["mac"], *words)


def _known_peers() -> dict[int, set[str]]:
    """Return the peers of each of our tunnels, by the network's number."""
    numbers = {
        each["ifname"]: int(each["linkinfo"]["info_data"]["id"])
        for each in links.read("ip", "-json", "-details", "link", "show", "type", "vxlan")
        if str(each.get("ifname", "")).startswith(names.TUNNEL)
    }
    peers: dict[int, set[str]] = {number: set() for number in numbers.values()}
    for entry in links.read("bridge", "-json", "fdb", "show"):
        number = numbers.get(str(entry.get("ifname")))
        if number is not None and entry.get("mac") == _EVERYBODY and "dst" in entry:
            peers[number].add(entry["dst"])
    return peers


def _from_peers(peers: dict[int, set[str]]) -> str:
    """Return the table by which tunnelled packets come in. The network's number stands at bit 96 of
    the transport header: 8 bytes of UDP, then flags and reserved bits (RFC 7348, section 5)."""
    lines = ["add table inet byre_underlay", "delete table inet byre_underlay"]
    if not peers:
        return "\n".join(lines) + "\n"
    numbers = ", ".join(str(number) for number in sorted(peers))
    lines += [
        "table inet byre_underlay {",
        f"  set numbers {{ typeof @th,96,24; elements = {{ {numbers} }}; }}",
    ]
    checks = []
    for version, word in ((4, "ip"), (6, "ip6")):
        pairs = [
            f"{peer} . {number}"
            for number, each in sorted(peers.items())
            for peer in sorted(each)
            if ipaddress.ip_address(peer).version == version
        ]
        elements = f"elements = {{ {', '.join(pairs)} }};" if pairs else ""
        lines.append(f"  set peers{version} {{ typeof {word} saddr . @th,96,24; {elements} }}")
        checks.append(f"    {word} saddr . @th,96,24 @peers{version} accept")
    lines += [
        "  chain arriving {",
        "    type filter hook input priority -10; policy accept;",
        f"    udp dport {PORT} @th,96,24 @numbers jump tunnelled",
        "  }",
        "  chain tunnelled {",
        *checks,
        "    counter drop",
        "  }",
        "}",
    ]
    return "\n".join(lines) + "\n"
