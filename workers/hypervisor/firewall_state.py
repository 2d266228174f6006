"""What a host knows of its ports' security groups: the newest of all that it was told. Pure.

Both drivers keep it, and both carry it out from here: libvirt's as packet filter rules, the fake
only by remembering it.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import Field

from tasks.errors import MalformedMessage
from tasks.messages import (
    FirewallSpec,
    FloatingSpec,
    GroupSpec,
    PortSpec,
    RemoteAddress,
    RouterSpec,
    RuleSpec,
    Value,
)
from workers.hypervisor import names

#: Where it is kept on the host, in the worker's state directory.
STATE_FILE = "firewall.json"

Net = ipaddress.IPv4Network | ipaddress.IPv6Network

_T = TypeVar("_T")

ICMP, ICMPV6 = 1, 58
#: Protocols whose ports a rule can name: TCP, UDP, DCCP, SCTP, UDP-Lite.
WITH_PORTS = frozenset({6, 17, 33, 132, 136})


class HostNetwork(Value):
    """A network as the host has it."""

    network_id: str
    bridge: str
    #: The host's own addresses on it.
    addresses: list[str] = Field(default_factory=list)
    #: The operator's own bridge: others than guests are on it, and the host is no router of it.
    provider: bool = False
    #: Without a way out.
    isolated: bool = False


class FirewallState(Value):
    """All that the host was told, as of `revision`."""

    revision: int = 0
    groups: dict[str, GroupSpec] = Field(default_factory=dict)
    members: dict[str, list[str]] = Field(default_factory=dict)
    ports: dict[str, PortSpec] = Field(default_factory=dict)
    #: Ports that are to come to this host, or have just gone from it. What is known of their groups
    #: is newer than what they bring with them.
    expected: dict[str, PortSpec] = Field(default_factory=dict)
    #: By network id.
    networks: dict[str, HostNetwork] = Field(default_factory=dict)
    #: Routers on the ports' networks, and floating IPs of the ports, by id.
    routers: dict[str, RouterSpec] = Field(default_factory=dict)
    floating: dict[str, FloatingSpec] = Field(default_factory=dict)
    #: How guests of other hosts are reached through routers.
    remotes: list[RemoteAddress] = Field(default_factory=list)

    def filtered(self) -> dict[str, PortSpec]:
        """Return the ports that get through only what their groups allow, by id."""
        return {i: port for i, port in self.ports.items() if port.security and port.grouped}

    def floating_here(self) -> list[FloatingSpec]:
        """Return the floating IPs of ports that are here, in the order of their ids."""
        found = [one for one in self.floating.values() if one.port_id in self.ports]
        return sorted(found, key=lambda one: one.floating_id)

    def rules(self, port: PortSpec) -> Iterable[RuleSpec]:
        """Return the rules of all groups of the port. A group that is not known allows nothing."""
        for group_id in port.groups:
            if group_id in self.groups:
                yield from self.groups[group_id].rules

    def is_stateful(self, port: PortSpec) -> bool:
        """Say whether answers to what was allowed pass. Only with groups that are all stateless do
        they not."""
        groups = [self.groups[group] for group in port.groups if group in self.groups]
        return not groups or any(group.stateful for group in groups)


def merged(
    state: FirewallState,
    firewall: FirewallSpec,
    ports: Iterable[PortSpec],
    networks: Mapping[str, HostNetwork],
    expected: Iterable[PortSpec] | None = None,
) -> FirewallState:
    """Return the state after this was told. Of what is older than what is known, only what is not
    known at all is taken: a new port gets the newest rules. None leaves the expected ports as they
    are, but for those that have come. Raises MalformedMessage."""
    is_old = firewall.revision < state.revision
    groups = {group.group_id: group for group in firewall.groups}
    told = {port.port_id: port for port in ports}
    awaited = state.expected
    if expected is not None and not is_old:
        awaited = {port.port_id: port for port in expected}
    for port in (*told.values(), *awaited.values()):
        check_port(port)
    for group in groups.values():
        check_group(group)
    for group_id, members in firewall.members.items():
        names.checked(group_id)
        for member in members:
            net(member)
    routing = _routing(state, firewall, told, is_old=is_old, is_whole=expected is not None)
    return _pruned(
        FirewallState(
            revision=max(state.revision, firewall.revision),
            groups=_over(state.groups, groups, is_old=is_old),
            members=_over(state.members, firewall.members, is_old=is_old),
            ports=_over({**_only(state.expected, told), **state.ports}, told, is_old=is_old),
            expected={i: port for i, port in awaited.items() if i not in told},
            networks={**state.networks, **networks},
            **routing,
        )
    )


def _routing(
    state: FirewallState,
    firewall: FirewallSpec,
    told: Mapping[str, PortSpec],
    *,
    is_old: bool,
    is_whole: bool,
) -> dict[str, Any]:
    """Return what is known of routers and floating IPs after this was told: of the whole host, or
    of some new ports. Raises MalformedMessage."""
    routing = firewall.routing
    for router in routing.routers:
        check_router(router)
    for one in routing.floating:
        check_floating(one)
    for remote in routing.remotes:
        names.checked(remote.network_id)
        for text in (remote.address, remote.host_ip):
            address(text)
        mac(remote.mac)
    routers = {router.router_id: router for router in routing.routers}
    floating = {one.floating_id: one for one in routing.floating}
    if is_whole and not is_old:
        return {"routers": routers, "floating": floating, "remotes": routing.remotes}
    if is_whole:
        return {name: getattr(state, name) for name in ("routers", "floating", "remotes")}
    known = state.ports.keys() | state.expected.keys()
    if is_old:
        # What is newer has said all that there is of a port that it knew.
        floating = {i: one for i, one in floating.items() if one.port_id not in known}
    kept = {i: one for i, one in state.floating.items() if is_old or one.port_id not in told}
    return {
        "routers": _over(state.routers, routers, is_old=is_old),
        "floating": {**floating, **kept} if is_old else {**kept, **floating},
        "remotes": state.remotes,
    }


def without(state: FirewallState, port_ids: Iterable[str]) -> FirewallState:
    """Return the state without these ports. With the last one everything goes, the revision too: a
    control plane that begins anew counts anew."""
    gone = set(port_ids)
    left, expected = (
        {port_id: port for port_id, port in known.items() if port_id not in gone}
        for known in (state.ports, state.expected)
    )
    return _pruned(state.model_copy(update={"ports": left, "expected": expected}))


def check_port(port: PortSpec) -> None:
    """Raise MalformedMessage for a port of which no rule can be made."""
    for identifier in (port.port_id, port.network_id, *port.groups):
        names.checked(identifier)
    nets_of(port)


def check_router(router: RouterSpec) -> None:
    """Raise MalformedMessage for a router of which no rule can be made."""
    names.checked(router.router_id)
    for subnet in router.subnets:
        names.checked(subnet.network_id)
        net(subnet.cidr)


def check_floating(one: FloatingSpec) -> None:
    """Raise MalformedMessage for a floating IP of which no rule can be made."""
    for identifier in (one.floating_id, one.port_id, one.network_id, one.external.network_id):
        names.checked(identifier)
    addresses = [address(text) for text in (one.address, one.fixed)]
    if one.external.gateway is not None:
        addresses.append(address(one.external.gateway))
    if any(each.version != 4 for each in (*addresses, net(one.external.cidr))):
        raise MalformedMessage("A floating IP is not of IPv4.")


def check_group(group: GroupSpec) -> None:
    """Raise MalformedMessage for a group of which no rule can be made."""
    names.checked(group.group_id)
    for rule in group.rules:
        protocol = protocol_of(rule)
        low, high = ports_of(rule)
        if low is not None and protocol not in {*WITH_PORTS, ICMP, ICMPV6}:
            raise MalformedMessage("A rule names ports of a protocol that has none.")
        if protocol in WITH_PORTS and low is not None and high is not None and low > high:
            raise MalformedMessage("A rule's port_min is above its port_max.")
        if rule.remote_group is not None:
            names.checked(rule.remote_group)
        if rule.remote_prefix is not None and net(rule.remote_prefix).version != rule.version:
            raise MalformedMessage("A rule's remote_prefix is not of its version.")


def protocol_of(rule: RuleSpec) -> int | None:
    """Return the protocol's number: ICMP has another one in IPv6, and may be told by either."""
    return ICMPV6 if rule.version == 6 and rule.protocol == ICMP else rule.protocol


