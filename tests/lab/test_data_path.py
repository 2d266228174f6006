"""Where packets go: two hosts of one network, looked at from the guests' side of the bridges.

The drivers are asked directly, as a build and a `Fabric` would ask them. Real guests, through the
API, are test_tenant_networks' part.
"""

import re
import socket
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from tasks.messages import NetworkSpec, Overlay, PortAddress, PortSpec, Route, SubnetSpec
from tests.drivers.libvirtd import PrivateHost
from tests.drivers.namespaces import arrived
from tests.lab.bridge import UNDERLAY, LabBridge
from tests.lab.plugged import Plugged, Tap, link_local
from workers.hypervisor import names
from workers.hypervisor.libvirt import LibvirtHypervisor, LibvirtSettings
from workers.hypervisor.libvirt.network_xml import gateway_mac

pytestmark = [pytest.mark.lab, pytest.mark.boots, pytest.mark.timeout(300)]

T = TypeVar("T")

MTU = 1450
#: Headers of a ping: IP's and ICMP's.
HEADERS_V4, HEADERS_V6 = 28, 48
#: The MAC of who speaks on the underlay, and is no peer.
STRANGER = b"\x02\x00\x00\x00\x00\x01"


@dataclass
class Site:
    """One host, its driver, and its address on the underlay."""

    private: PrivateHost
    driver: LibvirtHypervisor
    address: str

    def do(self, verb: Callable[[], T]) -> T:
        """Let the driver act on its host's own network."""
        with self.private.entered():
            return verb()

    def ensure(self, spec: NetworkSpec) -> None:
        """Have the network there."""
        self.do(lambda: self.driver.ensure_network(spec))

    def run(self, *words: str) -> str:
        """Run a program on the host."""
        command = self.private.command(*words)
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
        return done.stdout


@dataclass
class Overlaid:
    """Two hosts with two networks, and a guest of `red` on each."""

    sites: tuple[Site, Site]
    red: NetworkSpec
    blue: NetworkSpec
    reds: tuple[Plugged, Plugged]
    #: On the second host.
    bluish: Plugged

    def seen_by(self, site: Site, spec: NetworkSpec) -> NetworkSpec:
        """Return the network as it is told to one of the hosts."""
        return for_host(spec, site, self.sites)


def for_host(spec: NetworkSpec, site: Site, sites: tuple[Site, ...]) -> NetworkSpec:
    """Return the network with the other hosts as its peers."""
    assert spec.overlay is not None
    peers = [other.address for other in sites if other is not site]
    return spec.model_copy(update={"overlay": Overlay(vni=spec.overlay.vni, peers=peers)})


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Site]]:
    """Two hosts that share an underlay."""
    with ExitStack() as undo:
        bridge = undo.enter_context(LabBridge(UNDERLAY))
        made = []
        for number in range(2):
            below = tmp_path_factory.mktemp(f"site{number}")
            private = PrivateHost(below / "host", f"{bridge_prefix()}{number}")
            (below / "host").mkdir()
            undo.callback(private.stop)
            private.start()
            address = bridge.join(private, number)
            driver = LibvirtHypervisor(_settings(private, below, address))
            undo.callback(driver.close)
            made.append(Site(private, driver, address))
        yield made[0], made[1]


def bridge_prefix() -> str:
    """Return what the hosts' namespaces are named after."""
    return f"byd{uuid.uuid4().hex[:6]}-"


def _settings(private: PrivateHost, below: Path, address: str) -> LibvirtSettings:
    return LibvirtSettings(
        uri=private.uri,
        storage_dir=below / "storage",
        state_dir=below / "state",
        console_dir=below / "console",
        acceleration="qemu",
        underlay_address=address,
    )


@pytest.fixture(scope="module")
def overlaid(sites: tuple[Site, Site]) -> Iterator[Overlaid]:
    """Networks on both hosts, and guests on them with their addresses."""
    with ExitStack() as undo:
        red, blue = network(1, 7001), network(2, 7002)
        reds = [guest(undo, sites[n], red, sites, 11 + n) for n in range(2)]
        bluish = guest(undo, sites[1], blue, sites, 13)
        yield Overlaid(sites, red, blue, (reds[0], reds[1]), bluish)


def network(number: int, vni: int) -> NetworkSpec:
    """Return a network of both IP versions."""
    return NetworkSpec(
        network_id=str(uuid.uuid4()),
        name=f"n{number}",
        mtu=MTU,
        subnets=[
            subnet(f"10.62.{number}.0/24", f"10.62.{number}.1"),
            subnet(f"fd62:{number}::/64", f"fd62:{number}::1"),
        ],
        overlay=Overlay(vni=vni),
    )


