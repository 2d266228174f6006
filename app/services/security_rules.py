"""What a security group's rule may say, in Neutron's terms and with Neutron's refusals. Pure.

The field names of the refusals are those of the API. What leaves here for a host is numbers and
addresses only; the owner's own words are kept for showing.
"""

from dataclasses import dataclass
from ipaddress import ip_interface
from typing import Literal, NamedTuple

from app.runs.values import network_prefix
from tasks.errors import RequestError

#: Protocols by name, as Neutron knows them (IANA's numbers).
PROTOCOLS = {
    "ah": 51,
    "dccp": 33,
    "egp": 8,
    "esp": 50,
    "gre": 47,
    "hopopt": 0,
    "icmp": 1,
    "icmpv6": 58,
    "igmp": 2,
    "ip": 4,
    "ipip": 4,
    "ipv6-encap": 41,
    "ipv6-frag": 44,
    "ipv6-icmp": 58,
    "ipv6-nonxt": 59,
    "ipv6-opts": 60,
    "ipv6-route": 43,
    "ospf": 89,
    "pgm": 113,
    "rsvp": 46,
    "sctp": 132,
    "tcp": 6,
    "udp": 17,
    "udplite": 136,
    "vrrp": 112,
}
_ANY = ("any", "")
_IPV6_ONLY = frozenset({"icmpv6", "ipv6-encap", "ipv6-frag", "ipv6-icmp", "ipv6-nonxt"}) | {
    "ipv6-opts",
    "ipv6-route",
}
_OLD_IPV6_ICMP = frozenset({"icmp", "icmpv6"})
_WITH_PORTS = frozenset(PROTOCOLS[name] for name in ("tcp", "udp", "sctp", "dccp", "udplite"))
_ICMP = frozenset({PROTOCOLS["icmp"], PROTOCOLS["ipv6-icmp"]})
_MAX_PORT = 65535
_MAX_ICMP = 255

Version = Literal[4, 6]


@dataclass(frozen=True)
class NewRule:
    """A rule as it was asked for."""

    group_id: str
    direction: str
    version: Version = 4
    protocol: str | None = None
    port_min: int | None = None
    port_max: int | None = None
    remote_prefix: str | None = None
    remote_group_id: str | None = None
    description: str = ""
    project_id: str | None = None


class Key(NamedTuple):
    """What makes two rules of a group the same."""

    direction: str
    version: int
    protocol: int | None
    port_min: int | None
    port_max: int | None
    prefix: str | None
    remote_group_id: str | None


@dataclass(frozen=True)
class Rule:
    """A rule that makes sense. `key` holds what hosts are told; the rest is as it was written."""

    key: Key
    protocol: str | None
    remote_prefix: str | None


def checked(new: NewRule) -> Rule:
    """Return the rule. Raises RequestError if it makes no sense."""
    if new.remote_prefix is not None and new.remote_group_id is not None:
        raise RequestError("Only remote_ip_prefix or remote_group_id may be provided.")
    protocol = _protocol(new.protocol, new.version)
    number = protocol_number(protocol)
    _check_ports(new, protocol, number)
    prefix = _prefix(new.remote_prefix, new.version)
    key = Key(
        new.direction,
        new.version,
        number,
        new.port_min,
        new.port_max,
        network_prefix(prefix),
        new.remote_group_id,
    )
    return Rule(key, protocol, prefix)


def protocol_number(protocol: str | None) -> int | None:
    """Return what hosts are told. 0 is any, as Neutron's drivers have it."""
    if protocol is None:
        return None
    return (int(protocol) if protocol.isdigit() else PROTOCOLS[protocol]) or None


def _protocol(text: str | None, version: Version) -> str | None:
    if text is None or text.lower() in _ANY:
        return None
    word = text.lower()
    if word.isascii() and word.isdigit() and len(word) <= 3 and int(word) <= 255:
        return str(int(word))
    if word not in PROTOCOLS:
        raise RequestError(
            f"Security group rule protocol {text[:40]!r} not supported. Only protocol values"
            f" {sorted(PROTOCOLS)} and integer representations [0 to 255] are supported."
        )
    if version == 6 and word in _OLD_IPV6_ICMP:
        return "ipv6-icmp"
    if version == 4 and word in _IPV6_ONLY:
        raise RequestError(f"Invalid ethertype IPv4 for protocol {word}.")
    return word


def _check_ports(new: NewRule, protocol: str | None, number: int | None) -> None:
    low, high = new.port_min, new.port_max
    if low is None and high is None:
        return
    if number is None:
        raise RequestError("Must also specify protocol if port range is given.")
    if number in _WITH_PORTS:
        _check_range(low, high)
    elif number in _ICMP:
        _check_icmp(low, high)
    else:
        raise RequestError(
            f"Invalid protocol {protocol} for port range, only supported for TCP, UDP, UDPLITE,"
            " SCTP and DCCP."
        )


def _check_range(low: int | None, high: int | None) -> None:
    for port in (low, high):
        if port is not None and not 1 <= port <= _MAX_PORT:
            raise RequestError(f"Invalid value for port {port}")
    if low is None or high is None or low > high:
        raise RequestError("For TCP/UDP protocols, port_range_min must be <= port_range_max")


def _check_icmp(kind: int | None, code: int | None) -> None:
    for field, attribute, value in (
        ("type", "port_range_min", kind),
        ("code", "port_range_max", code),
    ):
        if value is not None and not 0 <= value <= _MAX_ICMP:
            raise RequestError(
                f"Invalid value for ICMP {field} ({attribute}) {value}. It must be 0 to 255."
            )
    if kind is None:
        raise RequestError(
            f"ICMP code (port-range-max) {code} is provided but ICMP type (port-range-min) is"
            " missing."
        )


def _prefix(text: str | None, version: Version) -> str | None:
    if text is None:
        return None
    try:
        interface = ip_interface(text)
    except ValueError as error:
        raise RequestError(f"Invalid CIDR {text[:60]!r} given as IP prefix.") from error
    if interface.version != version:
        raise RequestError(f"Conflicting value ethertype IPv{version} for CIDR {text}")
    if getattr(interface, "scope_id", None):
        raise RequestError(f"Invalid CIDR {text[:60]!r} given as IP prefix.")
    return interface.with_prefixlen