def ports_of(rule: RuleSpec) -> tuple[int | None, int | None]:
    """Return the range of ports, or type and code of ICMP; one port alone is a range of one."""
    if protocol_of(rule) in {ICMP, ICMPV6}:
        return rule.port_min, rule.port_max
    low = rule.port_max if rule.port_min is None else rule.port_min
    return low, low if rule.port_max is None else rule.port_max


@lru_cache(maxsize=65_536)
def net(text: str) -> Net:
    """Return the prefix or address as a network. Raises MalformedMessage."""
    try:
        found = ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise MalformedMessage(f"{text!r:.60} is no address and no prefix") from error
    if "%" in str(found):
        raise MalformedMessage(f"{text!r:.60} names a zone")
    return found


def address(text: str) -> Net:
    """Return the one address as a network. Raises MalformedMessage, also for a prefix."""
    if "/" in text:
        raise MalformedMessage(f"{text!r:.60} is no address")
    return net(text)


def mac(text: str) -> str:
    """Return the MAC in its usual form. Raises MalformedMessage."""
    parts = text.lower().split(":")
    if len(parts) != 6 or any(len(p) != 2 or set(p) - set("0123456789abcdef") for p in parts):
        raise MalformedMessage(f"{text!r:.60} is no MAC")
    return ":".join(parts)


