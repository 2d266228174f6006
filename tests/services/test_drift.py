"""Drift: what a host has and what the rows say, both ways, and what becomes of it."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, select

from app.db.models import (
    Allocation,
    Drift,
    Fault,
    FixedAddress,
    Hypervisor,
    Port,
    Run,
    Server,
    Subnet,
)
from app.db.models.base import now
from app.db.session import Sessions
from app.services import drift
from app.services.context import Context
from app.services.drift import DriftFilter, take_change, take_survey
from tasks.messages import (
    DescribeDomain,
    Diagnose,
    DomainChange,
    DomainState,
    Fabric,
    OpenConsole,
    ReadConsole,
    Survey,
    Thing,
    ThingKind,
    Tidy,
    WarmCache,
)
from tests.rows import World, add_host, add_server, make_settings, make_world

SETTINGS = make_settings(drift_grace_s=300, drift_quarantine_s=3600)
GRACE, KEPT = timedelta(seconds=301), timedelta(seconds=3601)
MINUTE = timedelta(minutes=1)

Found = list[tuple[str, str, str]]


class Scene:
    """A host with its servers, and what it says of itself."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions
        self.world: World = make_world(sessions)
        self.host = add_host(sessions, "h", process="p")
        self.clock = now() + MINUTE
        with sessions() as session:
            self.subnet = session.scalars(select(Subnet.id)).one()

    def server(self, *, run: str = "done", **facts: Any) -> str:
        """A server that is up here; its create ended an hour ago."""
        up = {"status": "ACTIVE", "vm_state": "active", "power_state": 1}
        with self.sessions.begin() as session:
            row = add_server(
                session, self.world, SETTINGS, **{**up, "hypervisor_id": self.host, **facts}
            )
            row.state, row.hypervisor_id = run, facts.get("hypervisor_id", self.host)
            row.finished_at = None if run == "running" else now() - timedelta(hours=1)
            session.flush()
            session.get_one(Server, row.server_id).task_state = None
            return row.server_id

    def port(self, server_id: str, number: int = 1) -> tuple[str, str]:
        """An interface of the server: its id and MAC."""
        port_id, mac = str(uuid.uuid4()), f"fa:16:3e:00:{number // 256:02x}:{number % 256:02x}"
        with self.sessions.begin() as session:
            session.add(
                Port(
                    id=port_id,
                    project_id=self.world.project_id,
                    network_id=self.world.network_id,
                    server_id=server_id,
                    position=0,
                    mac=mac,
                    addresses=[
                        FixedAddress(
                            subnet_id=self.subnet, address=f"10.9.{number // 256}.{number % 256}"
                        )
                    ],
                )
            )
        return port_id, mac

    def room(self, server_id: str) -> None:
        """The server holds room on the host."""
        with self.sessions.begin() as session:
            session.add(
                Allocation(
                    server_id=server_id,
                    hypervisor_id=self.host,
                    run_id="r",
                    attempt=1,
                    vcpus=1,
                    memory_mib=256,
                    disk_gib=1,
                )
            )
            host = session.get_one(Hypervisor, self.host)
            host.vcpus_used += 1
            host.memory_mib_used += 256
            host.disk_gib_used += 1

    def owe(self, server_id: str, pipeline: str, **facts: Any) -> None:
        """An open run of the server on the host."""
        later = now() + timedelta(hours=1)
        with self.sessions.begin() as session:
            session.add(
                Run(
                    **{
                        "server_id": server_id,
                        "pipeline": pipeline,
                        "hypervisor_id": self.host,
                        "lease_until": later,
                        "deadline": later,
                        "request_id": "r",
                        "user_id": self.world.user_id,
                        **facts,
                    }
                )
            )

    def look(self, *things: Thing, after: timedelta = timedelta(seconds=30)) -> Tidy | None:
        """So much later, the host tells what it has."""
        self.clock += after
        return take_survey(self.sessions, SETTINGS, self.survey(*things), self.clock)

    def survey(self, *things: Thing, at: datetime | None = None) -> Survey:
        taken_at = (at or self.clock).timestamp()
        return Survey(host="h", process="p", taken_at=taken_at, things=list(things))

    def tell(self, server: str, state: DomainState | None, **facts: Any) -> None:
        """The host tells that a domain changed."""
        change = {"host": "h", "server_id": server, "state": state, "at": now().timestamp()}
        take_change(self.sessions, DomainChange.parse({**change, **facts}), now())

    def rows(self) -> Found:
        with self.sessions() as session:
            found = session.scalars(select(Drift))
            return sorted((row.direction, row.kind, row.name) for row in found)

    def states(self) -> list[str]:
        with self.sessions() as session:
            return sorted(session.scalars(select(Drift.state)))

    def shown(self, server_id: str) -> tuple[str, str, int]:
        with self.sessions() as session:
            server = session.get_one(Server, server_id)
            return server.status, server.vm_state, server.power_state

    def change(self, kind: type[Any], key: str, **facts: Any) -> None:
        with self.sessions.begin() as session:
            for name, value in facts.items():
                setattr(session.get_one(kind, key), name, value)


