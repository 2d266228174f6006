"""Networks, security groups and floating IPs as a user makes them, carried out between real guests
on two hosts: one network spans both, another is not reached, rules change what arrives at once, and
a machine that is no host reaches whom a floating IP leads to."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from tests.drivers.namespaces import Namespace, arrived
from tests.guest.machine import make_key
from tests.lab.bridge import BEYOND, GATEWAY, OUTSIDE
from tests.lab.conftest import Lab
from tests.lab.guests import Guest, let_in
from tests.processes import wait_until

pytestmark = [pytest.mark.lab, pytest.mark.boots, pytest.mark.timeout(600)]

#: How long a changed rule may take until it holds on every host.
CHANGE_LIMIT_S = 10
READ = "wget -qO- http://169.254.169.254"
#: An IPv4 and an ICMP header.
PING_HEADERS = 28


@dataclass
class Tenancy:
    """A user's two networks, with a guest of `red` on each host and one of `blue`."""

    networks: dict[str, Any]
    reds: list[Guest]
    blue: Guest
    #: A guest of `red` that is in the group `closed` alone, which lets nothing in.
    closed: Guest


@pytest.fixture(scope="module")
def tenancy(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenancy]:
    """Everything a test of this module needs; each boot takes seconds."""
    key = make_key(tmp_path_factory.mktemp("key"))
    with ExitStack() as undo:
        networks = {
            name: _network(lab, undo, name, f"10.61.{number}.0/24")
            for number, name in enumerate(("red", "blue"))
        }
        lab.user.compute.create_keypair(name="lab", public_key=key.with_suffix(".pub").read_text())
        undo.callback(lab.user.compute.delete_keypair, "lab")
        closed = lab.user.network.create_security_group(name="closed")
        undo.callback(lab.user.network.delete_security_group, closed.id)
        wanted = {
            "red-1": ("red", "default"),
            "red-2": ("red", "default"),
            "blue": ("blue", "default"),
            "closed": ("red", "closed"),
        }
        servers = {
            name: _server(lab, undo, name, networks[network].id, group)
            for name, (network, group) in wanted.items()
        }
        guests = {}
        for name, server in servers.items():
            lab.user.compute.wait_for_server(server, wait=180, interval=0.5)
            guests[name] = Guest.of(lab, server.id, key)
        yield Tenancy(
            networks, [guests["red-1"], guests["red-2"]], guests["blue"], guests["closed"]
        )


def _network(lab: Lab, undo: ExitStack, name: str, cidr: str) -> Any:
    network = lab.user.network.create_network(name=name)
    undo.callback(lab.user.network.delete_network, network.id)
    lab.user.network.create_subnet(network_id=network.id, name=name, ip_version=4, cidr=cidr)
    return network


def _server(lab: Lab, undo: ExitStack, name: str, network_id: str, group: str) -> Any:
    server = lab.user.compute.create_server(
        name=name,
        image_id=lab.image_id,
        flavor_id=lab.user.compute.find_flavor("m1.nano", ignore_missing=False).id,
        networks=[{"uuid": network_id}],
        security_groups=[{"name": group}],
        key_name="lab",
    )
    undo.callback(_gone, lab, server)
    # One after the other, or it would be chance who shares a host with whom.
    wait_until(lambda: lab.run_of(server.id)["host"], "its host", 30)
    return server


def _gone(lab: Lab, server: Any) -> None:
    lab.user.compute.delete_server(server.id)
    lab.user.compute.wait_for_delete(server, interval=0.3, wait=60)


def test_a_rule_holds_within_seconds_and_so_does_its_end(lab: Lab, tenancy: Tenancy) -> None:
    guest = tenancy.reds[0]
    assert not guest.answers(), "the default group lets nobody in but its own members"

    rule = let_in(lab, "tcp", 22)
    wait_until(guest.answers, "SSH, which a rule allows", CHANGE_LIMIT_S)
    assert not tenancy.closed.answers(), "a rule of one group opened another"

    lab.user.network.delete_security_group_rule(rule.id)
    wait_until(lambda: not guest.answers(), "the rule's end", CHANGE_LIMIT_S)


def test_each_guest_reads_its_own_metadata_and_no_others(lab: Lab, tenancy: Tenancy) -> None:
    rule = let_in(lab, "tcp", 22)
    try:
        for guest in (*tenancy.reds, tenancy.blue):
            wait_until(guest.answers, "SSH, which a rule allows", CHANGE_LIMIT_S)
            told = json.loads(guest.run(f"{READ}/openstack/latest/meta_data.json"))
            assert told["uuid"] == guest.server_id
            address = guest.run(f"{READ}/latest/meta-data/local-ipv4")
            assert address == guest.address
    finally:
        lab.user.network.delete_security_group_rule(rule.id)


