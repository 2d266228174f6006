"""The port's contract on what nobody may own any more, on every implementation of it."""

import time
import uuid
from collections.abc import Callable

import pytest

from tasks.errors import ForeignOwner, HostError, MalformedMessage
from tasks.messages import DomainState, Thing, ThingKind
from tests.drivers.conftest import Rig
from tests.drivers.values import Server, make_port
from workers.hypervisor.names import domain_name
from workers.hypervisor.things import dhcp_thing

KINDS: list[ThingKind] = [
    "config_drive", "console_log", "dhcp_entry", "disk", "domain", "filter", "firewall",
    "first_boot",
]  # fmt: skip
FILES: list[ThingKind] = ["config_drive", "console_log", "disk", "first_boot"]


def run(rig: Rig) -> Server:
    """Return a server that runs."""
    server = rig.server()
    rig.host.define(server.job, server.resources(rig.host))
    rig.host.start(server.server_id)
    return server


def stop(rig: Rig) -> Server:
    """Return a server whose guest ran and was ended."""
    server = run(rig)
    rig.end_guest(server.server_id)
    return server


def eventually(condition: Callable[[], object]) -> None:
    """Wait until it is so; events come in their own time."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_survey_shows_each_thing_of_a_server(rig: Rig) -> None:
    server = run(rig)
    found = server.things(rig.host)
    assert [thing.kind for thing in found] == KINDS
    by_kind = {thing.kind: thing for thing in found}
    named = {thing.kind for thing in found if thing.server_id == server.server_id}
    assert named == {"domain", *FILES}
    assert by_kind["filter"].port_id == server.port.port_id
    assert by_kind["dhcp_entry"].mac == server.port.mac
    assert by_kind["domain"].state == "running"
    assert not any(thing.quarantined for thing in found)


def test_network_is_up_from_the_first_port_on(rig: Rig) -> None:
    server = rig.server()
    nowhere = str(uuid.uuid4())
    assert rig.host.networks_intact([])
    server.resources(rig.host)
    assert rig.host.networks_intact([server.port.network_id])
    assert not rig.host.networks_intact([server.port.network_id, nowhere])


def test_a_survey_shows_a_mac_in_lower_case(rig: Rig) -> None:
    server = rig.server()
    server.port = server.port.model_copy(update={"mac": server.port.mac.upper()})
    server.resources(rig.host)
    macs = [thing.mac for thing in rig.host.survey() if thing.kind == "dhcp_entry"]
    assert macs == [server.port.mac.lower()]
    rig.host.remove_ports(server.server_id, [server.port])
    assert [thing for thing in rig.host.survey() if thing.kind == "dhcp_entry"] == []


def test_a_survey_shows_half_a_server_and_then_nothing_of_it(rig: Rig) -> None:
    server = rig.server()
    assert server.things(rig.host) == []
    server.disks(rig.host)
    kinds = [thing.kind for thing in server.things(rig.host)]
    assert kinds == ["config_drive", "disk", "first_boot"]
    rig.host.define(server.job, server.resources(rig.host))
    assert server.thing(rig.host, "domain").state == "shutoff"
    server.remove(rig.host)
    assert server.things(rig.host) == []


def test_a_survey_shows_nothing_else(rig: Rig) -> None:
    server, foreign = run(rig), str(uuid.uuid4())
    rig.plant_foreign(foreign)
    assert len(rig.host.survey()) == len(server.things(rig.host)) == len(KINDS)


def test_a_domain_in_quarantine_is_stopped_and_kept(rig: Rig) -> None:
    server = run(rig)
    domain = server.thing(rig.host, "domain")
    for _ in range(2):
        rig.host.quarantine(domain)
        found = server.thing(rig.host, "domain")
        assert (found.state, found.quarantined) == ("shutoff", True)
        rig.host.quarantine(found)
    found_domain = rig.host.find(server.server_id)
    assert found_domain is not None
    assert found_domain.run_id == server.job.run_id
    with pytest.raises(HostError):
        rig.host.start(server.server_id)


def test_the_next_process_finds_what_is_in_quarantine(rig: Rig) -> None:
    server = run(rig)
    for thing in server.things(rig.host):
        rig.host.quarantine(thing)
    before = server.things(rig.host)
    assert {thing.kind for thing in before if thing.quarantined} == {"domain", *FILES}
    assert server.things(rig.reopen()) == before


def test_a_domain_that_is_defined_anew_is_in_quarantine_no_more(rig: Rig) -> None:
    server = rig.server()
    spec = server.resources(rig.host)
    rig.host.define(server.job, spec)
    rig.host.quarantine(server.thing(rig.host, "domain"))
    seen = server.thing(rig.host, "domain")
    rig.host.define(server.job.model_copy(update={"attempt": 2}), spec)
    assert not server.thing(rig.host, "domain").quarantined
    rig.host.start(server.server_id)
    # An order from before, which reaches the host late, has no effect on it.
    rig.host.quarantine(seen)
    rig.host.discard(seen)
    assert server.thing(rig.host, "domain").state == "running"


@pytest.mark.parametrize("kind", FILES)
def test_a_file_in_quarantine_is_the_servers_no_longer(rig: Rig, kind: ThingKind) -> None:
    server = stop(rig)
    thing = server.thing(rig.host, kind)
    for _ in range(2):
        rig.host.quarantine(thing)
    aside = thing.model_copy(update={"quarantined": True})
    assert server.thing(rig.host, kind) == aside
    server.remove(rig.host)
    assert server.traces(rig.host) == []
    assert server.things(rig.host) == [aside]
    rig.host.quarantine(aside)
    assert server.things(rig.host) == [aside]


def test_a_disk_in_quarantine_is_out_of_the_way_of_a_new_one(rig: Rig) -> None:
    server = rig.server()
    server.disks(rig.host)
    disk = server.thing(rig.host, "disk")
    for _ in range(2):
        rig.host.quarantine(disk)
        server.disks(rig.host)
    disks = [thing for thing in server.things(rig.host) if thing.kind == "disk"]
    # Nothing that was set aside is lost to what is set aside after it.
    assert [thing.quarantined for thing in disks].count(True) == 2
    for aside in [thing for thing in disks if thing.quarantined]:
        rig.host.discard(aside)
    assert server.thing(rig.host, "disk") == disk


@pytest.mark.parametrize("kind", ["dhcp_entry", "filter", "firewall"])
def test_what_is_not_worth_a_look_is_not_set_aside(rig: Rig, kind: ThingKind) -> None:
    server = rig.server()
    server.resources(rig.host)
    thing = server.thing(rig.host, kind)
    rig.host.quarantine(thing)
    assert server.thing(rig.host, kind) == thing


@pytest.mark.parametrize("first_quarantined", [False, True])
@pytest.mark.parametrize("order", [KINDS, KINDS[::-1]])
def test_each_thing_is_discarded_for_good(
    rig: Rig, order: list[ThingKind], *, first_quarantined: bool
) -> None:
    server = stop(rig)
    if first_quarantined:
        for thing in server.things(rig.host):
            rig.host.quarantine(thing)
    found = {thing.kind: thing for thing in server.things(rig.host)}
    for kind in order:
        for _ in range(2):
            rig.host.discard(found[kind])
        assert kind not in {thing.kind for thing in server.things(rig.host)}
    assert server.things(rig.host) == []
    assert server.traces(rig.host) == []


def test_a_running_domain_is_discarded_with_what_hangs_on_it(rig: Rig) -> None:
    server = run(rig)
    rig.host.discard(server.thing(rig.host, "domain"))
    left = [thing.kind for thing in server.things(rig.host)]
    assert left == ["config_drive", "dhcp_entry", "disk", "filter", "firewall", "first_boot"]


@pytest.mark.parametrize("kind", FILES)
def test_what_was_seen_before_it_was_set_aside_is_discarded(rig: Rig, kind: ThingKind) -> None:
    server = stop(rig)
    thing = server.thing(rig.host, kind)
    rig.host.quarantine(thing)
    rig.host.discard(thing)
    assert kind not in {thing.kind for thing in server.things(rig.host)}


def test_tidying_leaves_other_servers_alone(rig: Rig) -> None:
    gone, kept = stop(rig), run(rig)
    before = kept.things(rig.host)
    for thing in gone.things(rig.host):
        rig.host.quarantine(thing)
    for thing in gone.things(rig.host):
        rig.host.discard(thing)
    assert gone.things(rig.host) == []
    assert kept.things(rig.host) == before


def test_what_never_was_is_tidied_already(rig: Rig) -> None:
    server, port = str(uuid.uuid4()), make_port()
    things = [
        Thing(kind="domain", name=domain_name(server)),
        Thing(kind="disk", name=f"{server}.root.qcow2"),
        Thing(kind="config_drive", name=f"{server}.config.iso"),
        Thing(kind="console_log", name=f"{server}.console.log"),
        Thing(kind="filter", name=f"byre-port-{port.port_id}"),
        Thing(kind="firewall", name=f"byre-rules-{port.port_id}"),
        dhcp_thing(str(uuid.uuid4()), port.mac),
    ]
    for thing in things:
        for quarantined in (False, True):
            seen = thing.model_copy(update={"quarantined": quarantined})
            rig.host.quarantine(seen)
            rig.host.discard(seen)
    assert rig.host.survey() == []


def test_a_foreign_domain_is_not_tidied(rig: Rig) -> None:
    server_id = str(uuid.uuid4())
    rig.plant_foreign(server_id)
    thing = Thing(kind="domain", name=domain_name(server_id), server_id=server_id)
    with pytest.raises(ForeignOwner):
        rig.host.quarantine(thing)
    with pytest.raises(ForeignOwner):
        rig.host.discard(thing)


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "", ".", "..", "by-hand", "image-00.qcow2"]
)
def test_a_name_that_the_kind_cannot_have_names_nothing(rig: Rig, name: str) -> None:
    for kind in KINDS:
        thing = Thing(kind=kind, name=name, server_id=str(uuid.uuid4()))
        with pytest.raises(MalformedMessage):
            rig.host.quarantine(thing)
        with pytest.raises(MalformedMessage):
            rig.host.discard(thing)


def test_a_watcher_is_told_what_becomes_of_a_domain(rig: Rig) -> None:
    told: list[tuple[str, DomainState | None]] = []
    rig.host.watch(lambda server_id, state: told.append((server_id, state)))
    server = run(rig)
    eventually(lambda: (server.server_id, "running") in told)
    rig.end_guest(server.server_id)
    eventually(lambda: told[-1] == (server.server_id, "shutoff"))
    rig.forget_domain(server.server_id)
    eventually(lambda: told[-1] == (server.server_id, None))
    assert {server_id for server_id, _ in told} == {server.server_id}


def test_a_watcher_is_told_of_quarantine_and_removal(rig: Rig) -> None:
    server = run(rig)
    told: list[DomainState | None] = []
    rig.host.watch(lambda _, state: told.append(state))
    rig.host.quarantine(server.thing(rig.host, "domain"))
    eventually(lambda: told and told[-1] == "shutoff")
    rig.host.remove_domain(server.server_id)
    eventually(lambda: told[-1] is None)


def test_a_watcher_is_not_told_of_others(rig: Rig) -> None:
    told: list[str] = []
    rig.host.watch(lambda server_id, _: told.append(server_id))
    foreign = str(uuid.uuid4())
    rig.plant_foreign(foreign)
    server = run(rig)
    eventually(lambda: told)
    assert set(told) == {server.server_id}


def test_a_watcher_that_fails_keeps_nobody_from_anything(rig: Rig) -> None:
    told: list[DomainState | None] = []

    def fail(_server_id: str, _state: DomainState | None) -> None:
        raise ZeroDivisionError

    rig.host.watch(fail)
    rig.host.watch(lambda _, state: told.append(state))
    server = run(rig)
    rig.host.remove_domain(server.server_id)
    eventually(lambda: told and told[-1] is None)
