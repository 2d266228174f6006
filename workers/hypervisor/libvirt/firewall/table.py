"""The state of the host's firewall as a table of nftables. Pure.

The way of a packet, each step a base chain of its own, so that what one accepts the next one still
looks at:

    track       prerouting  a provider network's connections are counted apart, by bridge
    isolation   forward     from one of our bridges to another, or to a link-local address: dropped,
                            unless a router or a floating IP leads there (translation)
    leaving     forward     what a port of this host may send: its groups' egress rules
    arriving    forward     what a port of this host may get: its groups' ingress rules
    to_host     input       guests reach DHCP, DNS, metadata and ping of the host, nothing else
    from_host   output      what the host itself sends to ports: their ingress rules

A port is found by its bridge, its MAC and its address (as a sender; libvirt's filter sees to it
that these are its own) or by bridge and address (as a receiver). Who is not found is on another
host, behind the operator's bridge, or without port security: nothing is done to it here.
"""

import hashlib
import ipaddress
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tasks.messages import GroupSpec, PortSpec, RuleSpec
from workers.hypervisor.firewall_state import (
    ICMP,
    ICMPV6,
    WITH_PORTS,
    FirewallState,
    HostNetwork,
    Net,
    net,
    nets_of,
    ports_of,
    protocol_of,
)
from workers.hypervisor.libvirt.firewall import expressions as nft
from workers.hypervisor.libvirt.firewall import translation
from workers.hypervisor.libvirt.firewall.expressions import ACCEPT, DROP, IIFNAME, OIFNAME, Json
from workers.hypervisor.libvirt.firewall.ruleset import Chain, NamedSet, Ruleset

#: In a connection's mark: what it once was allowed by is so no more.
CUT = 0x4000_0000
METADATA = "169.254.169.254"
#: Link-local addresses, which no router may forward to (RFC 3927, section 2.7), and EC2's metadata
#: service by IPv6: where hosts are a cloud's machines themselves, that cloud takes who asks there
#: through NAT for the host, and gives the host's credentials away.
_NEVER_ROUTED = ("169.254.0.0/16", "fd00:ec2::254")

#: ICMPv6: multicast listeners' query, report, done and report of version 2 (RFC 2710, 3810),
#: router solicitation and advertisement, neighbour solicitation and advertisement (RFC 4861).
MLD = (130, 131, 132, 143)
ROUTER_SOLICITATION, ROUTER_ADVERTISEMENT = 133, 134
NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT, REDIRECT = 135, 136, 137

_EGRESS, _INGRESS = "egress", "ingress"
_LETTER = {_EGRESS: "o", _INGRESS: "i"}


def table(state: FirewallState) -> Ruleset:
    """Return the whole table."""
    ports = [_Placed(port, state.networks[port.network_id]) for port in _placeable(state)]
    parties = _parties(ports)
    chains = {**_base_chains(state), **_shared_chains(), **translation.chains(state)}
    sets = _host_sets(state.networks.values(), translation.router_bridges(state))
    sets |= translation.sets(state)
    for group in state.groups.values():
        for direction in (_EGRESS, _INGRESS):
            chains[_group_chain(group.group_id, direction)] = _group(group, direction)
    sets |= _member_sets(state)
    for party in parties:
        chains[party.chain] = _party_chain(state, party)
    sets |= _verdicts(parties)
    chains["egress"] = _dispatch(_EGRESS, parties)
    chains["ingress"] = _dispatch(_INGRESS, parties)
    return Ruleset(chains, sets)


def zone_of(network: HostNetwork) -> int:
    """Return the conntrack zone of a network's connections. The networks that the host routes do
    not overlap and share zone 0; a provider's may be like any other's."""
    if not network.provider:
        return 0
    return 1 + int(hashlib.sha256(network.network_id.encode()).hexdigest(), 16) % 65_534


# --- ports -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Placed:
    """A port and its network on this host."""

    port: PortSpec
    network: HostNetwork


@dataclass(frozen=True)
class _Key:
    """By what a port is found. The MAC is None where addresses alone tell, as for receivers."""

    bridge: str
    mac: str | None
    one: Net


@dataclass(frozen=True)
class _Party:
    """All ports that one key leads to: one, or those that share an address pair. What any of them
    may get gets through to it."""

    direction: str
    keys: tuple[_Key, ...]
    ports: tuple[PortSpec, ...]

    @property
    def chain(self) -> str:
        """Return the name of its chain."""
        ids = "".join(port.port_id for port in self.ports)
        own = ids if len(self.ports) == 1 else hashlib.sha256(ids.encode()).hexdigest()[:32]
        return f"p{_LETTER[self.direction]}_{own}"