def subnet(cidr: str, first: str, routes: tuple[Route, ...] = ()) -> SubnetSpec:
    """Return a block with a way out."""
    return SubnetSpec(
        subnet_id=str(uuid.uuid4()),
        version=6 if ":" in cidr else 4,
        cidr=cidr,
        gateway=first,
        host_address=first,
        routes=list(routes),
    )


def port_of(spec: NetworkSpec, number: int) -> PortSpec:
    """Return a port with the number's address in each subnet."""
    addresses = [
        PortAddress(
            subnet_id=each.subnet_id,
            address=each.cidr.replace(".0/24", f".{number}").replace("::/64", f"::{number}"),
            prefix_length=int(each.cidr.partition("/")[2]),
        )
        for each in spec.subnets
    ]
    return PortSpec(
        port_id=str(uuid.uuid4()),
        network_id=spec.network_id,
        mac=f"fa:16:3e:62:00:{number:02x}",
        addresses=addresses,
    )


def guest(
    undo: ExitStack, site: Site, spec: NetworkSpec, sites: tuple[Site, ...], number: int
) -> Plugged:
    """Have the port on its host as a build would, and a guest plugged into it."""
    port, told = port_of(spec, number), for_host(spec, site, sites)
    site.do(lambda: site.driver.ensure_port(told, port, f"guest-{number}"))
    made = Plugged(site.private, names.bridge_name(spec.network_id), port, spec.mtu)
    undo.callback(made.remove)
    for held, each in zip(port.addresses, spec.subnets, strict=True):
        made.take(f"{held.address}/{held.prefix_length}")
        if each.gateway is not None:
            made.route("default", "via", each.gateway)
    return made


def addresses(plugged: Plugged) -> tuple[str, str]:
    """Return a guest's IPv4 and IPv6 address."""
    first, second = (held.address for held in plugged.port.addresses)
    return first, second


def test_a_network_spans_hosts_in_both_versions_up_to_its_mtu(overlaid: Overlaid) -> None:
    first, second = overlaid.reds
    v4, v6 = addresses(second)
    assert first.reaches(v4)
    assert first.reaches(v6)
    assert first.reaches(v4, size=MTU - HEADERS_V4)
    assert first.reaches(v6, size=MTU - HEADERS_V6)


def test_two_networks_do_not_meet(overlaid: Overlaid) -> None:
    """Neither over the tunnel, nor through the host that routes both."""
    first, second = overlaid.reds
    v4, v6 = addresses(overlaid.bluish)
    assert not arrived(
        by_tunnel=lambda: first.reaches(v4),
        by_tunnel_v6=lambda: first.reaches(v6),
        by_host=lambda: second.reaches(v4),
        by_host_v6=lambda: second.reaches(v6),
        back=lambda: overlaid.bluish.reaches(addresses(second)[0]),
    )


def test_each_guest_has_one_answer_its_own_hosts(overlaid: Overlaid) -> None:
    """Also where both hosts know the port, and so both would answer."""
    first, second = overlaid.sites
    one, (v4, v6) = overlaid.reds[0], addresses(overlaid.reds[0])
    told = overlaid.seen_by(second, overlaid.red)
    second.do(lambda: second.driver.ensure_port(told, one.port, "x"))
    device = names.tunnel_name(overlaid.red.network_id)
    with first.private.entered():
        tunnel = Tap(device)
    with tunnel:
        assert one.offers() == [v4]
        assert one.advertised() == [v6]
        assert set(one.routers()) == {link_local(gateway_mac(overlaid.red.network_id))}
        assert one.reaches(addresses(overlaid.reds[1])[0])
        crossed = tunnel.seen()
    # The answer could be the other host's all the same, were it not for this.
    assert crossed, "the ping must have been seen"
    assert [frame for frame in crossed if is_local_matter(frame, overlaid.red.network_id)] == []


def is_local_matter(frame: bytes, network_id: str) -> bool:
    """Say whether it is one of the frames that no other host may see: the host's own, DHCP of
    either version, and what routers and those who look for them say."""
    hardware = bytes.fromhex(gateway_mac(network_id).replace(":", ""))
    if frame[6:12] == hardware or frame[:6] == hardware:
        return True
    if frame[12:14] == b"\x08\x00" and frame[23] == 17:
        return int.from_bytes(frame[36:38], "big") in {67, 68}
    if frame[12:14] == b"\x86\xdd" and frame[20] == 17:
        return int.from_bytes(frame[56:58], "big") in {546, 547}
    return frame[12:14] == b"\x86\xdd" and frame[20] == 58 and frame[54] in {133, 134}


