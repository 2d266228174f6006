"""A server is shown as its domain is: by surveys, and by events at once."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.db.models import Fault, Hypervisor, Run
from app.db.models.base import now
from app.services.drift import take_survey
from tasks.messages import DomainState
from tests.rows import add_host
from tests.services.drift.scene import MINUTE, SETTINGS, Scene, stranger, thing, whole

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


def test_event_of_before_the_runs_end_was_the_runs_own_doing(scene: Scene) -> None:
    """A hard reboot's power cut that is heard of late is not its guest's end."""
    server = scene.server()
    with scene.sessions.begin() as session:
        session.scalars(select(Run)).one().finished_at = now() - timedelta(seconds=60)

    scene.tell(server, "shutoff", at=(now() - timedelta(seconds=61)).timestamp())
    assert scene.shown(server)[0] == "ACTIVE"

    scene.tell(server, "shutoff", at=(now() - timedelta(seconds=59)).timestamp())
    assert scene.shown(server)[0] == "SHUTOFF"