@pytest.fixture
def scene(sessions: Sessions) -> Scene:
    return Scene(sessions)


def thing(kind: ThingKind, server_id: str, **facts: Any) -> Thing:
    """A thing that carries a server's id."""
    more = {"state": "running"} if kind == "domain" else {}
    return Thing(kind=kind, name=f"{server_id}.{kind}", server_id=server_id, **{**more, **facts})


def whole(server_id: str, state: DomainState = "running") -> list[Thing]:
    """All that a server without interfaces has on its host."""
    return [
        thing("domain", server_id, state=state),
        thing("disk", server_id),
        thing("config_drive", server_id),
    ]


def ends(port_id: str, mac: str) -> list[Thing]:
    """What an interface has on its host."""
    return [
        Thing(kind="dhcp_entry", name=f"{mac}@net", mac=mac),
        Thing(kind="filter", name=f"byre-port-{port_id}", port_id=port_id),
    ]


def stranger() -> str:
    """The id of a server that there never was."""
    return str(uuid.uuid4())


# --- true status ---------------------------------------------------------------------------------

STATES = [
    ("running", ("ACTIVE", "active", 1)),
    ("paused", ("PAUSED", "paused", 3)),
    ("shutoff", ("SHUTOFF", "stopped", 4)),
    ("crashed", ("SHUTOFF", "stopped", 6)),
]


@pytest.mark.parametrize(("state", "shown"), STATES)
def test_server_is_shown_as_its_domain_is(
    scene: Scene, state: DomainState, shown: tuple[str, str, int]
) -> None:
    other: dict[str, Any] = {"status": "PAUSED", "vm_state": "paused", "power_state": 3}
    server = scene.server(**(other if state == "running" else {}))

    assert scene.look(*whole(server, state)) is None

    assert scene.shown(server) == shown
    assert scene.rows() == []


def test_server_without_its_domain_is_in_error_until_it_is_back(scene: Scene) -> None:
    server = scene.server()
    _, *files = whole(server)

    scene.look(*files)

    assert scene.shown(server) == ("ERROR", "error", 0)
    assert scene.rows() == [("missing", "domain", server)]
    with scene.sessions() as session:
        fault = session.get_one(Fault, server)
        assert (fault.code, fault.reason) == (500, "domain_gone")
        assert fault.message == "The server's virtual machine is no longer on its host."

    scene.look(*whole(server, "shutoff"))

    assert scene.shown(server) == ("SHUTOFF", "stopped", 4)
    assert scene.rows() == []
    with scene.sessions() as session:
        assert session.get(Fault, server) is None


SAVED: dict[str, Any] = {"status": "SUSPENDED", "vm_state": "suspended", "power_state": 4}


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        ("shutoff", ("SUSPENDED", "suspended", 4)),
        ("running", ("ACTIVE", "active", 1)),
        ("paused", ("PAUSED", "paused", 3)),
    ],
)
def test_suspended_server_is_off_until_somebody_else_goes_on_with_it(
    scene: Scene, state: DomainState, shown: tuple[str, str, int]
) -> None:
    server, told = scene.server(**SAVED), scene.server(**SAVED)

    scene.look(*whole(server, state), *whole(told, "shutoff"))
    scene.tell(told, state)

    assert scene.shown(server) == scene.shown(told) == shown