def test_each_guest_finds_its_own_host_at_the_gateway(overlaid: Overlaid) -> None:
    mac = gateway_mac(overlaid.red.network_id)
    for one in overlaid.reds:
        assert one.neighbour(str(overlaid.red.subnets[0].gateway)) == mac
        assert one.neighbour(str(overlaid.red.subnets[1].gateway)) == mac
    # Which of the two answers can be told by taking the other's tunnel away.
    site = overlaid.sites[0]
    alone = overlaid.red.model_copy(update={"overlay": Overlay(vni=7001)})
    site.ensure(alone)
    try:
        assert overlaid.reds[0].reaches(str(overlaid.red.subnets[0].gateway))
        assert not overlaid.reds[0].reaches(addresses(overlaid.reds[1])[0]), "it has no peer now"
    finally:
        site.ensure(overlaid.seen_by(site, overlaid.red))
    assert overlaid.reds[0].reaches(addresses(overlaid.reds[1])[0])


def test_the_way_out_is_through_the_own_host(overlaid: Overlaid) -> None:
    """The underlay's other machine stands for the world: it has no route back, so it is NAT."""
    for one in overlaid.reds:
        assert one.reaches(UNDERLAY)


def test_a_change_reaches_a_running_network_and_its_guests_go_on(overlaid: Overlaid) -> None:
    site, one = overlaid.sites[0], overlaid.reds[0]
    changed = [
        each.model_copy(update={"dns": ["192.0.2.53"]}) if each.version == 4 else each
        for each in overlaid.red.subnets
    ]
    told = overlaid.seen_by(site, overlaid.red.model_copy(update={"subnets": changed}))
    site.ensure(told)
    assert one.reaches(addresses(overlaid.reds[1])[0])
    assert one.offers() == [addresses(one)[0]]


def test_a_guest_is_told_its_mtu_and_its_way_out(overlaid: Overlaid) -> None:
    """Of the MTU, virtio tells its driver too; of other interfaces, only DHCP does."""
    told = overlaid.reds[0].options()
    assert int.from_bytes(told[26], "big") == MTU
    assert told[3] == bytes((10, 62, 1, 1))


def test_without_a_way_out_there_is_a_route_to_metadata_alone(sites: tuple[Site, Site]) -> None:
    spec = network(3, 7003)
    blocks = [each.model_copy(update={"gateway": None}) for each in spec.subnets]
    spec = spec.model_copy(update={"kind": "isolated", "subnets": blocks})
    with ExitStack() as undo:
        one = guest(undo, sites[0], spec, sites, 14)
        told = one.options()
        assert 3 not in told
        # A prefix's length, as much of it as that needs, and the next hop (RFC 3442).
        assert told[121] == bytes((32, 169, 254, 169, 254, 10, 62, 3, 1))
        other = guest(undo, sites[1], spec, sites, 15)
        assert one.reaches(addresses(other)[0])
        for each in (one, other):
            each.route(f"{UNDERLAY}/32", "via", "10.62.3.1")
        # It has no way out, whatever it tries.
        assert not arrived(one=lambda: one.reaches(UNDERLAY), other=lambda: other.reaches(UNDERLAY))


def test_rules_that_somebody_flushed_are_put_back(overlaid: Overlaid) -> None:
    site = overlaid.sites[0]
    ours = ("bridge byre_overlay", "inet byre_underlay")
    before = [site.run("nft", "list", "table", *table.split()) for table in ours]
    for table in ours:
        site.run("nft", "delete", "table", *table.split())
    site.ensure(overlaid.seen_by(site, overlaid.red))
    after = [site.run("nft", "list", "table", *table.split()) for table in ours]
    assert [_uncounted(text) for text in after] == [_uncounted(text) for text in before]


def _uncounted(listed: str) -> str:
    return re.sub(r"packets \d+ bytes \d+", "", listed)


def test_who_is_no_peer_is_not_heard(overlaid: Overlaid) -> None:
    """A packet of the tunnel's number, from an address that is no peer's, ends at the host."""
    site = overlaid.sites[0]
    before = _dropped(site)
    with site.private.entered():
        tunnel = Tap(names.tunnel_name(overlaid.red.network_id))
    with tunnel:
        _speak_from_outside(site.address, vni=7001)
        # Two hosts' talk goes on meanwhile, and shows that the look was at the right place.
        assert overlaid.reds[0].reaches(addresses(overlaid.reds[1])[0])
        senders = {frame[6:12] for frame in tunnel.seen()}
    assert _dropped(site) == before + 1
    assert senders
    assert STRANGER not in senders


def _dropped(site: Site) -> int:
    words = site.run("nft", "list", "table", "inet", "byre_underlay").split()
    return int(words[words.index("packets") + 1])


def _speak_from_outside(address: str, vni: int) -> None:
    """The test itself is on the underlay, as UNDERLAY, which is no host."""
    frame = b"\xff" * 6 + STRANGER + b"\x08\x06" + bytes(46)
    told = bytes((8, 0, 0, 0)) + (vni << 8).to_bytes(4, "big") + frame
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as speaker:
        speaker.sendto(told, (address, 4789))
