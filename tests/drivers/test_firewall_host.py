"""What guests and their host reach of each other, and of the world beyond, by real packets."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.drivers.libvirtd import PrivateHost
from tests.drivers.namespaces import Namespace, arrived, hears, run
from tests.drivers.sites import OPEN_IN, OPEN_OUT, TCP, Site, group, rule

pytestmark = pytest.mark.lab


def test_what_the_host_begins_needs_a_rule_too(site: Site, private_host: PrivateHost) -> None:
    network = site.network()
    web = group(rule("ingress", protocol=TCP, port_min=80))
    server = site.guest(network, web)
    server.serve(80), server.serve(81)
    for number, arrives in ((80, True), (81, False)):
        # The rig's thread is in the host's own network.
        own = socket.socket()
        own.settimeout(0.7)
        assert (own.connect_ex((server.addresses[0], number)) == 0) is arrives
        own.close()


def test_guests_reach_on_the_host_only_what_is_theirs(site: Site) -> None:
    near, far = site.network(), site.network()
    client = site.guest(near, group(*OPEN_OUT))
    site.guest(far, group(*OPEN_OUT))
    own, other = (str(network.subnets[0].host_address) for network in (near, far))
    run("ip", "address", "replace", "169.254.169.254/32", "dev", "lo")
    listeners: list[socket.socket] = []
    try:
        listeners += [socket.create_server(("", number)) for number in (22, 80)]
        assert arrived(
            ping=lambda: client.pings(own),
            dns=lambda: client.reaches(own, 53),
            metadata=lambda: client.reaches("169.254.169.254", 80),
            metadata_ssh=lambda: client.reaches("169.254.169.254", 22),
            own_ssh=lambda: client.reaches(own, 22),
            own_web=lambda: client.reaches(own, 80),
            other_ssh=lambda: client.reaches(other, 22),
            other_dns=lambda: client.reaches(other, 53),
            other_ping=lambda: client.pings(other),
        ) == {"ping", "dns", "metadata"}
    finally:
        for listener in listeners:
            listener.close()
        run("ip", "address", "delete", "169.254.169.254/32", "dev", "lo")


@pytest.mark.parametrize("kind", ["nat", "isolated"])
def test_networks_do_not_reach_each_other_by_the_host(site: Site, kind: str) -> None:
    open_both = group(*OPEN_OUT, *OPEN_IN)
    client = site.guest(site.network(), open_both)
    server = site.guest(site.network(kind), open_both)
    server.serve(80)
    assert not arrived(
        tcp=lambda: client.reaches(server.addresses[0], 80),
        ping=lambda: client.pings(server.addresses[0]),
    )


@contextmanager
def world_beyond(*more: str) -> Iterator[Namespace]:
    """Give a namespace beyond the host, which stands for the world, with these addresses too."""
    world = f"bw{os.getpid() % 100_000}"
    beyond = Namespace(world, ["203.0.113.9"])
    try:
        run("ip", "netns", "add", world)
        run("ip", "link", "add", "byout0", "type", "veth", "peer", "name", "eth0", "netns", world)
        run("ip", "address", "add", "203.0.113.1/24", "dev", "byout0")
        run("ip", "link", "set", "byout0", "up")
        run("ip", "-n", world, "address", "add", "203.0.113.9/24", "dev", "eth0")
        run("ip", "-n", world, "link", "set", "eth0", "up")
        for address in more:
            run("ip", "-n", world, "address", "add", f"{address}/32", "dev", "eth0")
            run("ip", "route", "add", f"{address}/32", "via", "203.0.113.9")
        yield beyond
    finally:
        run("ip", "link", "delete", "byout0")
        beyond.remove()


@pytest.mark.parametrize("security", [True, False])
def test_the_metadata_service_of_the_hosts_own_cloud_is_out_of_reach(
    site: Site, security: bool
) -> None:
    client = site.guest(site.network(), group(*OPEN_OUT), security=security)
    with world_beyond("169.254.169.254", "198.51.100.1") as beyond:
        beyond.serve(80)
        assert arrived(
            world=lambda: client.reaches("198.51.100.1", 80),
            metadata=lambda: client.reaches("169.254.169.254", 80),
        ) == {"world"}


def test_what_is_routed_out_is_kept_to_the_rules(site: Site) -> None:
    """NAT included."""
    network = site.network()
    web = group(rule("egress", protocol=TCP, port_min=80))
    client = site.guest(network, web)
    with world_beyond() as beyond:
        listener = beyond.serve(80)
        beyond.serve(81)
        near = client.connect("203.0.113.9", 80)
        assert near is not None
        far, sender = beyond.accept(listener)
        assert sender[0].endswith("203.0.113.1")
        assert not client.reaches("203.0.113.9", 81)
        near.send(b"before")
        assert hears(far, b"before")
        site.change(web)
        near.send(b"after")
        far.send(b"answer")
        assert not arrived(
            sent=lambda: hears(far, b"after"), answered=lambda: hears(near, b"answer")
        )
