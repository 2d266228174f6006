"""What nobody owns on a host: reported, kept aside, and removed after a grace."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from app.db.models import Server
from app.db.models.base import now
from app.services.drift import take_survey
from tasks.messages import ThingKind, Tidy
from tests.rows import add_host, make_settings
from tests.services.drift.scene import (
    GRACE,
    KEPT,
    MINUTE,
    SETTINGS,
    Scene,
    ends,
    strange_ends,
    stranger,
    thing,
    whole,
)

KEEPABLE: list[ThingKind] = [
    "domain", "disk", "extra_disk", "config_drive", "nvram", "console_log",
]  # fmt: skip


def test_unowned_things_are_reported_kept_aside_and_removed(scene: Scene) -> None:
    lost = stranger()
    kept = [thing(kind, lost) for kind in KEEPABLE]
    others = strange_ends()

    assert scene.look(*kept, *others) is None
    names = [("unowned", each.kind, each.name) for each in (*kept, *others)]
    assert scene.rows() == sorted(names)

    order = scene.look(*kept, *others, after=GRACE)
    assert order is not None
    assert (order.host, order.quarantine, order.discard) == ("h", kept, [])
    assert order.deadline == scene.clock.timestamp() + 60
    assert set(scene.states()) == {"quarantined"}

    aside = [each.model_copy(update={"quarantined": True}) for each in kept]
    assert scene.look(*aside, *others) is None

    order = scene.look(*aside, *others, after=KEPT)
    assert order is not None
    assert (order.quarantine, order.discard) == ([], [*aside, *others])
    assert set(scene.states()) == {"removing"}

    assert scene.look() is None
    assert scene.rows() == []


def test_orders_are_given_until_they_are_carried_out(scene: Scene) -> None:
    disk = thing("disk", stranger())
    scene.look(disk)
    aside = disk.model_copy(update={"quarantined": True})

    orders = [scene.look(disk, after=GRACE), scene.look(disk)]
    removals = [scene.look(aside, after=KEPT), scene.look(aside)]

    assert [order and order.quarantine for order in orders] == [[disk]] * 2
    assert [order and order.discard for order in removals] == [[aside]] * 2


def test_one_look_is_not_enough_however_short_the_grace(scene: Scene) -> None:
    eager = make_settings(drift_grace_s=0, drift_quarantine_s=0)
    disk = thing("disk", stranger())

    orders = [take_survey(scene.sessions, eager, scene.survey(disk), scene.clock) for _ in range(3)]

    assert orders[0] is None
    assert orders[1] is not None
    assert orders[2] is not None
    assert (orders[1].quarantine, orders[2].discard) == ([disk], [disk])


def test_grace_counts_from_when_it_was_seen_last_without_a_gap(scene: Scene) -> None:
    disk = thing("disk", stranger())
    scene.look(disk)
    scene.look()
    assert scene.rows() == []

    assert scene.look(disk, after=GRACE) is None
    assert scene.states() == ["reported"]


def test_what_finds_its_owner_again_is_left_alone(scene: Scene) -> None:
    server = scene.server(deleted_at=now())
    disk = thing("disk", server)
    scene.look(disk)
    assert scene.look(disk, after=GRACE) is not None
    aside = disk.model_copy(update={"quarantined": True})
    assert scene.look(aside, after=MINUTE) is None
    assert scene.rows() == [("unowned", "disk", disk.name)]

    scene.change(Server, server, deleted_at=None)

    assert scene.look(*whole(server), aside, after=KEPT) is None
    assert scene.rows() == []


def test_same_name_in_its_place_and_aside_is_one_row(scene: Scene) -> None:
    disk = thing("disk", stranger())
    aside = disk.model_copy(update={"quarantined": True})
    scene.look(disk, aside)

    order = scene.look(disk, aside, after=GRACE)

    assert order is not None
    assert order.quarantine == [disk]
    assert len(scene.rows()) == 1


def test_servers_own_what_carries_their_id(scene: Scene) -> None:
    server = scene.server()
    port_id, mac = scene.port(server)

    scene.look(*whole(server), thing("console_log", server), *ends(port_id, mac))

    assert scene.rows() == []


@pytest.mark.parametrize("pipeline", ["create", "unwind", "purge", "delete"])
def test_open_run_here_owns_what_it_is_to_make_or_remove(scene: Scene, pipeline: str) -> None:
    """The ports' rows may be gone by then: the run remembers them."""
    server = scene.server(hypervisor_id=None)
    port = {"port_id": stranger(), "mac": "FA:16:3E:00:00:09"}
    scene.owe(server, pipeline, ports=[port])

    scene.look(*whole(server), *ends(port["port_id"], port["mac"].lower()))

    assert scene.rows() == []


def test_create_without_a_host_owns_what_is_found(scene: Scene) -> None:
    server = scene.server(run="running", hypervisor_id=None)
    port_id, mac = scene.port(server)

    scene.look(*whole(server), *ends(port_id, mac))

    assert scene.rows() == []


@pytest.mark.parametrize("pipeline", ["unwind", "create"])
def test_run_on_another_host_owns_nothing_here(scene: Scene, pipeline: str) -> None:
    there = add_host(scene.sessions, "other")
    server = scene.server(hypervisor_id=there)
    port_id, mac = scene.port(server)
    ports = [{"port_id": port_id, "mac": mac}]
    scene.owe(server, pipeline, hypervisor_id=there, ports=ports)

    scene.look(thing("disk", server), *ends(port_id, mac))

    assert [kind for _, kind, _ in scene.rows()] == ["dhcp_entry", "disk", "filter"]


def test_surveys_at_once_leave_each_row_once(scene: Scene) -> None:
    disks = [thing("disk", stranger()) for _ in range(20)]
    survey = scene.survey(*disks)

    def take(_: int) -> Tidy | None:
        return take_survey(scene.sessions, SETTINGS, survey, scene.clock)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(take, range(4))) == [None] * 4

    assert scene.rows() == sorted(("unowned", "disk", disk.name) for disk in disks)