def test_a_network_spans_hosts_and_ends_at_its_border(lab: Lab, tenancy: Tenancy) -> None:
    first, second = tenancy.reds
    assert first.host != second.host
    rule = let_in(lab, "tcp", 22)
    try:
        for guest in (first, second, tenancy.blue):
            wait_until(guest.answers, "SSH, which a rule allows", CHANGE_LIMIT_S)
        mtu = lab.user.network.get_network(tenancy.networks["red"].id).mtu
        assert first.reaches(second.address)
        assert second.reaches(first.address, size=mtu - PING_HEADERS)
        # They are members of the same group, so it is not a rule that keeps them apart.
        blue = tenancy.blue
        assert not arrived(
            there=lambda: first.reaches(blue.address),
            back=lambda: blue.reaches(first.address),
            to_the_other_host=lambda: blue.reaches(second.address),
            # Same network, other group.
            closed=lambda: first.reaches(tenancy.closed.address),
        )
    finally:
        lab.user.network.delete_security_group_rule(rule.id)


@dataclass(frozen=True)
class Way:
    """How an external network is reached: what it is made with, and who is there already."""

    made_with: dict[str, str]
    gateway: str
    outside: str


WAYS = {
    "hosts' own uplink": Way({}, GATEWAY, OUTSIDE),
    "operator's bridge": Way(
        {"provider_network_type": "flat", "provider_physical_network": "ext"}, BEYOND, BEYOND
    ),
}


@pytest.fixture(scope="module")
def outside(lab: Lab) -> Iterator[Namespace]:
    """A machine that is no host, where external networks are."""
    with lab.bridge.outside() as made:
        yield made


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_floating_ip_leads_from_outside_to_its_guest_and_back(
    lab: Lab, tenancy: Tenancy, outside: Namespace, way: Way
) -> None:
    first, second = tenancy.reds
    with ExitStack() as undo:
        for protocol, port in (("tcp", 22), ("icmp", None)):
            rule = let_in(lab, protocol, port)
            undo.callback(lab.user.network.delete_security_group_rule, rule.id)
        floating = _floating(lab, undo, tenancy.networks["red"], way)
        address = floating.floating_ip_address

        _lead_to(lab, floating, first)
        assert _reached(outside, address) == {"ping", "ssh"}
        assert _talk(first, outside, way, address) == (way.outside, first.address, address)
        # Its next guest is on the other host: who is outside has to learn that at once.
        _lead_to(lab, floating, second)
        assert _talk(second, outside, way, address) == (way.outside, second.address, address)

        lab.user.network.update_ip(floating, port_id=None)
        wait_until(lambda: not _reached(outside, address), "the floating IP's end", CHANGE_LIMIT_S)


def _floating(lab: Lab, undo: ExitStack, network: Any, way: Way) -> Any:
    """Return a floating IP of a new external network, that a router leads to from the network."""
    external = lab.admin.network.create_network(
        name="external", is_router_external=True, **way.made_with
    )
    undo.callback(lab.admin.network.delete_network, external.id)
    prefix = way.gateway.rpartition(".")[0]
    lab.admin.network.create_subnet(
        network_id=external.id,
        ip_version=4,
        cidr=f"{prefix}.0/24",
        gateway_ip=way.gateway,
        is_dhcp_enabled=False,
        allocation_pools=[{"start": f"{prefix}.50", "end": f"{prefix}.59"}],
    )
    router = lab.user.network.create_router(
        name="out", external_gateway_info={"network_id": external.id}
    )
    undo.callback(lab.user.network.delete_router, router.id)
    [subnet_id] = lab.user.network.get_network(network.id).subnet_ids
    lab.user.network.add_interface_to_router(router, subnet=subnet_id)
    undo.callback(lab.user.network.remove_interface_from_router, router, subnet=subnet_id)
    floating = lab.user.network.create_ip(floating_network_id=external.id)
    undo.callback(lab.user.network.delete_ip, floating.id)
    return floating


def _lead_to(lab: Lab, floating: Any, guest: Guest) -> None:
    """Give the floating IP to the guest, and wait until its host has said that it leads there."""
    [port] = lab.user.network.ports(device_id=guest.server_id)
    lab.user.network.update_ip(floating, port_id=port.id)
    wait_until(
        lambda: lab.user.network.get_ip(floating.id).status == "ACTIVE",
        "the host's word",
        CHANGE_LIMIT_S,
    )


def _reached(outside: Namespace, address: str) -> set[str]:
    """Return what arrives at the address."""
    return arrived(ping=lambda: outside.pings(address), ssh=lambda: outside.reaches(address, 22))


def _talk(guest: Guest, outside: Namespace, way: Way, address: str) -> tuple[str, str, str]:
    """Go to the guest by a floating IP, and let it ask somebody outside. Return who comes to whom,
    as the guest sees it, and who it is itself to whom it asks."""
    with outside.serve(0) as listener, ThreadPoolExecutor(1) as thread:
        listener.settimeout(CHANGE_LIMIT_S)
        asking = f"nc {way.outside} {listener.getsockname()[1]} </dev/null"
        inside = guest.seen_from(outside, address)
        told = thread.submit(inside.run, f"echo $SSH_CONNECTION; {asking}")
        connection, (asker, *_) = outside.accept(listener)
        with connection:
            connection.sendall(str(asker).removeprefix("::ffff:").encode())
    caller, _, called, _, seen_as = told.result().split()
    return caller, called, seen_as