def test_suspended_server_without_its_domain_is_in_error(scene: Scene) -> None:
    server = scene.server(**SAVED)
    _, *files = whole(server)

    scene.look(*files)

    assert scene.shown(server) == ("ERROR", "error", 0)


def test_server_in_error_for_another_reason_stays_so(scene: Scene) -> None:
    server = scene.server(status="ERROR", vm_state="error", power_state=0)
    with scene.sessions.begin() as session:
        fault = {"code": 500, "reason": "host_error", "message": "-", "created_at": now()}
        session.add(Fault(server_id=server, **fault))

    scene.look(*whole(server))
    scene.tell(server, "running")

    assert scene.shown(server) == ("ERROR", "error", 0)


def test_server_under_a_run_is_left_to_it(scene: Scene) -> None:
    server = scene.server(run="running")
    other = scene.server()
    scene.owe(other, "unwind")

    scene.look()
    scene.tell(server, "crashed")

    assert scene.shown(server) == scene.shown(other) == ("ACTIVE", "active", 1)
    assert scene.rows() == []


@pytest.mark.parametrize("ago_s", [5, -5])
def test_look_from_around_the_end_of_the_last_run_says_nothing(scene: Scene, ago_s: int) -> None:
    server = scene.server()
    ended = scene.clock - timedelta(seconds=ago_s)
    with scene.sessions.begin() as session:
        session.scalars(select(Run)).one().finished_at = ended

    scene.look(after=timedelta(0))
    assert (scene.shown(server)[0], scene.rows()) == ("ACTIVE", [])

    scene.look(after=timedelta(seconds=16))
    assert scene.shown(server)[0] == "ERROR"


def test_look_from_before_the_servers_last_change_says_nothing(scene: Scene) -> None:
    server = scene.server()
    scene.tell(server, "shutoff")

    stale = scene.survey(*whole(server), at=now() - MINUTE)
    take_survey(scene.sessions, SETTINGS, stale, now())

    assert scene.shown(server)[0] == "SHUTOFF"


def test_servers_elsewhere_and_deleted_ones_are_not_judged(scene: Scene) -> None:
    there = add_host(scene.sessions, "other")
    elsewhere = scene.server(hypervisor_id=there)
    deleted = scene.server(deleted_at=now())

    scene.look()

    assert scene.shown(elsewhere) == scene.shown(deleted) == ("ACTIVE", "active", 1)
    assert scene.rows() == []


def test_unknown_host_is_told_nothing(scene: Scene) -> None:
    survey = scene.survey(thing("disk", stranger())).model_copy(update={"host": "nobody"})

    assert take_survey(scene.sessions, SETTINGS, survey, now()) is None
    assert scene.rows() == []


def test_survey_is_noted_on_its_host(scene: Scene) -> None:
    scene.look()

    with scene.sessions() as session:
        assert session.get_one(Hypervisor, scene.host).surveyed_at == scene.clock


# --- events --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "shown"), STATES)
def test_event_shows_at_once(scene: Scene, state: DomainState, shown: tuple[str, str, int]) -> None:
    server = scene.server()

    scene.tell(server, state)

    assert scene.shown(server) == shown


def test_event_of_a_domain_that_is_back_ends_the_error(scene: Scene) -> None:
    server = scene.server()
    scene.look()

    scene.tell(server, "running")

    assert scene.shown(server) == ("ACTIVE", "active", 1)
    with scene.sessions() as session:
        assert session.get(Fault, server) is None


@pytest.mark.parametrize(
    ("state", "facts"),
    [
        (None, {}),
        ("shutoff", {"host": "other"}),
        ("shutoff", {"host": "nobody"}),
        ("shutoff", {"server_id": "nobody"}),
        ("shutoff", {"at": (now() - timedelta(hours=2)).timestamp()}),
    ],
    ids=["gone", "another host", "unknown host", "unknown server", "before the run's end"],
)
def test_event_is_ignored(scene: Scene, state: DomainState | None, facts: dict[str, Any]) -> None:
    add_host(scene.sessions, "other")
    server = scene.server()

    scene.tell(server, state, **facts)

    assert scene.shown(server) == ("ACTIVE", "active", 1)


