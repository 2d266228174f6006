"""Survey, quarantine and removal on a fake host's state, as the libvirt driver does them.

A name on a fake host stands for the file, entry or filter itself; domains are the host's business.
"""

import itertools

from tasks.messages import Thing
from workers.hypervisor.fake.state import FakeState
from workers.hypervisor.firewall_state import FirewallState, without
from workers.hypervisor.names import console_file, filter_name, nvram_file
from workers.hypervisor.things import (
    dhcp_thing,
    domain_thing,
    file_of,
    file_thing,
    filter_thing,
    mac_and_network_of,
    port_of,
    rules_thing,
)

_HERE = "here"


def all_things(state: FakeState) -> list[Thing]:
    """Return everything with our mark."""
    domains = [
        domain_thing(server_id, guest.state, quarantined=guest.quarantined)
        for server_id, guest in state.guests.items()
    ]
    entries = [dhcp_thing(port.network_id, port.mac) for port in state.entries.values()]
    filters = [filter_thing(filter_name(port_id)) for port_id in state.filters]
    rules = [rules_thing(port_id) for one in state.firewall.values() for port_id in one.ports]
    return [
        *domains,
        *state.files.values(),
        *state.set_aside.values(),
        *entries,
        *(thing for thing in filters if thing is not None),
        *rules,
    ]


def add_file(state: FakeState, name: str) -> None:
    """Have a file of that name."""
    thing = file_thing(name)
    if thing is not None and name not in state.files:
        state.files[name] = thing


def remove_what_hangs_on_it(state: FakeState, server_id: str) -> None:
    """Remove what goes with the server's domain: its console log and its firmware's variables."""
    for name in (console_file(server_id), nvram_file(server_id)):
        state.files.pop(name, None)


def set_file_aside(state: FakeState, thing: Thing) -> None:
    """Move the file into the quarantine; an older one of its name there gets a number."""
    name = file_of(thing)
    found = None if thing.quarantined else state.files.pop(name, None)
    if found is None:
        return
    if name in state.set_aside:
        numbered = (f"{name}.{number}" for number in itertools.count())
        free = next(candidate for candidate in numbered if candidate not in state.set_aside)
        state.set_aside[free] = state.set_aside[name].model_copy(update={"name": free})
    state.set_aside[name] = found.model_copy(update={"quarantined": True})


def remove_thing(state: FakeState, thing: Thing) -> None:
    """Remove the file, entry or filter; a file only from the quarantine if it was seen there."""
    if thing.kind == "filter":
        state.filters.pop(port_of(thing), None)
    elif thing.kind == "firewall":
        remove_rules(state, [port_of(thing)])
    elif thing.kind == "dhcp_entry":
        _remove_entry(state, *mac_and_network_of(thing))
    else:
        state.set_aside.pop(file_of(thing), None)
        if not thing.quarantined:
            state.files.pop(file_of(thing), None)


def rules_of(state: FakeState) -> FirewallState:
    """Return all that the host was told of security groups."""
    return state.firewall.get(_HERE, FirewallState())


def keep_rules(state: FakeState, firewall: FirewallState) -> None:
    """Remember what the host was told of security groups, while any port has rules."""
    if firewall.ports or firewall.expected:
        state.firewall[_HERE] = firewall
    else:
        state.firewall.pop(_HERE, None)


def remove_rules(state: FakeState, port_ids: list[str]) -> None:
    """Remove the ports' rules."""
    keep_rules(state, without(rules_of(state), port_ids))


def _remove_entry(state: FakeState, mac: str, network_id: str) -> None:
    for port_id, port in list(state.entries.items()):
        if (port.mac.lower(), port.network_id) == (mac, network_id):
            del state.entries[port_id]
