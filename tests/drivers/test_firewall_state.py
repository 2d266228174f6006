"""What a host knows of its ports' groups when orders, builds and removals come in any order."""

import uuid

from tasks.messages import FirewallSpec, GroupSpec, PortSpec, RuleSpec
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
