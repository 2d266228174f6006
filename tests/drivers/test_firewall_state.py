"""What a host knows of its ports' groups when orders, builds and removals come in any order."""

import uuid

from tasks.messages import (
    ExternalSpec,
    FirewallSpec,
    FloatingSpec,
    GroupSpec,
    PortSpec,
    RoutedSubnet,
    RouterSpec,
    RoutingSpec,
    RuleSpec,
)
from tests.drivers.values import make_port
from workers.hypervisor.firewall_state import FirewallState, merged, without

GROUP = str(uuid.uuid4())
OPEN = GroupSpec(group_id=GROUP, rules=[RuleSpec(direction="ingress", version=4)])
CLOSED = GroupSpec(group_id=GROUP, rules=[])


def port_of_group() -> PortSpec:
    return make_port().model_copy(update={"groups": [GROUP]})


def test_a_port_that_was_built_late_gets_what_an_order_has_changed_since() -> None:
    """The build's message was written before the rule was removed."""
    port = port_of_group()
    state = merged(FirewallState(), FirewallSpec(revision=2, groups=[CLOSED]), [], {}, [port])
    assert not state.ports

    state = merged(state, FirewallSpec(revision=1, groups=[OPEN]), [port], {})
    assert list(state.ports) == [port.port_id]
    assert not state.expected
    assert list(state.rules(port)) == []


def test_a_port_that_was_built_late_has_the_groups_of_the_order() -> None:
    port = port_of_group()
    moved = port.model_copy(update={"groups": []})
    state = merged(FirewallState(), FirewallSpec(revision=2), [], {}, [moved])
    state = merged(state, FirewallSpec(revision=1, groups=[OPEN]), [port], {})
    assert state.ports == {port.port_id: moved}


def test_expected_ports_are_those_of_the_newest_order() -> None:
    first, second = port_of_group(), port_of_group()
    state = merged(FirewallState(), FirewallSpec(revision=2, groups=[OPEN]), [], {}, [first])
    state = merged(state, FirewallSpec(revision=3, groups=[OPEN]), [], {}, [second])
    assert list(state.expected) == [second.port_id]
    state = merged(state, FirewallSpec(revision=2, groups=[OPEN]), [], {}, [first])
    assert list(state.expected) == [second.port_id], "an order of the past"
    assert merged(state, FirewallSpec(revision=4), [], {}, []) == FirewallState()


def test_a_removed_port_is_not_expected_either() -> None:
    port = port_of_group()
    state = merged(FirewallState(), FirewallSpec(revision=2, groups=[OPEN]), [], {}, [port])
    assert without(state, [port.port_id]) == FirewallState()


def floating_of(port: PortSpec, address: str = "203.0.113.5") -> FloatingSpec:
    return FloatingSpec(
        floating_id=str(uuid.uuid4()),
        address=address,
        port_id=port.port_id,
        network_id=port.network_id,
        fixed=port.addresses[0].address,
        external=ExternalSpec(
            network_id=str(uuid.uuid4()), cidr="203.0.113.0/24", gateway="203.0.113.1"
        ),
    )


def told(
    revision: int, *floating: FloatingSpec, routers: tuple[RouterSpec, ...] = ()
) -> FirewallSpec:
    routing = RoutingSpec(floating=list(floating), routers=list(routers))
    return FirewallSpec(revision=revision, routing=routing)


def test_an_order_says_all_floating_ips_and_an_older_one_none() -> None:
    port = make_port()
    one = floating_of(port)
    state = merged(FirewallState(), told(2, one), [port], {}, [])
    assert state.floating_here() == [one]
    assert merged(state, told(1), [port], {}, []).floating_here() == [one]
    assert merged(state, told(3), [port], {}, []).floating_here() == []
    assert without(state, [port.port_id]) == FirewallState()


def test_a_build_brings_its_ports_floating_ips_unless_an_order_knew_better() -> None:
    port, other = make_port(), make_port()
    one, kept = floating_of(port), floating_of(other, "203.0.113.6")
    state = merged(FirewallState(), told(2, kept), [other], {}, [])
    assert set(merged(state, told(3, one), [port], {}).floating) == {
        one.floating_id,
        kept.floating_id,
    }
    # The order was written before the build, and the port was not there yet.
    assert one in merged(state, told(1, one), [port], {}).floating_here()
    # It was taken from the port after the build was written.
    awaited = merged(state, told(3, kept), [other], {}, [port])
    assert merged(awaited, told(2, one), [port], {}).floating_here() == [kept]


def test_a_floating_ip_of_a_port_that_is_to_come_waits_for_it() -> None:
    port, other = make_port(), make_port()
    one = floating_of(port)
    state = merged(FirewallState(), told(2, one), [other], {}, [port])
    assert state.floating_here() == []
    assert merged(state, told(1), [port], {}).floating_here() == [one]


def test_routers_that_no_port_is_behind_are_forgotten() -> None:
    port = make_port()
    near, far = (
        RouterSpec(
            router_id=str(uuid.uuid4()),
            subnets=[RoutedSubnet(network_id=network_id, cidr="10.9.0.0/24")],
            world=True,
        )
        for network_id in (port.network_id, str(uuid.uuid4()))
    )
    state = merged(FirewallState(), told(2, routers=(near, far)), [port], {}, [])
    assert list(state.routers) == [near.router_id]
