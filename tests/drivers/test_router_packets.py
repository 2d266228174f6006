"""Routers and floating IPs by real packets: namespaces as guests, and one as the outside."""

import socket
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tasks.messages import (
    ExternalSpec,
    FirewallSpec,
    FloatingSpec,
    NetworkSpec,
    RoutedSubnet,
    RouterSpec,
    RoutingSpec,
)
from tests.drivers.conftest import Rig
from tests.drivers.libvirtd import PrivateHost
from tests.drivers.namespaces import Namespace, NamespaceGuest, arrived, hears, run
from tests.drivers.sites import OPEN_IN, OPEN_OUT, TCP, Site, group, rule

pytestmark = pytest.mark.lab

UPLINK, NEAR, OUTSIDE = "byup0", "203.0.113.1", "203.0.113.2"
#: A machine behind the outside, which knows floating IPs by the outside alone.
FAR = "192.0.2.9"


@pytest.fixture
def outside(private_host: PrivateHost) -> Iterator[Namespace]:
    """A machine on the host's uplink; the network for documentation is nobody's (RFC 5737)."""
    name = f"out{private_host.name[-8:]}"
    run("ip", "netns", "add", name)
    try:
        run(
            *("ip", "-n", name, "link", "add", "eth0", "type", "veth"),
            *("peer", "name", UPLINK, "netns", private_host.name),
        )
        run("ip", "-n", private_host.name, "address", "add", f"{NEAR}/24", "dev", UPLINK)
        run("ip", "-n", private_host.name, "link", "set", UPLINK, "up")
        run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", name, "address", "add", f"{OUTSIDE}/24", "dev", "eth0")
        run("ip", "-n", name, "address", "add", f"{FAR}/32", "dev", "lo")
        run("ip", "-n", name, "link", "set", "eth0", "up")
        run("ip", "-n", private_host.name, "route", "add", "default", "via", OUTSIDE)
        made = Namespace(name, [OUTSIDE, FAR])
        yield made
        made.remove()
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)
        with suppress(subprocess.CalledProcessError):
            run("ip", "-n", private_host.name, "link", "delete", UPLINK)


def external(**more: object) -> ExternalSpec:
    return ExternalSpec.parse(
        {
            "network_id": str(uuid.uuid4()),
            "cidr": "203.0.113.0/24",
            "gateway": OUTSIDE,
            **more,
        }
    )


def floating(site: Site, guest: NamespaceGuest, address: str, where: ExternalSpec) -> FloatingSpec:
    port = site.ports[guest.name]
    return FloatingSpec(
        floating_id=str(uuid.uuid4()),
        address=address,
        port_id=port.port_id,
        network_id=port.network_id,
        fixed=port.addresses[0].address,
        external=where,
    )


def router(*networks: NetworkSpec, world: bool = True, up: bool = True) -> RouterSpec:
    return RouterSpec(
        router_id=str(uuid.uuid4()),
        subnets=[
            RoutedSubnet(network_id=one.network_id, cidr=subnet.cidr)
            for one in networks
            for subnet in one.subnets
        ],
        world=world,
        up=up,
    )


_REVISIONS = iter(range(1_000_000, 2_000_000))


def tell(site: Site, *routers: RouterSpec, floats: tuple[FloatingSpec, ...] = ()) -> None:
    """Tell the host all that there is, as its fabric does."""
    members = {
        group_id: [
            held.address
            for port in site.ports.values()
            if group_id in port.groups
            for held in port.addresses
        ]
        for group_id in site.groups
    }
    firewall = FirewallSpec(
        revision=next(_REVISIONS),
        groups=list(site.groups.values()),
        members=members,
        routing=RoutingSpec(routers=list(routers), floating=list(floats)),
    )
    site.rig.host.update_firewall(firewall, list(site.ports.values()))


def asker_of(guest: Namespace, listener: socket.socket) -> str:
    """Return whom the next connection comes from."""
    _, other = guest.accept(listener)
    return str(other[0]).removeprefix("::ffff:")


def test_subnets_of_one_router_reach_each_other_and_no_others(site: Site) -> None:
    networks = [site.network() for _ in range(3)]
    open_group = group(*OPEN_OUT, rule("ingress", protocol=TCP, remote_prefix="10.178.0.0/16"))
    a, b, c = (site.guest(network, open_group) for network in networks)
    listener = b.serve(80)
    c.serve(80)
    assert not a.reaches(b.addresses[0], 80)
    shared = router(networks[0], networks[1])
    tell(site, shared)
    assert a.reaches(b.addresses[0], 80)
    # Its own address, by which b's groups decide, is not translated.
    assert asker_of(b, listener) == a.addresses[0]
    a.serve(81)
    assert arrived(
        back=lambda: b.reaches(a.addresses[0], 81), apart=lambda: a.reaches(c.addresses[0], 80)
    ) == {"back"}
    tell(site, shared.model_copy(update={"up": False}))
    assert not a.reaches(b.addresses[0], 80)