def _placeable(state: FirewallState) -> list[PortSpec]:
    ports = sorted(state.filtered().values(), key=lambda port: port.port_id)
    return [port for port in ports if port.network_id in state.networks]


def _parties(ports: list[_Placed]) -> list[_Party]:
    found = []
    for direction in (_EGRESS, _INGRESS):
        by_key: dict[_Key, dict[str, PortSpec]] = defaultdict(dict)
        for placed in ports:
            for hardware, one in nets_of(placed.port):
                # An address alone tells the receiver; a prefix does not, others are in it too.
                needs_mac = direction == _EGRESS or one.num_addresses > 1
                key = _Key(placed.network.bridge, hardware if needs_mac else None, one)
                by_key[key][placed.port.port_id] = placed.port
        keys: dict[tuple[str, ...], list[_Key]] = defaultdict(list)
        together: dict[tuple[str, ...], tuple[PortSpec, ...]] = {}
        for key, members in by_key.items():
            ids = tuple(sorted(members))
            keys[ids].append(key)
            together[ids] = tuple(members[port_id] for port_id in ids)
        found += [_Party(direction, tuple(keys[ids]), together[ids]) for ids in together]
    return found


def _verdicts(parties: list[_Party]) -> dict[str, NamedSet]:
    elements: dict[str, list[object]] = {"out4": [], "out6": [], "in4": [], "in6": []}
    for party in parties:
        for key in party.keys:
            if key.one.num_addresses == 1:
                where = "out" if party.direction == _EGRESS else "in"
                parts = [key.bridge, *([key.mac] if key.mac else []), nft.element(key.one)]
                verdict = [nft.concat(*parts), nft.goto(party.chain)]
                elements[f"{where}{key.one.version}"].append(verdict)
    kinds = {"4": "ipv4_addr", "6": "ipv6_addr"}
    return {
        name: NamedSet(
            ["ifname", *(["ether_addr"] if name.startswith("out") else []), kinds[name[-1]]],
            found,
            is_map=True,
        )
        for name, found in elements.items()
    }


def _dispatch(direction: str, parties: list[_Party]) -> Chain:
    """By address in one step, whatever the number of ports; then by prefix, one by one."""
    rules: list[list[Json]] = []
    for version in (4, 6):
        if direction == _EGRESS:
            key = nft.concat(IIFNAME, nft.ETHER_SOURCE, nft.source(version))
            rules.append([nft.lookup(key, f"out{version}")])
        else:
            key = nft.concat(OIFNAME, nft.destination(version))
            rules.append([nft.lookup(key, f"in{version}")])
    prefixes = [
        (key, party.chain)
        for party in parties
        for key in party.keys
        if party.direction == direction and key.one.num_addresses > 1
    ]
    for wide, chain in sorted(prefixes, key=lambda found: -found[0].one.prefixlen):
        rules += _by_prefix(direction, wide, chain)
    return Chain(rules)


def _by_prefix(direction: str, key: _Key, chain: str) -> list[list[Json]]:
    version = key.one.version
    if direction == _EGRESS:
        sender = [nft.match(IIFNAME, key.bridge), nft.match(nft.ETHER_SOURCE, key.mac)]
        return [[*sender, *_within(nft.source(version), key.one), nft.goto(chain)]]
    aimed = [*_within(nft.destination(version), key.one), nft.goto(chain)]
    to_bridge = nft.match(OIFNAME, key.bridge)
    bridged = [nft.match(IIFNAME, key.bridge), nft.match(nft.ETHER_DESTINATION, key.mac)]
    # What the host routes has no destination MAC yet.
    return [
        [to_bridge, *bridged, *aimed],
        [to_bridge, nft.match(IIFNAME, key.bridge, "!="), *aimed],
    ]


def _within(field: Json, one: Net) -> list[Json]:
    """The whole Internet as a prefix is no match of nft's, but its IP version is."""
    return [nft.match(field, nft.element(one))] if one.prefixlen else [nft.is_version(one.version)]


def _party_chain(state: FirewallState, party: _Party) -> Chain:
    rules: list[list[Json]] = []
    if party.direction == _EGRESS:
        own = {one for port in party.ports for _, one in nets_of(port) if one.version == 6}
        about_neighbour = nft.icmp_types(6, [NEIGHBOUR_ADVERTISEMENT])
        own_targets = [nft.nd_target_in(one) for one in sorted(own, key=str)]
        rules += [[about_neighbour, *target, ACCEPT] for target in own_targets]
    rules.append([nft.jump(f"always_{party.direction}")])
    if any(state.is_stateful(port) for port in party.ports):
        rules.append([nft.jump("answers")])
    groups = sorted({g for port in party.ports for g in port.groups if g in state.groups})
    rules += [[nft.jump(_group_chain(group, party.direction))] for group in groups]
    return Chain([*rules, [DROP]])


