"""Ends connections that the rules of now would not let begin.

Effect  a bit in the mark of each such connection, at which the rules drop both its directions. It
        is not forgotten by the kernel: the next packet of either side, half of a connection that
        nobody knows, would begin a new one, in a direction that may be allowed. One that is
        allowed again loses the bit.
Repeat  what is as it should be is left alone. Others' connections and other bits are not touched.
"""

from functools import lru_cache

import structlog

from tasks.messages import PortSpec, RuleSpec
from workers.hypervisor.firewall_state import (
    ICMP,
    ICMPV6,
    WITH_PORTS,
    FirewallState,
    Net,
    net,
    nets_of,
    ports_of,
    protocol_of,
)
from workers.hypervisor.libvirt.firewall import connections
from workers.hypervisor.libvirt.firewall.connections import Flow
from workers.hypervisor.libvirt.firewall.table import CUT, zone_of

log = structlog.get_logger(__name__)


class Judge:
    """Says of a connection whether the rules of a state would let it begin."""

    def __init__(self, state: FirewallState) -> None:
        self._state = state
        self._exact: dict[tuple[int, Net], list[PortSpec]] = {}
        self._prefixes: list[tuple[int, Net, PortSpec]] = []
        for port in state.filtered().values():
            network = state.networks.get(port.network_id)
            if network is not None:
                self._place(port, zone_of(network))

    def _place(self, port: PortSpec, zone: int) -> None:
        for one in {one for _, one in nets_of(port)}:
            if one.num_addresses == 1:
                self._exact.setdefault((zone, one), []).append(port)
            else:
                self._prefixes.append((zone, one, port))

    def concerns(self, flow: Flow) -> bool:
        """Say whether one of its ends is a port that is filtered."""
        return bool(self._at(flow, flow.source) or self._at(flow, flow.receiver))

    def allows(self, flow: Flow) -> bool:
        """Say whether both ends' groups let it begin."""
        senders, receivers = self._at(flow, flow.source), self._at(flow, flow.receiver)
        return self._any(senders, "egress", flow, flow.receiver) and self._any(
            receivers, "ingress", flow, flow.source
        )

    def _at(self, flow: Flow, address: str) -> list[PortSpec]:
        one = net(address)
        found = self._exact.get((flow.zone, one))
        if found is not None:
            return found
        fitting = [
            (other.prefixlen, port)
            for zone, other, port in self._prefixes
            if zone == flow.zone and _within(one, other)
        ]
        longest = max((length for length, _ in fitting), default=0)
        return [port for length, port in fitting if length == longest]

    def _any(self, ports: list[PortSpec], direction: str, flow: Flow, other: str) -> bool:
        if not ports:
            return True
        rules = (rule for port in ports for rule in self._state.rules(port))
        return any(rule.direction == direction and self._fits(rule, flow, other) for rule in rules)

    def _fits(self, rule: RuleSpec, flow: Flow, other: str) -> bool:
        if rule.version != flow.version or not _of_protocol(rule, flow):
            return False
        if rule.remote_prefix is not None:
            return _within(net(other), net(rule.remote_prefix))
        if rule.remote_group is not None:
            members = self._state.members.get(rule.remote_group, ())
            return any(_within(net(other), net(member)) for member in members)
        return True


def settle(state: FirewallState) -> int:
    """Cut what is not allowed any more, join what is allowed again; returns how many changed.
    Raises HostError, HostBusy."""
    judge = Judge(state)
    found = [flow for flow in connections.flows() if judge.concerns(flow)]
    cut = {flow for flow in found if not judge.allows(flow)}
    wrong = [flow for flow in found if (flow in cut) != bool(flow.mark & CUT)]
    with_ports = [flow for flow in wrong if flow.ports is not None]
    connections.set_bit((flow for flow in with_ports if flow in cut), CUT, to=True)
    connections.set_bit((flow for flow in with_ports if flow not in cut), CUT, to=False)
    # What has no ports begins anew with its next packet, whoever sends it.
    connections.forget(flow for flow in wrong if flow.ports is None)
    if wrong:
        log.info("firewall.connections_settled", changed=len(wrong))
    return len(wrong)


def _of_protocol(rule: RuleSpec, flow: Flow) -> bool:
    protocol, (low, high) = protocol_of(rule), ports_of(rule)
    if protocol is None:
        return True
    if protocol != flow.protocol:
        return False
    if low is None:
        return True
    if protocol in WITH_PORTS:
        return flow.ports is not None and low <= flow.ports[1] <= (low if high is None else high)
    if protocol in {ICMP, ICMPV6} and flow.icmp is not None:
        return flow.icmp[0] == low and high in {None, flow.icmp[1]}
    return False


@lru_cache(maxsize=65_536)
def _within(one: Net, other: Net) -> bool:
    return one.version == other.version and one.subnet_of(other)  # type: ignore[arg-type]