def test_groups_still_decide_what_a_router_leads_to(site: Site) -> None:
    networks = [site.network() for _ in range(2)]
    clients = group(*OPEN_OUT)
    web = group(
        rule("ingress", protocol=TCP, port_min=80, remote_group=clients.group_id), *OPEN_OUT
    )
    a, b = site.guest(networks[0], clients), site.guest(networks[1], web)
    b.serve(80), b.serve(81)
    tell(site, router(*networks))
    assert arrived(
        open=lambda: a.reaches(b.addresses[0], 80), closed=lambda: a.reaches(b.addresses[0], 81)
    ) == {"open"}


def test_floating_ip_leads_in_and_out(site: Site, outside: Namespace) -> None:
    network = site.network()
    guest = site.guest(network, group(*OPEN_OUT, rule("ingress", protocol=TCP, port_min=80)))
    listener, heard = guest.serve(80), outside.serve(90)
    guest.serve(81)
    one = floating(site, guest, "203.0.113.50", external())
    tell(site, router(network), floats=(one,))

    assert site.rig.host.refused_floating_ips() == []
    assert arrived(
        open=lambda: outside.reaches("203.0.113.50", 80),
        closed=lambda: outside.reaches("203.0.113.50", 81),
    ) == {"open"}
    assert asker_of(guest, listener) == OUTSIDE
    assert guest.reaches(OUTSIDE, 90)
    assert asker_of(outside, heard) == "203.0.113.50"
    assert site.rig.host.firewall_intact()


def test_without_a_floating_ip_guests_leave_with_the_hosts_address(
    site: Site, outside: Namespace
) -> None:
    network = site.network()
    guest = site.guest(network, group(*OPEN_OUT))
    heard = outside.serve(90)
    tell(site, router(network))
    assert guest.reaches(OUTSIDE, 90)
    assert asker_of(outside, heard) == NEAR
    tell(site, router(network, world=False))
    assert not guest.reaches(OUTSIDE, 90)
    tell(site)
    assert guest.reaches(OUTSIDE, 90)


def test_floating_ip_that_is_taken_away_cuts_its_connections(
    site: Site, outside: Namespace
) -> None:
    network = site.network()
    guest = site.guest(network, group(*OPEN_OUT, *OPEN_IN))
    listener = guest.serve(80)
    here = router(network)
    one = floating(site, guest, "203.0.113.51", external())
    tell(site, here, floats=(one,))
    near = outside.connect("203.0.113.51", 80)
    assert near is not None
    far, _ = guest.accept(listener)
    near.send(b"before")
    assert hears(far, b"before")
    tell(site, here)
    near.send(b"after")
    assert not arrived(
        old=lambda: hears(far, b"after"), new=lambda: outside.reaches("203.0.113.51", 80)
    )
    said = run("ip", "neigh", "show", "proxy") + run("ip", "route", "show", "table", "all")
    assert "203.0.113.51" not in said


def test_removed_rule_cuts_what_came_by_a_floating_ip(site: Site, outside: Namespace) -> None:
    network = site.network()
    web = group(*OPEN_OUT, rule("ingress", protocol=TCP, port_min=80))
    guest = site.guest(network, web)
    listener = guest.serve(80)
    here, one = router(network), floating(site, guest, "203.0.113.52", external())
    tell(site, here, floats=(one,))
    near = outside.connect("203.0.113.52", 80)
    far, _ = guest.accept(listener)
    assert near is not None
    site.groups[web.group_id] = web.model_copy(update={"rules": list(OPEN_OUT)})
    tell(site, here, floats=(one,))
    near.send(b"after")
    assert not hears(far, b"after")


def test_guests_reach_each_other_by_floating_ips(site: Site, outside: Namespace) -> None:
    networks = [site.network() for _ in range(2)]
    open_group = group(*OPEN_OUT, *OPEN_IN)
    a, near, far = (site.guest(networks[at], open_group) for at in (0, 0, 1))
    where = external()
    named = [(a, "203.0.113.60"), (near, "203.0.113.61"), (far, "203.0.113.62")]
    floats = tuple(floating(site, guest, address, where) for guest, address in named)
    tell(site, router(networks[0]), router(networks[1]), floats=floats)
    near.serve(80), far.serve(80)
    assert arrived(
        other_network=lambda: a.reaches("203.0.113.62", 80),
        same_network=lambda: a.reaches("203.0.113.61", 80),
        fixed_address=lambda: a.reaches(far.addresses[0], 80),
    ) == {"other_network", "same_network"}