def test_event_may_overtake_the_report_of_the_runs_end(scene: Scene) -> None:
    server = scene.server()
    with scene.sessions.begin() as session:
        session.scalars(select(Run)).one().finished_at = now() + timedelta(seconds=1)

    scene.tell(server, "shutoff")

    assert scene.shown(server)[0] == "SHUTOFF"


# --- what is missing -----------------------------------------------------------------------------


def test_all_that_a_server_lacks_is_missing_until_it_is_there(scene: Scene) -> None:
    server = scene.server()
    port_id, mac = scene.port(server)

    scene.look(thing("domain", server))
    assert scene.rows() == [
        ("missing", "config_drive", server),
        ("missing", "dhcp_entry", mac),
        ("missing", "disk", server),
        ("missing", "filter", port_id),
    ]

    assert scene.look(thing("domain", server), after=GRACE + KEPT) is None
    assert set(scene.states()) == {"reported"}

    scene.look(*whole(server), *ends(port_id, mac))
    assert scene.rows() == []


def test_what_is_in_quarantine_is_of_no_use_to_its_server(scene: Scene) -> None:
    server = scene.server()
    domain, disk, drive = whole(server)

    scene.look(domain, disk.model_copy(update={"quarantined": True}), drive)

    assert scene.rows() == [("missing", "disk", server)]


def test_nothing_is_missing_of_a_server_under_a_run(scene: Scene) -> None:
    server = scene.server()
    scene.look(thing("domain", server))
    scene.owe(server, "delete")

    scene.look(thing("domain", server))

    assert scene.rows() == []


# --- what nobody owns ----------------------------------------------------------------------------

KEEPABLE: list[ThingKind] = [
    "domain", "disk", "extra_disk", "config_drive", "nvram", "console_log",
]  # fmt: skip


def strange_ends() -> list[Thing]:
    return ends(stranger(), "fa:16:3e:ff:ff:ff")


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


# --- room that nobody needs ----------------------------------------------------------------------


def used(scene: Scene) -> tuple[int, int, int]:
    with scene.sessions() as session:
        host = session.get_one(Hypervisor, scene.host)
        return host.vcpus_used, host.memory_mib_used, host.disk_gib_used


def test_room_of_a_server_that_is_not_here_is_released_after_the_grace(scene: Scene) -> None:
    here = scene.server()
    deleted, owed = (scene.server(deleted_at=now()) for _ in range(2))
    nowhere = scene.server(run="running", hypervisor_id=None)
    for server in (here, deleted, nowhere, owed):
        scene.room(server)
    scene.owe(owed, "purge")
    lost = sorted(("unowned", "allocation", server) for server in (deleted, nowhere))

    scene.look(*whole(here))
    assert scene.rows() == lost
    assert used(scene) == (4, 1024, 4)

    assert scene.look(*whole(here), after=GRACE) is None
    assert scene.rows() == []
    assert used(scene) == (2, 512, 2)
    with scene.sessions() as session:
        assert set(session.scalars(select(Allocation.server_id))) == {here, owed}

    scene.look(*whole(here))
    assert used(scene) == (2, 512, 2)


def test_surveys_at_once_leave_each_row_once(scene: Scene) -> None:
    disks = [thing("disk", stranger()) for _ in range(20)]
    survey = scene.survey(*disks)

    def take(_: int) -> Tidy | None:
        return take_survey(scene.sessions, SETTINGS, survey, scene.clock)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(take, range(4))) == [None] * 4

    assert scene.rows() == sorted(("unowned", "disk", disk.name) for disk in disks)


# --- its cost ------------------------------------------------------------------------------------


@contextmanager
def counted(sessions: Sessions) -> Iterator[list[str]]:
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    engine = sessions.kw["bind"]
    event.listen(engine, "before_cursor_execute", note)
    yield statements
    event.remove(engine, "before_cursor_execute", note)


