"""What is ours on a host, told by its name; and back, from a message's thing to what it names.

A thing that comes in a message names nothing but what `names` could have named: a file's name is
a checked id and a known ending, so that it is never a path. Pure.
"""

import re
from collections.abc import Callable

from tasks.errors import MalformedMessage
from tasks.messages import DomainState, Thing, ThingKind
from workers.hypervisor import names

_KINDS: dict[str, ThingKind] = {
    "root.qcow2": "disk",
    "ephemeral.raw": "extra_disk",
    "swap.raw": "extra_disk",
    "cdrom.iso": "extra_disk",
    "rescue.qcow2": "extra_disk",
    "rescue-config.iso": "extra_disk",
    "config.iso": "config_drive",
    "nvram.fd": "nvram",
    "before-root.qcow2": "extra_disk",
    "before-ephemeral.raw": "extra_disk",
    "before-nvram.fd": "extra_disk",
    "console.log": "console_log",
    "first-boot.json": "first_boot",
    "first-boot-word.json": "first_boot",
    "first-boot-password.txt": "first_boot",
}
_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
#: Of an image's own, so that none is taken for another's.
_SNAPSHOT = rf"{_UUID}\.snapshot\.qcow2"
_WHAT = "|".join([*map(re.escape, _KINDS), _SNAPSHOT])
#: A number follows older parts of a log, and what was set aside before another of its name.
_FILE = re.compile(rf"({_UUID})\.({_WHAT})(?:\.[0-9]{{1,6}})?")
#: Written beside its place by `files.replacing`, and left there by a death.
_UNFINISHED = re.compile(rf"\.({_UUID})\.({_WHAT})\.[a-z0-9_]{{1,32}}(?:\.[0-9]{{1,6}})?")
_DOMAIN = re.compile(rf"byre-({_UUID})")
_FILTER = re.compile(rf"byre-port-({_UUID})")
_RULES = re.compile(rf"byre-rules-({_UUID})")
_DHCP_ENTRY = re.compile(rf"((?:[0-9a-f]{{2}}:){{5}}[0-9a-f]{{2}})@({_UUID})")


def domain_thing(server_id: str, state: DomainState, *, quarantined: bool) -> Thing:
    """Return the thing that the server's domain is."""
    name = names.domain_name(server_id)
    return Thing(
        kind="domain", name=name, server_id=server_id, state=state, quarantined=quarantined
    )


def file_thing(name: str, *, quarantined: bool = False) -> Thing | None:
    """Return the thing that a file of that name is, or None if it is nobody's server's."""
    found = _FILE.fullmatch(name) or _UNFINISHED.fullmatch(name)
    if found is None:
        return None
    server_id, what = found.groups()
    kind = _KINDS.get(what, "snapshot")
    return Thing(kind=kind, name=name, server_id=server_id, quarantined=quarantined)


def filter_thing(name: str) -> Thing | None:
    """Return the thing that a filter of that name is, or None if it is not a port's."""
    found = _FILTER.fullmatch(name)
    return None if found is None else Thing(kind="filter", name=name, port_id=found[1])


def rules_thing(port_id: str) -> Thing:
    """Return the thing that the port's firewall rules are."""
    return Thing(kind="firewall", name=names.rules_name(port_id), port_id=port_id)


def dhcp_thing(network_id: str, mac: str) -> Thing:
    """Return the thing that the MAC's DHCP entry in the network is."""
    return Thing(kind="dhcp_entry", name=f"{mac.lower()}@{network_id}", mac=mac.lower())


def server_of(thing: Thing) -> str:
    """Return the id of the server whose domain it is. Raises MalformedMessage."""
    return _parts(_DOMAIN, thing)[0]


def port_of(thing: Thing) -> str:
    """Return the id of the port whose filter, or whose rules, it is. Raises MalformedMessage."""
    return _parts(_RULES if thing.kind == "firewall" else _FILTER, thing)[0]


def mac_and_network_of(thing: Thing) -> tuple[str, str]:
    """Return the DHCP entry's MAC and its network's id. Raises MalformedMessage."""
    mac, network_id = _parts(_DHCP_ENTRY, thing)
    return mac, network_id


def file_of(thing: Thing) -> str:
    """Return the file's name: one in a directory, never a path. Raises MalformedMessage."""
    named = file_thing(thing.name)
    if named is None or named.kind != thing.kind:
        raise _refused(thing)
    return thing.name


def check(thing: Thing) -> None:
    """Raise MalformedMessage unless the thing's name is one that its kind can have."""
    _CHECKS[thing.kind](thing)


def _parts(pattern: re.Pattern[str], thing: Thing) -> tuple[str, ...]:
    found = pattern.fullmatch(thing.name)
    if found is None:
        raise _refused(thing)
    return found.groups()


def _refused(thing: Thing) -> MalformedMessage:
    return MalformedMessage(f"{thing.name!r:.80} is no name of a {thing.kind}")


_CHECKS: dict[ThingKind, Callable[[Thing], object]] = {
    "domain": server_of,
    "disk": file_of,
    "snapshot": file_of,
    "extra_disk": file_of,
    "config_drive": file_of,
    "nvram": file_of,
    "console_log": file_of,
    "first_boot": file_of,
    "dhcp_entry": mac_and_network_of,
    "filter": port_of,
    "firewall": port_of,
}
