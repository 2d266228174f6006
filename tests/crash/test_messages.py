"""Messages that come twice, that come late, and that do not come until their run has moved on."""

import time

import pytest

from tasks.pipelines import CREATE, DELETE, HARD_REBOOT, REBOOT, UNWIND, Side, Stage
from tests.crash import checks
from tests.crash.cases import Case, Journey, Outcome, described, finish, meant, stages
from tests.crash.lane import Lane


def delay_past_the_lease(lane: Lane, case: Case, outcome: Outcome) -> None:
    """Keep a message back until the run has ended without it; then deliver it."""
    journey = Journey(lane, case, "withhold")
    journey.begin()
    hit = journey.struck()
    outcome.hit = described(hit)
    meant(case, hit)
    finish(journey, outcome, hit.at)
    if case.point == "message":
        assert journey.attempts() > 1, "nobody went on with it, and yet it ended"
    assert hit.message is not None
    deliver_late(lane, [(hit.queue, hit.message)], outcome)


def deliver_late(lane: Lane, messages: list[tuple[str, object]], outcome: Outcome) -> None:
    """Deliver messages whose time is over; nothing may change by them."""
    checks.calm(lane)
    before = checks.snapshot(lane)
    for queue, message in messages:
        assert isinstance(message, dict)
        lane.box.put(queue, message)
    checks.calm(lane)
    after = checks.snapshot(lane)
    for kind in before:
        news = [row for row in after[kind] if row not in before[kind]]
        gone = [row for row in before[kind] if row not in after[kind]]
        outcome.lost += [f"late messages changed {kind}: {gone} to {news}"] if news or gone else []


def deliver_all_late(lane: Lane, case: Case, outcome: Outcome) -> None:
    """Copy every message of a pipeline, and deliver all of them again when it has ended."""
    lane.mail.set_recording(on=True)
    try:
        since = time.time()
        journey = Journey(lane, case, "hold", stage="nowhere")
        journey.begin()
        finish(journey, outcome, since)
        checks.calm(lane)
        copies = [copy for copy in lane.mail.copies() if copy[0] != "pulse"]
    finally:
        lane.mail.set_recording(on=False)
    outcome.hit = f"{len(copies)} messages"
    assert {queue.partition(".")[0] for queue, _ in copies} == {"control", "compute"}
    deliver_late(lane, list(copies), outcome)


def send_all_twice(lane: Lane, case: Case, outcome: Outcome) -> None:
    """Have every process put every message into its queue twice."""
    lane.mail.set_twice(on=True)
    lane.mail.set_recording(on=True)
    try:
        since = time.time()
        journey = Journey(lane, case, "hold", stage="nowhere")
        journey.begin()
        finish(journey, outcome, since)
        checks.calm(lane)
        outcome.lost += checks.wrong_with_story(lane, journey.run_of(case.pipeline))
        outcome.hit = f"{len(lane.mail.copies())} messages"
    finally:
        lane.mail.set_twice(on=False)
        lane.mail.set_recording(on=False)


def late_points(stage: Stage) -> list[str]:
    """Return the messages of a stage that may be late: its own, and what its host tells of it."""
    return (
        ["message", "report-began", "report-finished"]
        if stage.side is Side.COMPUTE
        else ["message"]
    )


WAYS = (CREATE, DELETE, UNWIND, REBOOT, HARD_REBOOT)
CASES = [
    *(
        Case("message late", pipeline, stage.name, point, delay_past_the_lease)
        for pipeline, stage in stages(*WAYS)
        for point in late_points(stage)
    ),
    *(Case("all messages late", pipeline, "", "", deliver_all_late) for pipeline in WAYS),
    *(Case("all messages twice", pipeline, "", "", send_all_twice) for pipeline in WAYS),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_messages_twice_or_late_change_nothing(case: Case, outcome: Outcome) -> None:
    outcome.check()