# --- groups ----------------------------------------------------------------------------------


def _group_chain(group_id: str, direction: str) -> str:
    return f"g{_LETTER[direction]}_{group_id}"


def _members(group_id: str, version: int) -> str:
    return f"m{version}_{group_id}"


def _group(group: GroupSpec, direction: str) -> Chain:
    rules = [_rule(rule) for rule in group.rules if rule.direction == direction]
    return Chain(list({str(rule): rule for rule in rules}.values()))


def _rule(rule: RuleSpec) -> list[Json]:
    other = nft.source if rule.direction == _INGRESS else nft.destination
    expressions = [nft.is_version(rule.version)]
    if rule.remote_prefix is not None and net(rule.remote_prefix).prefixlen:
        expressions.append(nft.match(other(rule.version), nft.element(net(rule.remote_prefix))))
    if rule.remote_group is not None:
        named = f"@{_members(rule.remote_group, rule.version)}"
        expressions.append(nft.match(other(rule.version), named))
    return [*expressions, *_protocol(rule), ACCEPT]


def _protocol(rule: RuleSpec) -> list[Json]:
    protocol = protocol_of(rule)
    if protocol is None:
        return []
    low, high = ports_of(rule)
    found = [nft.is_protocol(protocol)]
    if protocol in WITH_PORTS and low is not None:
        found.append(nft.port("dport", low, high))
    elif protocol in {ICMP, ICMPV6} and low is not None:
        name = "icmp" if protocol == ICMP else "icmpv6"
        found.append(nft.match(nft.payload(name, "type"), low))
        if high is not None:
            found.append(nft.match(nft.payload(name, "code"), high))
    return found


def _member_sets(state: FirewallState) -> dict[str, NamedSet]:
    """A set for each group that a rule names, empty if no member is known."""
    rules = [rule for group in state.groups.values() for rule in group.rules]
    remotes = {rule.remote_group for rule in rules if rule.remote_group is not None}
    sets = {}
    for group_id in sorted(remotes):
        members = [net(text) for text in state.members.get(group_id, [])]
        v4 = ipaddress.collapse_addresses(m for m in members if m.version == 4)
        v6 = ipaddress.collapse_addresses(m for m in members if m.version == 6)
        for version, found in ((4, list[Net](v4)), (6, list[Net](v6))):
            kind = "ipv4_addr" if version == 4 else "ipv6_addr"
            elements = [nft.element(one) for one in found]
            sets[_members(group_id, version)] = NamedSet(kind, elements, is_interval=True)
    return sets


# --- what is the same for all ----------------------------------------------------------------


def _shared_chains() -> dict[str, Chain]:
    """What no group has to allow: DHCP, neighbour discovery, multicast listening."""
    leaving = [ROUTER_SOLICITATION, NEIGHBOUR_SOLICITATION, *MLD]
    arriving = [ROUTER_ADVERTISEMENT, NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT, *MLD]
    return {
        "always_egress": Chain(
            [
                [*nft.udp(4, 68, 67), ACCEPT],
                [*nft.udp(6, 546, 547), ACCEPT],
                [nft.icmp_types(6, leaving), ACCEPT],
                # The filter on the interface sees fragments, in which it finds no ports and no
                # types; here they are whole.
                [*nft.udp(4, 67, 68), DROP],
                [*nft.udp(6, 547, 546), DROP],
                [nft.icmp_types(6, [REDIRECT]), DROP],
                # One about an own address was accepted before.
                [nft.icmp_types(6, [NEIGHBOUR_ADVERTISEMENT, ROUTER_ADVERTISEMENT]), DROP],
            ]
        ),
        "always_ingress": Chain(
            [
                [*nft.udp(4, 67, 68), ACCEPT],
                [*nft.udp(6, 547, 546), ACCEPT],
                [nft.icmp_types(6, arriving), ACCEPT],
            ]
        ),
        "answers": Chain(
            [
                [nft.ct_has_mark(CUT), DROP],
                [nft.ct_state("established", "related"), ACCEPT],
                [nft.ct_state("invalid"), DROP],
            ]
        ),
    }


def _base_chains(state: FirewallState) -> dict[str, Chain]:
    return {
        "track": _hooked("prerouting", -300, _zones(state.networks.values())),
        "isolation": _hooked("forward", -30, _isolation(state)),
        "leaving": _hooked("forward", -20, [[nft.jump("egress")]]),
        "arriving": _hooked("forward", -10, [[nft.jump("ingress")]]),
        "to_host": _hooked("input", -20, _to_host()),
        "from_host": _hooked("output", -20, _from_host()),
    }


