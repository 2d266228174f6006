"""What the table of nftables has of routers and floating IPs. Pure.

    nat_in      prerouting   who comes for a floating IP is led to the address that it stands for
    nat_host    output       so is the host itself
    nat_out     postrouting  what leaves from there has the floating IP; what a router leads from
                             one subnet to another keeps its own address, which libvirt's rules
                             for networks with NAT would take from it

All before libvirt's own translation: the first that says something is the one that counts. What
security groups see in between is the other side's own address.
"""

import ipaddress
from collections.abc import Iterable

from tasks.messages import RouterSpec
from workers.hypervisor import names
from workers.hypervisor.firewall_state import FirewallState, Net, net
from workers.hypervisor.libvirt.firewall import expressions as nft
from workers.hypervisor.libvirt.firewall.expressions import ACCEPT, DROP, IIFNAME, OIFNAME, Json
from workers.hypervisor.libvirt.firewall.ruleset import Chain, NamedSet

#: In a packet's mark: it is routed for a guest. libvirt's rules reject what nobody in its network
#: asked for, and a tunnel takes nothing that a host says itself, unless it has this.
ROUTED = 0x2000_0000

_MARK: Json = {"meta": {"key": "mark"}}
_SET_MARK: Json = {"mangle": {"key": _MARK, "value": {"|": [_MARK, ROUTED]}}}
_IS_TRANSLATED: Json = nft.match({"ct": {"key": "status"}}, "dnat", "in")


def router_bridges(state: FirewallState) -> list[str]:
    """Return the bridges of all networks that routers lead to: there may be no port on them."""
    return sorted(
        {
            names.bridge_name(subnet.network_id)
            for router in state.routers.values()
            for subnet in router.subnets
        }
    )


def sets(state: FirewallState) -> dict[str, NamedSet]:
    """Return the sets and maps."""
    floating = state.floating_here()
    found = {
        "floating": NamedSet("ipv4_addr", [one.address for one in floating]),
        "floating_in": NamedSet(
            "ipv4_addr", [[one.address, one.fixed] for one in floating], maps_to="ipv4_addr"
        ),
        "floating_out": NamedSet(
            "ipv4_addr", [[one.fixed, one.address] for one in floating], maps_to="ipv4_addr"
        ),
    }
    found["inner"] = _prefixes(_subnets(state.routers.values(), 4), 4)
    closed = [router for router in state.routers.values() if not router.world]
    for version in (4, 6):
        found[f"closed{version}"] = _prefixes(_subnets(closed, version), version)
        for router in _leading(state):
            subnets = _subnets([router], version)
            found[_set_of(router, version)] = _prefixes(subnets, version)
    return found


def chains(state: FirewallState) -> dict[str, Chain]:
    """Return the chains that translate."""
    led_in = [[{"dnat": {"family": "ip", "addr": _looked_up(nft.destination(4), "floating_in")}}]]
    return {
        "nat_in": _nat("prerouting", -110, led_in),
        "nat_host": _nat("output", -110, led_in),
        "nat_out": _nat("postrouting", 90, _leaving(state)),
    }


def untracked_apart() -> list[Json]:
    """Return the rule by which connections of floating IPs are counted with all others, though they
    come by an operator's bridge."""
    return [nft.match(nft.destination(4), "@floating"), ACCEPT]


def routed(state: FirewallState) -> list[list[Json]]:
    """Return what may get from one of our bridges to another, or to one from outside, though
    nobody there asked for it."""
    between = [nft.match(IIFNAME, "@bridges"), nft.match(OIFNAME, "@bridges")]
    rules: list[list[Json]] = [
        [*between, *_both_ends(router, version), _SET_MARK, ACCEPT]
        for router in _leading(state)
        for version in (4, 6)
    ]
    if state.floating_here():
        # Nobody outside has a guest's address, by which groups would take it for a member.
        outside = nft.match(IIFNAME, "@bridges", "!=")
        rules.append([outside, nft.match(nft.source(4), "@inner"), DROP])
        rules.append([nft.match(OIFNAME, "@bridges"), _IS_TRANSLATED, _SET_MARK, ACCEPT])
        rules.append([nft.match(IIFNAME, "@bridges"), _IS_TRANSLATED, _SET_MARK, ACCEPT])
    return rules


def closed() -> list[list[Json]]:
    """Return what must not reach the world: subnets whose router has no way there."""
    return [
        [nft.match(IIFNAME, "@bridges"), nft.match(nft.source(version), f"@closed{version}"), DROP]
        for version in (4, 6)
    ]


def _leading(state: FirewallState) -> list[RouterSpec]:
    """Return the routers that lead from one subnet to another."""
    found = sorted(state.routers.values(), key=lambda router: router.router_id)
    return [router for router in found if router.up and len(router.subnets) > 1]


def _leaving(state: FirewallState) -> list[list[Json]]:
    to_floating = {"snat": {"family": "ip", "addr": _looked_up(nft.source(4), "floating_out")}}
    # On operators' bridges an address may be somebody else's.
    here = nft.match({"ct": {"key": "zone"}}, 0)
    rules: list[list[Json]] = [
        [here, nft.match(OIFNAME, "@bridges", "!="), to_floating],
        [here, _IS_TRANSLATED, to_floating],
    ]
    for router in _leading(state):
        for version in (4, 6):
            own = {"snat": {"family": nft.family(version), "addr": nft.source(version)}}
            rules.append([here, *_both_ends(router, version), own])
    return rules


def _both_ends(router: RouterSpec, version: int) -> list[Json]:
    subnets = f"@{_set_of(router, version)}"
    return [nft.match(nft.source(version), subnets), nft.match(nft.destination(version), subnets)]


def _set_of(router: RouterSpec, version: int) -> str:
    return f"r{version}_{router.router_id}"


def _subnets(routers: Iterable[RouterSpec], version: int) -> list[Net]:
    found = {net(subnet.cidr) for router in routers for subnet in router.subnets}
    return sorted((one for one in found if one.version == version), key=str)


def _prefixes(subnets: Iterable[Net], version: int) -> NamedSet:
    kind = "ipv4_addr" if version == 4 else "ipv6_addr"
    collapsed: Iterable[Net] = ipaddress.collapse_addresses(subnets)  # type: ignore[type-var]
    return NamedSet(kind, [nft.element(one) for one in collapsed], is_interval=True)


def _looked_up(key: Json, where: str) -> Json:
    return {"map": {"key": key, "data": f"@{where}"}}


def _nat(hook: str, priority: int, rules: list[list[Json]]) -> Chain:
    return Chain(rules, {"type": "nat", "hook": hook, "prio": priority, "policy": "accept"})
