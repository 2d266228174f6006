"""What the control plane stands on goes away while a stage is under way: Redis is restarted empty
or emptied, PostgreSQL ends without a word and starts again."""

import time
from collections.abc import Callable

import pytest

from tests.crash.cases import Case, Journey, Outcome, described, finish, meant, stages_around
from tests.crash.lane import Lane


def restart_redis(lane: Lane) -> None:
    """End Redis at once; it keeps nothing."""
    lane.byre.broker.program.kill()
    time.sleep(0.3)
    lane.byre.broker.start()


def empty_redis(lane: Lane) -> None:
    """Throw all messages away."""
    lane.box.empty()


def restart_postgres(lane: Lane) -> None:
    """End PostgreSQL as by a power cut, and start it."""
    assert lane.postgres is not None
    lane.postgres.restart()


def during(disturb: Callable[[Lane], None]) -> Callable[[Lane, Case, Outcome], None]:
    """Return what holds a stage in its middle while something happens."""

    def run(lane: Lane, case: Case, outcome: Outcome) -> None:
        journey = Journey(lane, case, "hold")
        journey.begin()
        hit = journey.struck()
        outcome.hit = described(hit)
        meant(case, hit)
        since = time.time()
        disturb(lane)
        lane.faults.release(journey.fault)
        finish(journey, outcome, since)

    return run


CASES = [
    *(
        Case("Redis restarted empty", pipeline, stage.name, "inside", during(restart_redis))
        for pipeline, stage in stages_around()
    ),
    *(
        Case("Redis emptied", pipeline, stage.name, "inside", during(empty_redis))
        for pipeline, stage in stages_around()
    ),
    *(
        Case(
            "PostgreSQL restarted",
            pipeline,
            stage.name,
            "inside",
            during(restart_postgres),
            needs_postgres=True,
        )
        for pipeline, stage in stages_around()
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_lost_broker_or_database_costs_seconds_and_leaves_nothing(
    case: Case, outcome: Outcome
) -> None:
    outcome.check()
