"""The API is killed around a request's commit; the clock is killed, or there are two of it."""

import time
from typing import Any

import pytest
import requests
from sqlalchemy import select

from app.db.models import Server
from app.db.session import reading
from tasks.pipelines import CREATE, DELETE
from tests.crash.cases import Case, Journey, Outcome, described, finish, meant
from tests.crash.entry_api import STAGE
from tests.crash.faults import Fault
from tests.crash.lane import Lane
from tests.processes import wait_until


def kill_api_in_create(lane: Lane, case: Case, outcome: Outcome) -> None:
    """What was not committed never was, and can be asked for again; what was, comes to be."""
    fault = lane.arm(Fault(CREATE, STAGE, case.point))
    name = f"web-{fault.name[:8]}"
    assert _post(lane, name) is None, "the API answered, though it was killed"
    since = _struck(lane, case, fault, outcome)
    wait_until(lambda: _api_answers(lane), "the API", 20)
    if case.point == "inside":
        assert _server_named(lane, name) is None
        assert _post(lane, name) == 202
    server_id = _server_named(lane, name)
    assert server_id is not None
    lane.servers_of_case.append(server_id)
    run = lane.plane.ended(lane.plane.runs(server_id, CREATE)[0], case.bound_s)
    outcome.recovery_s = time.time() - since
    outcome.lost += [] if run.state == "done" else [f"create {run.state}: {run.reason}"]


def kill_api_in_delete(lane: Lane, case: Case, outcome: Outcome) -> None:
    """The same with a delete."""
    run = lane.plane.ended(lane.plane.create())
    lane.servers_of_case.append(run.server_id)
    fault = lane.arm(Fault(DELETE, STAGE, case.point))
    assert _delete(lane, run.server_id) is None, "the API answered, though it was killed"
    since = _struck(lane, case, fault, outcome)
    if case.point == "inside":
        wait_until(lambda: _api_answers(lane), "the API", 20)
        assert lane.plane.runs(run.server_id, DELETE) == []
        assert _delete(lane, run.server_id) == 204
    (removal,) = lane.plane.runs(run.server_id, DELETE)
    ended = lane.plane.ended(removal, case.bound_s)
    outcome.recovery_s = time.time() - since
    outcome.lost += [] if ended.state == "done" else [f"delete {ended.state}"]


def kill_beat(lane: Lane, case: Case, outcome: Outcome) -> None:
    """The clock dies when a message is lost, which only its ticks bring to light."""
    journey = Journey(lane, case, "withhold")
    journey.begin()
    hit = journey.struck()
    outcome.hit = described(hit)
    meant(case, hit)
    lane.byre.fork("beat").kill()
    lane.death_after(hit.at)
    finish(journey, outcome, hit.at)


def two_beats(lane: Lane, case: Case, outcome: Outcome) -> None:
    """Two clocks find the same lost message; it is gone on with once."""
    second = lane.byre.start_second_beat()
    try:
        journey = Journey(lane, case, "withhold")
        journey.begin()
        hit = journey.struck()
        outcome.hit = described(hit)
        meant(case, hit)
        finish(journey, outcome, hit.at)
        assert journey.attempts() == 2
    finally:
        lane.byre.programs.pop("beat-2")
        second.stop()


def _struck(lane: Lane, case: Case, fault: Fault, outcome: Outcome) -> float:
    hit = lane.struck(fault)
    outcome.hit = described(hit)
    meant(case, hit)
    assert lane.death_after(hit.at) == "api"
    return hit.at


def _request(lane: Lane, method: str, path: str, **more: Any) -> int | None:
    """Return the answer's status; None if the connection ended without one."""
    headers = {"X-Auth-Token": lane.token}
    url = f"{lane.byre.api_url}/compute/v2.1{path}"
    try:
        return requests.request(method, url, headers=headers, timeout=20, **more).status_code
    except requests.ConnectionError:
        return None


def _post(lane: Lane, name: str) -> int | None:
    world = lane.plane.world
    server = {"name": name, "imageRef": world.image_id, "flavorRef": world.flavor_id}
    return _request(lane, "POST", "/servers", json={"server": server})


def _delete(lane: Lane, server_id: str) -> int | None:
    return _request(lane, "DELETE", f"/servers/{server_id}")


def _api_answers(lane: Lane) -> bool:
    return _request(lane, "GET", "/servers") == 200


def _server_named(lane: Lane, name: str) -> str | None:
    with reading(lane.plane.sessions) as session:
        return session.scalars(select(Server.id).where(Server.name == name)).one_or_none()


POINTS = ("inside", "after", "handed_over")
CASES = [
    *(Case("API killed", CREATE, STAGE, point, kill_api_in_create) for point in POINTS),
    *(Case("API killed", DELETE, STAGE, point, kill_api_in_delete) for point in POINTS),
    Case("beat killed", CREATE, "define_domain", "message", kill_beat),
    Case("beat killed", DELETE, "teardown", "message", kill_beat),
    Case("two beats", CREATE, "launch", "message", two_beats),
    Case("two beats", DELETE, "forget", "message", two_beats),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_request_that_was_accepted_is_carried_out(case: Case, outcome: Outcome) -> None:
    outcome.check()
