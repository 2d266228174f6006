"""Security groups by real packets: namespaces as guests on the bridges of a real libvirt."""

import os
import socket
import uuid

import pytest

from tasks.messages import AddressPair
from tests.drivers.namespaces import Namespace, arrived, run
from tests.drivers.sites import ICMP, OPEN_IN, OPEN_OUT, TCP, UDP, Site, group, rule
from workers.hypervisor.names import bridge_name

pytestmark = pytest.mark.lab


def test_only_what_is_allowed_arrives(site: Site) -> None:
    network = site.network()
    web = group(rule("ingress", protocol=TCP, port_min=80, port_max=81), *OPEN_OUT)
    server, client = site.guest(network, web), site.guest(network, group(*OPEN_OUT))
    v4, v6 = server.addresses
    server.serve(80), server.serve(82)
    datagrams = server.serve(80, socket.SOCK_DGRAM)
    client.serve(80)
    assert arrived(
        first=lambda: client.reaches(v4, 80),
        last=lambda: client.reaches(v4, 81),
        beyond=lambda: client.reaches(v4, 82),
        other_version=lambda: client.reaches(v6, 80),
        ping=lambda: client.pings(v4),
        ping_v6=lambda: client.pings(v6),
        datagram=lambda: client.sends(datagrams, v4, 80),
    ) == {"first", "last"}
    # The other way round nothing is allowed, but answers were.
    assert not server.reaches(client.addresses[0], 80)


def test_udp_and_icmp_of_both_versions_arrive_where_allowed(site: Site) -> None:
    network = site.network()
    allowed = group(
        rule("ingress", protocol=UDP, port_min=53),
        rule("ingress", protocol=ICMP, port_min=8, port_max=0),
        rule("ingress", version=6, protocol=ICMP, port_min=128),
        rule("ingress", version=6, protocol=TCP, port_min=80),
        *OPEN_OUT,
    )
    server, client = site.guest(network, allowed), site.guest(network, group(*OPEN_OUT))
    v4, v6 = server.addresses
    server.serve(80)
    named, other = server.serve(53, socket.SOCK_DGRAM), server.serve(54, socket.SOCK_DGRAM)
    assert client.sends(named, v4, 53)
    assert arrived(
        other_port=lambda: client.sends(other, v4, 54),
        other_version=lambda: client.sends(named, v6, 53),
        ping=lambda: client.pings(v4),
        ping_v6=lambda: client.pings(v6),
        tcp=lambda: client.reaches(v4, 80),
        tcp_v6=lambda: client.reaches(v6, 80),
    ) == {"ping", "ping_v6", "tcp_v6"}


def test_what_leaves_is_kept_to_the_egress_rules(site: Site) -> None:
    network = site.network()
    only_dns = group(rule("egress", protocol=UDP, port_min=53))
    server, client = site.guest(network, group(*OPEN_IN)), site.guest(network, only_dns)
    v4, v6 = server.addresses
    server.serve(80)
    named = server.serve(53, socket.SOCK_DGRAM)
    assert client.sends(named, v4, 53)
    assert not arrived(
        other_version=lambda: client.sends(named, v6, 53),
        tcp=lambda: client.reaches(v4, 80),
        ping=lambda: client.pings(v4),
    )


def test_a_port_without_groups_gets_nothing_through(site: Site) -> None:
    network = site.network()
    server, client = site.guest(network), site.guest(network, group(*OPEN_OUT, *OPEN_IN))
    server.serve(80), client.serve(80)
    assert not arrived(
        incoming=lambda: client.reaches(server.addresses[0], 80),
        outgoing=lambda: server.reaches(client.addresses[0], 80),
    )


def test_a_group_that_is_not_known_allows_nothing(site: Site) -> None:
    network = site.network()
    unknown = str(uuid.uuid4())
    server = site.guest(network, groups=[unknown])
    client = site.guest(network, group(*OPEN_OUT))
    server.serve(80)
    assert not client.reaches(server.addresses[0], 80)


def test_a_port_without_security_is_kept_to_nothing(site: Site) -> None:
    network = site.network()
    server = site.guest(network, security=False)
    client = site.guest(network, group(*OPEN_OUT))
    server.serve(80)
    assert client.reaches(server.addresses[0], 80)


def test_what_was_told_before_there_were_groups_stays_open(site: Site) -> None:
    network = site.network()
    server, client = site.guest(network, grouped=False), site.guest(network, grouped=False)
    server.serve(80)
    assert client.reaches(server.addresses[0], 80)