def rounds(scene: Scene, count: int) -> list[int]:
    """Queries of each survey: servers go and are back, strange things come, age and go."""
    servers = [scene.server() for _ in range(count)]
    strange = [thing("disk", stranger()) for _ in range(count)]
    there = [each for server in servers for each in whole(server)]
    looks = [
        (there, MINUTE),
        (strange, MINUTE),
        ([*there, *strange], GRACE),
        ([*there, *strange], KEPT),
        (there, MINUTE),
    ]
    numbers = []
    for things, after in looks:
        with counted(scene.sessions) as statements:
            scene.look(*things, after=after)
        numbers.append(len(statements))
    return numbers


def test_number_of_queries_does_not_grow(scene: Scene) -> None:
    few = rounds(scene, 5)
    with scene.sessions.begin() as session:
        for server in session.scalars(select(Server)):
            server.deleted_at = now()

    assert rounds(scene, 200) == few
    assert max(few) < 25


# --- what operators are told ---------------------------------------------------------------------


class NoPublisher:
    """Nothing is sent here."""

    def publish(self, run_id: str) -> None:
        raise AssertionError(run_id)

    def canary(self, host: str | None, moment: datetime) -> None:
        raise AssertionError(host)

    def tidy(self, order: Tidy) -> None:
        raise AssertionError(order)

    def fabric_changed(self) -> None:
        """It is found by the next sweep."""

    def fabric(self, order: Fabric) -> None:
        raise AssertionError(order)

    def warm(self, order: WarmCache) -> None:
        raise AssertionError(order)

    def read_console(self, order: ReadConsole) -> None:
        raise AssertionError(order)

    def open_console(self, order: OpenConsole) -> None:
        raise AssertionError(order)

    def diagnose(self, order: Diagnose) -> None:
        raise AssertionError(order)

    def describe_domain(self, order: DescribeDomain) -> None:
        raise AssertionError(order)

    def broker_answers(self) -> bool:
        return True


def told(scene: Scene, **wanted: str) -> drift.DriftReport:
    context = Context(scene.sessions, SETTINGS, NoPublisher())
    return drift.listed(context, DriftFilter(**wanted))


def next_of(scene: Scene) -> dict[str, tuple[str | None, datetime | None]]:
    return {row.kind: (row.next_action, row.next_action_at) for row in told(scene).drift}


def test_report_says_what_is_next_and_when(scene: Scene) -> None:
    server, holder = scene.server(), scene.server(hypervisor_id=None)
    scene.room(holder)
    disk, entry = thing("disk", stranger()), strange_ends()[0]
    grace, kept = timedelta(seconds=300), timedelta(seconds=3600)

    scene.look(*whole(server)[:2], disk, entry)
    first = scene.clock
    assert next_of(scene) == {
        "config_drive": (None, None),
        "allocation": ("release", first + grace),
        "disk": ("quarantine", first + grace),
        "dhcp_entry": ("remove", first + grace + kept),
    }

    scene.look(*whole(server), disk, entry, after=GRACE)
    second = scene.clock
    due = ("remove", second + kept)
    assert next_of(scene) == {"disk": due, "dhcp_entry": due}

    scene.look(*whole(server), disk, after=KEPT)
    assert next_of(scene) == {"disk": ("remove", scene.clock)}


def test_report_tells_silent_hosts_from_clean_ones(scene: Scene) -> None:
    add_host(scene.sessions, "silent", last_seen_at=now() - timedelta(days=1))
    scene.look()

    report = told(scene)

    hosts = {host.host: (host.alive, host.surveyed_at) for host in report.hosts}
    assert hosts == {"h": (True, scene.clock), "silent": (False, None)}
    assert report.drift == ()


def test_report_is_filtered(scene: Scene) -> None:
    add_host(scene.sessions, "other")
    lost, server = stranger(), scene.server()
    scene.look(thing("disk", lost), thing("console_log", lost), *whole(server)[:2])

    def kinds(**wanted: str) -> list[str]:
        return sorted(row.kind for row in told(scene, **wanted).drift)

    assert kinds() == ["config_drive", "console_log", "disk"]
    assert kinds(host="h", direction="unowned") == ["console_log", "disk"]
    assert kinds(direction="missing") == kinds(server_id=server) == ["config_drive"]
    assert kinds(kind="disk", server_id=lost) == ["disk"]
    assert kinds(host="other") == []
    assert [host.host for host in told(scene, host="other").hosts] == ["other"]
