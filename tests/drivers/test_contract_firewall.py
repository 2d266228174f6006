"""Security groups on every driver: what is remembered of ports, and that it goes with them."""

import uuid

import pytest

from tasks.errors import MalformedMessage
from tasks.messages import (
    AddressPair,
    ExternalSpec,
    FirewallSpec,
    FloatingSpec,
    GroupSpec,
    PortAddress,
    RoutingSpec,
    RuleSpec,
)
from tests.drivers.conftest import Rig
from tests.drivers.values import NETWORK, Server, make_port

HOSTILE = ["10.0.0.1; flush ruleset", "@members", "", "0.0.0.0/0 accept", "fe80::1%lo", "1.2.3"]


def group(*rules: RuleSpec) -> GroupSpec:
    """Return a new group."""
    return GroupSpec(group_id=str(uuid.uuid4()), rules=list(rules))


def test_rules_come_with_a_port_and_go_with_it(rig: Rig) -> None:
    server = rig.server()
    web = group(RuleSpec(direction="ingress", version=4, protocol=6, port_min=80))
    server.port = server.port.model_copy(update={"groups": [web.group_id]})
    rig.host.ensure_port(NETWORK, server.port, "web")
    for revision in (1, 1, 2):
        rig.host.ensure_firewall(FirewallSpec(revision=revision, groups=[web]), [server.port])
    trace = f"firewall rules of port {server.port.port_id}"
    assert trace in server.traces(rig.host)
    assert server.thing(rig.host, "firewall").port_id == server.port.port_id
    assert rig.host.firewall_intact()
    rig.host.restore_firewall()
    assert rig.host.firewall_intact()
    for _ in range(2):
        rig.host.remove_ports(server.server_id, [server.port])
        assert server.traces(rig.host) == []


def test_an_order_for_the_host_brings_back_nothing_that_is_gone(rig: Rig) -> None:
    server = rig.server()
    web = group(RuleSpec(direction="ingress", version=4, protocol=6, port_min=80))
    server.port = server.port.model_copy(update={"groups": [web.group_id]})
    told = FirewallSpec(revision=1, groups=[web])
    rig.host.update_firewall(told, [server.port])
    assert server.traces(rig.host) == [], "nothing of it is here yet"

    rig.host.ensure_port(NETWORK, server.port, "web")
    rig.host.update_firewall(told, [server.port])
    assert server.thing(rig.host, "firewall").port_id == server.port.port_id

    rig.host.remove_ports(server.server_id, [server.port])
    rig.host.update_firewall(told, [server.port])
    assert server.traces(rig.host) == []
    assert "firewall" not in {thing.kind for thing in server.things(rig.host)}
    rig.host.update_firewall(FirewallSpec(revision=2), [])


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_no_address_reaches_no_rule(rig: Rig, text: str) -> None:
    server = rig.server()
    rig.host.ensure_port(NETWORK, server.port, "web")
    ports = [
        server.port.model_copy(update={"pairs": [AddressPair(address=text)]}),
        server.port.model_copy(
            update={"addresses": [PortAddress(subnet_id="x", address=text, prefix_length=24)]}
        ),
        server.port.model_copy(update={"groups": [text]}),
        server.port.model_copy(update={"mac": text}),
    ]
    for port in ports:
        with pytest.raises(MalformedMessage):
            rig.host.ensure_firewall(FirewallSpec(revision=1), [port])
    rules = [
        RuleSpec(direction="ingress", version=4, remote_prefix=text),
        RuleSpec(direction="ingress", version=4, remote_group=text),
    ]
    for rule in rules:
        with pytest.raises(MalformedMessage):
            rig.host.ensure_firewall(FirewallSpec(revision=1, groups=[group(rule)]), [server.port])
    for members in ({str(uuid.uuid4()): [text]}, {text: ["10.0.0.1"]}):
        with pytest.raises(MalformedMessage):
            rig.host.ensure_firewall(FirewallSpec(revision=1, members=members), [server.port])
    assert "firewall" not in {thing.kind for thing in server.things(rig.host)}


def test_a_rule_that_contradicts_itself_is_refused(rig: Rig) -> None:
    server = rig.server()
    rig.host.ensure_port(NETWORK, server.port, "web")
    rules = [
        RuleSpec(direction="ingress", version=6, remote_prefix="10.0.0.0/8"),
        RuleSpec(direction="ingress", version=4, protocol=6, port_min=81, port_max=80),
        RuleSpec(direction="ingress", version=4, port_min=80),
    ]
    for rule in rules:
        with pytest.raises(MalformedMessage):
            rig.host.ensure_firewall(FirewallSpec(revision=1, groups=[group(rule)]), [server.port])


def test_many_ports_at_once_are_one_change(rig: Rig) -> None:
    servers = [rig.server() for _ in range(3)]
    for server in servers:
        rig.host.ensure_port(NETWORK, server.port, "web")
    rig.host.ensure_firewall(FirewallSpec(revision=1), [server.port for server in servers])
    for server in servers:
        assert server.thing(rig.host, "firewall")
    assert make_port().port_id not in str(rig.host.survey())


def floating(server: Server, address: str = "203.0.113.5") -> FirewallSpec:
    """Return a firewall with a floating IP of the server, on a bridge that no host has."""
    external = ExternalSpec(
        network_id=str(uuid.uuid4()),
        physical_network="nowhere",
        cidr="203.0.113.0/24",
        gateway="203.0.113.1",
    )
    one = FloatingSpec(
        floating_id=str(uuid.uuid4()),
        address=address,
        port_id=server.port.port_id,
        network_id=server.port.network_id,
        fixed=server.port.addresses[0].address,
        external=external,
    )
    return FirewallSpec(revision=1, routing=RoutingSpec(floating=[one]))


def test_a_floating_ip_that_the_host_cannot_have_is_told_and_goes_with_its_port(rig: Rig) -> None:
    server = rig.server()
    rig.host.ensure_port(NETWORK, server.port, "web")
    firewall = floating(server)
    rig.host.ensure_firewall(firewall, [server.port])
    assert rig.host.refused_floating_ips() == [firewall.routing.floating[0].floating_id]
    assert rig.host.firewall_intact()
    rig.host.remove_ports(server.server_id, [server.port])
    assert rig.host.refused_floating_ips() == []


@pytest.mark.parametrize("address", [*HOSTILE, "fd00::5"])
def test_what_is_no_address_is_no_floating_ip(rig: Rig, address: str) -> None:
    server = rig.server()
    rig.host.ensure_port(NETWORK, server.port, "web")
    with pytest.raises(MalformedMessage):
        rig.host.ensure_firewall(floating(server, address), [server.port])
    assert rig.host.refused_floating_ips() == []