def test_members_of_a_group_come_and_go(site: Site) -> None:
    network = site.network()
    friends = group(*OPEN_OUT)
    server_group = group(
        rule("ingress", protocol=TCP, port_min=80, remote_group=friends.group_id), *OPEN_OUT
    )
    server = site.guest(network, server_group)
    client = site.guest(network, friends)
    stranger = site.guest(network, group(*OPEN_OUT))
    v4 = server.addresses[0]
    server.serve(80)
    site.tell()
    assert arrived(
        friend=lambda: client.reaches(v4, 80), stranger=lambda: stranger.reaches(v4, 80)
    ) == {"friend"}
    port = site.ports[stranger.name]
    site.ports[stranger.name] = port.model_copy(update={"groups": [friends.group_id]})
    site.tell(server.name, stranger.name)
    assert stranger.reaches(v4, 80)
    site.ports[client.name] = port.model_copy(
        update={**dict(site.ports[client.name]), "groups": []}
    )
    site.tell()
    assert not client.reaches(v4, 80)


def test_answers_need_a_rule_where_the_group_is_stateless(site: Site) -> None:
    network = site.network()
    stateless = group(rule("egress", protocol=TCP, port_min=80), stateful=False)
    server, client = site.guest(network, group(*OPEN_IN)), site.guest(network, stateless)
    server.serve(80)
    assert not client.reaches(server.addresses[0], 80)
    site.change(stateless, *stateless.rules, rule("ingress", protocol=TCP))
    assert client.reaches(server.addresses[0], 80)


def test_an_address_pair_is_the_ports_too(site: Site) -> None:
    network = site.network()
    v4 = network.subnets[0].cidr.replace(".0/24", "")
    pairs = [AddressPair(address=f"{v4}.200"), AddressPair(address="198.51.100.0/24")]
    web = group(rule("ingress", protocol=TCP, port_min=80), *OPEN_OUT)
    server = site.guest(network, web, pairs=pairs)
    client = site.guest(network, group(*OPEN_OUT))
    server.serve(80), server.serve(81)
    for address in (f"{v4}.200/32", "198.51.100.7/32"):
        run("ip", "-n", server.name, "address", "add", address, "dev", "eth0")
    run("ip", "-n", client.name, "route", "add", "198.51.100.0/24", "dev", "eth0")
    assert arrived(
        address=lambda: client.reaches(f"{v4}.200", 80),
        prefix=lambda: client.reaches("198.51.100.7", 80),
        address_other_port=lambda: client.reaches(f"{v4}.200", 81),
        prefix_other_port=lambda: client.reaches("198.51.100.7", 81),
    ) == {"address", "prefix"}


def test_a_router_guest_sends_and_gets_for_others(site: Site) -> None:
    """A prefix of everything is its own only by its own MAC: neighbours stay themselves."""
    network = site.network()
    everything = [AddressPair(address="0.0.0.0/0")]
    site.guest(network, group(), pairs=everything)
    open_both = group(*OPEN_OUT, *OPEN_IN)
    server = site.guest(network, open_both)
    server.serve(80)
    remote = site.guest(network, open_both)
    # As on another host: nothing here knows its port.
    site.rig.host.remove_ports(str(uuid.uuid4()), [site.ports.pop(remote.name)])
    assert remote.reaches(server.addresses[0], 80)


def test_rules_hold_for_what_comes_by_a_tunnel(site: Site) -> None:
    """A VXLAN device is one more port of the bridge: here with its other end in a namespace."""
    network = site.network()
    web = group(rule("ingress", protocol=TCP, port_min=80), *OPEN_OUT)
    server = site.guest(network, web)
    server.serve(80), server.serve(81)
    other = f"bo{os.getpid() % 100_000}"
    v4 = network.subnets[0].cidr.replace(".0/24", ".250/24")
    remote = Namespace(other, [])
    try:
        run("ip", "netns", "add", other)
        run("ip", "link", "add", "bytun0", "type", "veth", "peer", "name", "under", "netns", other)
        run("ip", "address", "add", "192.0.2.1/30", "dev", "bytun0")
        run("ip", "link", "set", "bytun0", "up")
        run("ip", "-n", other, "address", "add", "192.0.2.2/30", "dev", "under")
        run("ip", "-n", other, "link", "set", "under", "up")
        for where, device, near, far in (
            ([], "byvx0", "192.0.2.1", "192.0.2.2"),
            (["-n", other], "eth0", "192.0.2.2", "192.0.2.1"),
        ):
            run(
                "ip", *where, "link", "add", device, "type", "vxlan", "id", "77",
                "local", near, "remote", far, "dstport", "4789",
            )  # fmt: skip
        run("ip", "link", "set", "byvx0", "master", bridge_name(network.network_id), "up")
        run("ip", "-n", other, "link", "set", "eth0", "up")
        run("ip", "-n", other, "address", "add", v4, "dev", "eth0")
        assert remote.reaches(server.addresses[0], 80)
        assert not remote.reaches(server.addresses[0], 81)
    finally:
        for device in ("byvx0", "bytun0"):
            run("ip", "link", "delete", device)
        remote.remove()
