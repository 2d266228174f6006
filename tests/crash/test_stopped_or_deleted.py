"""An operator stops everything, or an owner deletes the server, while a stage is under way."""

import threading
import time

import pytest

from app.db.models import Run
from tasks.pipelines import CREATE, DELETE, REBOOT, UNWIND
from tests.crash.cases import (
    Case,
    Journey,
    Outcome,
    described,
    finish,
    meant,
    stages,
    stages_around,
)
from tests.crash.lane import Lane

#: Seconds in which a process that is told to end must end (config.celery gives its work ten).
STOP_LIMIT_S = 20.0


def stop_everything(lane: Lane, case: Case, outcome: Outcome) -> None:
    """SIGTERM to every process in the middle of the stage; later they are started again."""
    journey = Journey(lane, case, "hold")
    journey.begin()
    hit = journey.struck()
    outcome.hit = described(hit)
    meant(case, hit)
    names = list(lane.byre.programs)
    programs = [lane.byre.fork(name) for name in names]
    lane.supervisor.rest(*names)
    for program in programs:
        program.ask_to_end()
    time.sleep(0.3)
    lane.faults.release(journey.fault)
    stuck = [program.name for program in programs if not program.wait(STOP_LIMIT_S)]
    since = time.time()
    for program in programs:
        program.kill()
    lane.supervisor.look_after(*names)
    assert not stuck, f"did not stop within {STOP_LIMIT_S:.0f} s: {stuck}"
    finish(journey, outcome, since)


def delete_meanwhile(lane: Lane, case: Case, outcome: Outcome) -> None:
    """Delete the server while the stage is held."""
    journey = Journey(lane, case, "hold")
    journey.begin()
    hit = journey.struck()
    outcome.hit = described(hit)
    meant(case, hit)
    since = time.time()
    delete = threading.Thread(target=lane.plane.delete, args=(journey.server_id,))
    delete.start()
    # The request waits for the stage's transaction where there is one; else it is committed.
    delete.join(0.3)
    lane.faults.release(journey.fault)
    delete.join(20)
    lane.plane.ended(journey.run_of(DELETE), case.bound_s)
    lane.plane.settled(journey.server_id, case.bound_s)
    outcome.recovery_s = time.time() - since
    status = lane.plane.server(journey.server_id).status
    outcome.lost += [] if status == "DELETED" else [f"it is {status}"]
    if case.pipeline == CREATE:
        created: Run = journey.run_of(CREATE)
        outcome.lost += [] if created.state == "cancelled" else [f"its create is {created.state}"]


CASES = [
    *(
        Case("everything stopped", pipeline, stage.name, "inside", stop_everything)
        for pipeline, stage in stages_around()
    ),
    *(
        Case("deleted meanwhile", pipeline, stage.name, point, delete_meanwhile)
        for pipeline, stage in stages(CREATE, UNWIND, REBOOT)
        for point in ("before", "inside")
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_stop_or_delete_at_any_moment_ends_clean(case: Case, outcome: Outcome) -> None:
    outcome.check()