def _hooked(hook: str, priority: int, rules: list[list[Json]]) -> Chain:
    """All before priority 0, where libvirt's own rules are. What is accepted here is still theirs
    to refuse, and what is dropped here is gone."""
    return Chain(rules, {"type": "filter", "hook": hook, "prio": priority, "policy": "accept"})


def _zones(networks: Iterable[HostNetwork]) -> list[list[Json]]:
    """The host's own connections stay in zone 0, by whatever bridge their answers come."""
    to_others = nft.match({"fib": {"result": "type", "flags": ["daddr"]}}, "local", "!=")
    apart = [
        [
            nft.match(IIFNAME, network.bridge),
            to_others,
            {"mangle": {"key": {"ct": {"key": "zone"}}, "value": zone_of(network)}},
        ]
        for network in sorted(networks, key=lambda one: one.bridge)
        if network.provider
    ]
    return [translation.untracked_apart(), *apart] if apart else []


def _isolation(state: FirewallState) -> list[list[Json]]:
    return [
        [nft.match(nft.concat(IIFNAME, OIFNAME), "@same_bridge"), ACCEPT],
        *translation.routed(state),
        [nft.match(IIFNAME, "@bridges"), nft.match(OIFNAME, "@bridges"), DROP],
        *(
            [nft.match(IIFNAME, "@bridges"), *_within(nft.destination(one.version), one), DROP]
            for one in map(net, _NEVER_ROUTED)
        ),
        *translation.closed(),
        [nft.match(IIFNAME, "@isolated"), DROP],
        [nft.match(OIFNAME, "@isolated"), DROP],
    ]


def _to_host() -> list[list[Json]]:
    """On an operator's bridge the host is a neighbour like others: the groups decide. Answers to
    what the host itself began are let in, even from a port that must not begin anything."""
    by_guest = nft.match(IIFNAME, "@bridges")
    rules: list[list[Json]] = [
        [nft.match(IIFNAME, "@bridges", "!="), nft.jump("egress")],
        [nft.match(IIFNAME, "@bridges", "!="), ACCEPT],
        [nft.ct_state("established", "related"), ACCEPT],
        [by_guest, *nft.udp(4, 68, 67), ACCEPT],
        [by_guest, *nft.udp(6, 546, 547), ACCEPT],
        [
            nft.icmp_types(6, [NEIGHBOUR_ADVERTISEMENT]),
            nft.jump("egress"),
        ],
        [
            nft.icmp_types(
                6, [ROUTER_SOLICITATION, NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT, *MLD]
            ),
            ACCEPT,
        ],
    ]
    for version, echo in ((4, 8), (6, 128)):
        own = nft.match(nft.concat(IIFNAME, nft.destination(version)), f"@host{version}")
        rules.append([own, nft.icmp_types(version, [echo]), ACCEPT])
        domain = [nft.match({"meta": {"key": "l4proto"}}, nft.anonymous([6, 17]))]
        rules.append([own, *domain, nft.port("dport", 53), ACCEPT])
    metadata = [nft.match(nft.destination(4), METADATA), nft.is_protocol(6)]
    return [*rules, [*metadata, nft.port("dport", 80), ACCEPT], [DROP]]


def _from_host() -> list[list[Json]]:
    """The host's answers to guests are never held back; what it begins is, like anybody's."""
    answer = [
        nft.ct_state("established", "related"),
        nft.match({"ct": {"key": "direction"}}, "reply"),
    ]
    return [[nft.match(OIFNAME, "@bridges"), *answer, ACCEPT], [nft.jump("ingress")]]


def _host_sets(
    networks: Iterable[HostNetwork], router_bridges: Sequence[str]
) -> dict[str, NamedSet]:
    """Networks that only a router leads to are ours like those with ports."""
    ours = sorted((one for one in networks if not one.provider), key=lambda one: one.bridge)
    own: dict[int, list[object]] = {4: [], 6: []}
    for network in ours:
        for text in network.addresses:
            one = net(text)
            own[one.version].append(nft.concat(network.bridge, str(one.network_address)))
    bridges = sorted({network.bridge for network in ours} | set(router_bridges))
    return {
        "bridges": NamedSet("ifname", bridges),
        "isolated": NamedSet("ifname", [one.bridge for one in ours if one.isolated]),
        "same_bridge": NamedSet(
            ["ifname", "ifname"], [nft.concat(bridge, bridge) for bridge in bridges]
        ),
        "host4": NamedSet(["ifname", "ipv4_addr"], own[4]),
        "host6": NamedSet(["ifname", "ipv6_addr"], own[6]),
    }
