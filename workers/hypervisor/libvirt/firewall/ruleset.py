"""A table of nftables as a value, and the commands that make one out of another. Pure.

A change is one transaction: the kernel takes all of it or nothing, and no packet meets a half.
"""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from workers.hypervisor.libvirt.firewall.expressions import Json

TABLE = "byre_firewall"
FAMILY = "inet"
#: An empty chain that tells by its name what the table holds.
MARKER = "state_"
_HERE = {"family": FAMILY, "table": TABLE}


@dataclass(frozen=True)
class Chain:
    """A chain: with a hook (type, hook, prio, policy) one that packets come to by themselves."""

    rules: list[list[Json]] = field(default_factory=list)
    hook: Json | None = None


@dataclass(frozen=True)
class NamedSet:
    """A set; a map, if each element is a pair of key and verdict."""

    type: str | list[str]
    elements: list[Any] = field(default_factory=list)
    is_map: bool = False
    #: A map whose elements are pairs of key and value: the values' type.
    maps_to: str | None = None
    is_interval: bool = False

    @property
    def kind(self) -> str:
        """Return what nftables calls it."""
        return "map" if self.is_map or self.maps_to else "set"

    def header(self) -> Json:
        """Return what cannot be changed of it."""
        described: Json = {"type": self.type}
        if self.is_map:
            described["map"] = "verdict"
        if self.maps_to:
            described["map"] = self.maps_to
        if self.is_interval:
            described["flags"] = ["interval"]
        return described


@dataclass(frozen=True)
class Ruleset:
    """The whole table, by name."""

    chains: dict[str, Chain]
    sets: dict[str, NamedSet]

    def marker(self) -> str:
        """Return the name that tells what the table holds."""
        told = {
            "chains": {name: [chain.hook, chain.rules] for name, chain in self.chains.items()},
            "sets": {name: [one.header(), one.elements] for name, one in self.sets.items()},
        }
        text = json.dumps(told, sort_keys=True).encode()
        return MARKER + hashlib.sha256(text).hexdigest()[:32]


def whole(new: Ruleset) -> list[Json]:
    """Return the commands that put this table in the place of whatever is there."""
    table = {"table": {"family": FAMILY, "name": TABLE}}
    # To delete what may not be there, it is added first.
    return [
        {"add": table},
        {"delete": table},
        {"add": table},
        *changes(Ruleset({}, {}), new, mark=None),
    ]


def changes(old: Ruleset, new: Ruleset, *, mark: str | None) -> list[Json]:
    """Return the commands that make the new table of the old one, whose marker is `mark` (None: it
    has none yet); what is the same in both is left alone."""
    if mark == new.marker():
        return []
    commands: list[Json] = []
    refilled = [name for name, chain in new.chains.items() if old.chains.get(name) != chain]
    gone = [name for name in old.chains if name not in new.chains]
    for name in refilled:
        if name in old.chains:
            commands.append(_chain("flush", name))
        else:
            commands.append(_chain("add", name, **(new.chains[name].hook or {})))
    for name, one in new.sets.items():
        if name not in old.sets:
            commands.append({"add": {one.kind: {**_HERE, "name": name, **one.header()}}})
    for name in refilled:
        commands += [_rule(name, rule) for rule in new.chains[name].rules]
    for name, one in new.sets.items():
        commands += _elements(name, old.sets.get(name), one)
    gone_sets = [name for name in old.sets if name not in new.sets]
    # Chains and sets hold each other: all are emptied before the first of them goes.
    commands += [_chain("flush", name) for name in gone]
    commands += [_chain("delete", name) for name in gone]
    commands += [_chain("delete", mark)] if mark else []
    for name in gone_sets:
        commands.append({"delete": {old.sets[name].kind: {**_HERE, "name": name}}})
    return [*commands, _chain("add", new.marker())]


def _elements(name: str, old: NamedSet | None, new: NamedSet) -> list[Json]:
    """Intervals are put in anew as a whole, since neighbours may have grown together."""
    had = {} if old is None else {_key(one): one for one in old.elements}
    wanted = {_key(one): one for one in new.elements}
    if had == wanted:
        return []
    commands: list[Json] = []
    if new.is_interval and had:
        commands.append({"flush": {"set": {**_HERE, "name": name}}})
        had = {}
    lost = [one for key, one in had.items() if key not in wanted]
    found = [one for key, one in wanted.items() if key not in had]
    for verb, elements in (("delete", lost), ("add", found)):
        if elements:
            commands.append({verb: {"element": {**_HERE, "name": name, "elem": elements}}})
    return commands


def _key(one: Any) -> str:
    return json.dumps(one, sort_keys=True)


def _chain(verb: str, name: str, **more: Any) -> Json:
    return {verb: {"chain": {**_HERE, "name": name, **more}}}


def _rule(chain: str, expressions: list[Json]) -> Json:
    return {"add": {"rule": {**_HERE, "chain": chain, "expr": expressions}}}