def test_flushed_floating_ip_leads_nowhere_and_comes_back(site: Site, outside: Namespace) -> None:
    network = site.network()
    guest = site.guest(network, group(*OPEN_OUT, *OPEN_IN))
    guest.serve(80)
    tell(site, router(network), floats=(floating(site, guest, "203.0.113.53", external()),))
    run("nft", "delete", "table", "inet", "byre_firewall")
    # Not to the host itself either, which listens there too.
    with socket.socket() as own:
        own.bind(("0.0.0.0", 80))  # noqa: S104 - in the host's own namespace
        own.listen()
        own.settimeout(0.5)
        # libvirt's rules refuse it.
        outside.connect("203.0.113.53", 80)
        with pytest.raises(TimeoutError):
            own.accept()
    assert not site.rig.host.firewall_intact()
    site.rig.host.restore_firewall()
    assert outside.reaches("203.0.113.53", 80)
    run("ip", "route", "delete", "203.0.113.53/32")
    assert not site.rig.host.firewall_intact()
    site.rig.host.restore_firewall()
    run("iptables", "-F", "FORWARD")
    assert not site.rig.host.firewall_intact()
    site.rig.host.restore_firewall()
    assert site.rig.host.firewall_intact()


def test_outside_is_told_where_a_floating_ip_has_come_to(site: Site, outside: Namespace) -> None:
    network = site.network()
    guest = site.guest(network, group(*OPEN_OUT, *OPEN_IN))
    guest.serve(80)
    # What it believed before: somebody else's MAC.
    run(
        *("ip", "-n", outside.name, "neigh", "replace", "203.0.113.54"),
        *("lladdr", "02:00:00:00:00:99", "dev", "eth0", "nud", "stale"),
    )
    tell(site, router(network), floats=(floating(site, guest, "203.0.113.54", external()),))
    assert outside.reaches("203.0.113.54", 80)


def test_floating_ip_on_an_operators_bridge_goes_back_by_it(
    site: Site, private_host: PrivateHost, outside: Namespace
) -> None:
    """The host has no address on that bridge, and its own way out is another."""
    bridge, name = "br-ext0", f"ext{private_host.name[-8:]}"
    run("ip", "link", "add", bridge, "type", "bridge", "forward_delay", "0")
    run("ip", "link", "set", bridge, "up")
    run("ip", "netns", "add", name)
    beyond = Namespace(name, ["198.51.100.1"])
    try:
        run(
            *("ip", "-n", name, "link", "add", "eth0", "type", "veth"),
            *("peer", "name", "byext0", "netns", private_host.name),
        )
        run("ip", "link", "set", "byext0", "master", bridge, "up")
        run("ip", "-n", name, "address", "add", "198.51.100.1/24", "dev", "eth0")
        run("ip", "-n", name, "link", "set", "eth0", "up")
        run("ip", "-n", name, "link", "set", "lo", "up")
        network = site.network()
        guest = site.guest(network, group(*OPEN_OUT, *OPEN_IN))
        guest.serve(80)
        facts = {"cidr": "198.51.100.0/24", "gateway": "198.51.100.1"}
        here = external(physical_network="ext", **facts)
        elsewhere = external(physical_network="nowhere", **facts)
        one = floating(site, guest, "198.51.100.50", here)
        other = site.guest(network, group(*OPEN_OUT, *OPEN_IN))
        lost = floating(site, other, "198.51.100.51", elsewhere)
        with_bridges(site.rig, {"ext": bridge})
        tell(site, router(network), floats=(one, lost))
        assert site.rig.host.refused_floating_ips() == [lost.floating_id]
        assert beyond.reaches("198.51.100.50", 80)
        heard = beyond.serve(90)
        assert guest.reaches("198.51.100.1", 90)
        assert asker_of(beyond, heard) == "198.51.100.50"
    finally:
        with_bridges(site.rig, {})
        beyond.remove()
        run("ip", "link", "delete", bridge)


def with_bridges(rig: Rig, bridges: dict[str, str]) -> None:
    """Let the host have these operators' bridges."""
    firewall = rig.host._firewall  # type: ignore[attr-defined]
    firewall._routes._physical_networks = bridges


def test_port_that_goes_takes_its_floating_ip_along(site: Site, outside: Namespace) -> None:
    network = site.network()
    guest, other = (site.guest(network, group(*OPEN_OUT, *OPEN_IN)) for _ in range(2))
    guest.serve(80)
    tell(site, router(network), floats=(floating(site, guest, "203.0.113.55", external()),))
    port = site.ports.pop(guest.name)
    site.rig.host.remove_ports(str(uuid.uuid4()), [port])
    assert not outside.reaches("203.0.113.55", 80)
    assert "203.0.113.55" not in run("ip", "neigh", "show", "proxy")
    assert other.name in site.ports