def link_local(hardware: str) -> Net:
    """Return the IPv6 address that a host with this MAC gives itself (RFC 4291, EUI-64)."""
    octets = bytes.fromhex(mac(hardware).replace(":", ""))
    half = bytes((octets[0] ^ 2, *octets[1:3], 0xFF, 0xFE, *octets[3:]))
    return net(str(ipaddress.IPv6Address(bytes((0xFE, 0x80, *bytes(6))) + half)))


def nets_of(port: PortSpec) -> list[tuple[str, Net]]:
    """Return what the port may send from: pairs of MAC and network, its own first, each once. With
    IPv6 this is also each MAC's link-local address. Raises MalformedMessage."""
    found = [(mac(port.mac), address(fixed.address)) for fixed in port.addresses]
    found += [(mac(pair.mac or port.mac), net(pair.address)) for pair in port.pairs]
    found += [(hardware, link_local(hardware)) for hardware, one in found if one.version == 6]
    return list(dict.fromkeys(found))


def _over(known: dict[str, _T], told: dict[str, _T], *, is_old: bool) -> dict[str, _T]:
    return {**told, **known} if is_old else {**known, **told}


def _only(known: dict[str, _T], wanted: Iterable[str]) -> dict[str, _T]:
    return {i: known[i] for i in wanted if i in known}


def _pruned(state: FirewallState) -> FirewallState:
    """Leave out what no port needs that is here or expected."""
    specs = list(state.ports.values())
    coming = list(state.expected.values())
    if not specs and not coming:
        return FirewallState()
    wanted = {group for spec in (*specs, *coming) for group in spec.groups}
    groups = {i: group for i, group in state.groups.items() if i in wanted}
    remotes = {rule.remote_group for group in groups.values() for rule in group.rules}
    networks = {spec.network_id for spec in specs}
    near = networks | {spec.network_id for spec in coming}
    routers = {
        i: router
        for i, router in state.routers.items()
        if any(subnet.network_id in near for subnet in router.subnets)
    }
    led_to = {subnet.network_id for router in routers.values() for subnet in router.subnets}
    known = {spec.port_id for spec in (*specs, *coming)}
    return state.model_copy(
        update={
            "groups": groups,
            "members": {i: members for i, members in state.members.items() if i in remotes},
            "networks": {i: one for i, one in state.networks.items() if i in networks},
            "routers": routers,
            "floating": {i: one for i, one in state.floating.items() if one.port_id in known},
            "remotes": [one for one in state.remotes if one.network_id in led_to],
        }
    )
