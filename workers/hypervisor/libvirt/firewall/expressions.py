"""Parts of nftables rules, as its JSON has them (libnftables-json(5)). Pure.

Nothing else builds rules, and what comes in here is a number, a checked name or an address that
`ipaddress` has read: there is no text to break out of.
"""

from collections.abc import Sequence
from typing import Any

from workers.hypervisor.firewall_state import Net

Json = dict[str, Any]

ACCEPT: Json = {"accept": None}
DROP: Json = {"drop": None}
IIFNAME: Json = {"meta": {"key": "iifname"}}
OIFNAME: Json = {"meta": {"key": "oifname"}}
ETHER_SOURCE: Json = {"payload": {"protocol": "ether", "field": "saddr"}}
ETHER_DESTINATION: Json = {"payload": {"protocol": "ether", "field": "daddr"}}


def match(left: Json, right: Any, operator: str = "==") -> Json:
    """Return the match of an expression with a value, a set or a range."""
    return {"match": {"op": operator, "left": left, "right": right}}


def anonymous(values: Sequence[Any]) -> Json:
    """Return a set without a name."""
    return {"set": list(values)}


def concat(*parts: Any) -> Json:
    """Return several expressions or values as one key."""
    return {"concat": list(parts)}


def jump(chain: str) -> Json:
    """Return the verdict that goes through a chain and comes back."""
    return {"jump": {"target": chain}}


def goto(chain: str) -> Json:
    """Return the verdict that goes to a chain and does not come back."""
    return {"goto": {"target": chain}}


def lookup(key: Json, verdicts: str) -> Json:
    """Return the statement that looks the key's verdict up in a named map."""
    return {"vmap": {"key": key, "data": f"@{verdicts}"}}


def family(version: int) -> str:
    """Return the name of the IP version's header."""
    return "ip" if version == 4 else "ip6"


def payload(protocol: str, field: str) -> Json:
    """Return a field of a header."""
    return {"payload": {"protocol": protocol, "field": field}}


def source(version: int) -> Json:
    """Return the packet's source address."""
    return payload(family(version), "saddr")


def destination(version: int) -> Json:
    """Return the packet's destination address."""
    return payload(family(version), "daddr")


def is_version(version: int) -> Json:
    """Return the match of packets of that IP version."""
    return match({"meta": {"key": "nfproto"}}, "ipv4" if version == 4 else "ipv6")


def is_protocol(number: int) -> Json:
    """Return the match of packets that carry that protocol."""
    return match({"meta": {"key": "l4proto"}}, number)


def port(field: str, low: int, high: int | None = None) -> Json:
    """Return the match of a port (`sport` or `dport`) of any protocol that has ports."""
    wanted = low if high in {None, low} else {"range": [low, high]}
    return match(payload("th", field), wanted)


def udp(version: int, sport: int, dport: int) -> list[Json]:
    """Return the match of UDP between two ports."""
    return [is_version(version), is_protocol(17), port("sport", sport), port("dport", dport)]


def icmp_types(version: int, types: Sequence[int]) -> Json:
    """Return the match of ICMP messages of these types."""
    wanted = types[0] if len(types) == 1 else anonymous(types)
    return match(payload("icmp" if version == 4 else "icmpv6", "type"), wanted)


def ct_state(*states: str) -> Json:
    """Return the match of connections in one of these states."""
    return match({"ct": {"key": "state"}}, list(states), "in")


def ct_has_mark(bit: int) -> Json:
    """Return the match of connections with that bit in their mark."""
    return match({"&": [{"ct": {"key": "mark"}}, bit]}, bit)


def element(one: Net) -> Any:
    """Return an address or prefix as a set's element or a match's right side."""
    if one.num_addresses == 1:
        return str(one.network_address)
    return {"prefix": {"addr": str(one.network_address), "len": one.prefixlen}}


def nd_target_in(one: Net) -> list[Json]:
    """Return the match of neighbour discovery about an address of this network. nft 1.0.6 has no
    name for the field and no numbers beyond 63 bits, so it is four words of the payload."""
    matches = []
    for word in range(4):
        shift = 96 - 32 * word
        mask = (int(one.netmask) >> shift) & 0xFFFF_FFFF
        value = (int(one.network_address) >> shift) & 0xFFFF_FFFF
        left: Json = {"payload": {"base": "th", "offset": 64 + 32 * word, "len": 32}}
        if mask == 0xFFFF_FFFF:
            matches.append(match(left, value))
        elif mask:
            matches.append(match({"&": [left, mask]}, value))
    return matches
