"""SIGKILL of the worker that runs a stage, with all its processes: before the stage's effect, in
its middle, after it, and when the next link has been sent but this one is not acknowledged."""

import pytest

from tasks.pipelines import Side, Stage
from tests.crash.cases import Case, Journey, Outcome, described, finish, meant, stages
from tests.crash.lane import Lane

POINTS = ("before", "inside", "after", "handed_over")

#: Stages that do more than one thing to a host have a middle after each of them.
MORE_POINTS = {
    "build_resources": ("inside-2", "inside-3", "inside-4"),
    "poll_boot": ("waiting",),
    "teardown": ("inside-2", "inside-3"),
    "unwind": ("inside-2", "inside-3"),
}


def kill(lane: Lane, case: Case, outcome: Outcome) -> None:
    """Kill the worker at the case's point."""
    journey = Journey(lane, case, "kill")
    journey.begin()
    hit = journey.struck()
    outcome.hit = described(hit)
    meant(case, hit)
    program = lane.death_after(hit.at)
    assert program.startswith("compute-") == (case.side() is Side.COMPUTE), program
    finish(journey, outcome, hit.at)
    if case.point not in {"handed_over", "waiting"}:
        assert journey.attempts() > 1, "nobody went on with it, and yet it ended"


def points(pipeline: str, stage: Stage) -> list[str]:
    """Return the points of a stage at which its worker is killed."""
    more = MORE_POINTS.get(stage.name, ()) if pipeline != "purge" else ()
    return [*POINTS, *more]


CASES = [
    Case("worker killed", pipeline, stage.name, point, kill)
    for pipeline, stage in stages()
    for point in points(pipeline, stage)
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_killed_worker_costs_seconds_and_leaves_nothing(case: Case, outcome: Outcome) -> None:
    outcome.check()
