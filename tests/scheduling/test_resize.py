"""What a server that is being resized holds: both of its sizes, until one is settled. The fixture
`sessions` gives each test both databases."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select

from app.db.models import Hypervisor, Migration, Run, Server
from app.db.models.base import now
from app.db.repo import quota, runs
from app.db.session import Sessions
from app.runs.checkpoint import end, fail
from app.runs.confirming import confirm_overdue
from app.runs.envelope import job_of
from app.services import resizing
from app.services.context import Context
from app.services.placement import place
from tasks.errors import HostError, NoValidHost
from tasks.messages import Failure, StageReport
from tasks.pipelines import CONFIRM_RESIZE, CREATE, RESIZE, REVERT_RESIZE, UNDO_RESIZE
from tests.publishers import UnheardPublisher
from tests.rows import World, add_flavor, add_host, caller_of, make_settings, make_world
from tests.scheduling.test_claim import SETTINGS, start

WINDOW = make_settings(resize_confirm_window_s=60.0)


def context(sessions: Sessions) -> Context:
    return Context(sessions, SETTINGS, UnheardPublisher())


def active(sessions: Sessions, world: World, **facts: object) -> str:
    """Return the id of a server that is up."""
    job = start(sessions, world, **facts)
    place(sessions, SETTINGS, job)
    finish(sessions, job.server_id, CREATE)
    with sessions.begin() as session:
        server = session.get_one(Server, job.server_id)
        server.status, server.vm_state, server.task_state = "ACTIVE", "active", None
    return job.server_id


def finish(sessions: Sessions, server_id: str, pipeline: str) -> None:
    """Let the server's run of the pipeline come to its end."""
    with sessions.begin() as session:
        run = session.query(Run).filter_by(server_id=server_id, pipeline=pipeline).one()
        runs.cancel_open_stages(session, run, now())
        end(session, run, "done", now())


def settle(sessions: Sessions, server_id: str, pipeline: str) -> None:
    """Run the last stage of the pipeline."""
    with sessions() as session:
        run = session.query(Run).filter_by(server_id=server_id, pipeline=pipeline).one()
        job = job_of(session, run, session.get_one(Server, server_id))
    resizing.settle(sessions, SETTINGS, job)


def to_verify(sessions: Sessions, server_id: str, flavor_id: str, world: World) -> None:
    resizing.resize(context(sessions), caller_of(world), server_id, flavor_id)
    finish(sessions, server_id, RESIZE)
    with sessions.begin() as session:
        server = session.get_one(Server, server_id)
        server.vm_state, server.task_state, server.power_state = "resized", None, 1
        migration = session.scalars(select(Migration).filter_by(server_id=server_id)).one()
        migration.status, migration.waits_since = "finished", now()


def held(sessions: Sessions, host: str) -> tuple[int, int, int, int]:
    with sessions() as session:
        row = session.get_one(Hypervisor, host)
        return (
            row.vcpus_used,
            row.dedicated_vcpus_used,
            row.memory_mib_used,
            row.disk_gib_used,
        )


@pytest.mark.parametrize(
    ("flavor", "both", "after"),
    [
        ({}, (2, 0, 512, 3), (2, 0, 512, 2)),
        # What becomes less of is not given away before it is settled.
        ({"vcpus": 1, "memory_mib": 128, "root_gib": 1}, (1, 0, 256, 2), (1, 0, 128, 1)),
        (
            {"extra_specs": {"hw:cpu_policy": "dedicated"}, "swap_mib": 1},
            (1, 2, 512, 4),
            (0, 2, 512, 3),
        ),
    ],
)
def test_both_are_held_until_one_is_settled(
    sessions: Sessions,
    flavor: dict[str, object],
    both: tuple[int, ...],
    after: tuple[int, ...],
) -> None:
    world, host = make_world(sessions), add_host(sessions, "one", dedicated_vcpus=2)
    before = (1, 0, 256, 1)
    for end_of, wanted in ((resizing.revert, before), (resizing.confirm, after)):
        server_id = active(sessions, world)
        assert held(sessions, host) == before
        to_verify(sessions, server_id, add_flavor(sessions, **flavor), world)
        assert held(sessions, host) == both

        end_of(context(sessions), caller_of(world), server_id)
        pipeline = REVERT_RESIZE if end_of is resizing.revert else CONFIRM_RESIZE
        settle(sessions, server_id, pipeline)

        assert held(sessions, host) == wanted
        with sessions.begin() as session:
            assert quota.usage(session, world.project_id).memory_mib == wanted[2]
            # Leave the host as it was for the second round.
            session.get_one(Server, server_id).deleted_at = now()
            row = session.get_one(Hypervisor, host)
            row.vcpus_used = row.dedicated_vcpus_used = row.memory_mib_used = row.disk_gib_used = 0


def test_parallel_resizes_never_claim_the_same_room(sessions: Sessions) -> None:
    world = make_world(sessions)
    host = add_host(sessions, "one", memory_mib=2048)
    servers = [active(sessions, world) for _ in range(4)]
    flavor = add_flavor(sessions, vcpus=1, memory_mib=768, root_gib=1)

    def ask(server_id: str) -> bool:
        try:
            resizing.resize(context(sessions), caller_of(world), server_id, flavor)
        except NoValidHost:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        done = list(threads.map(ask, servers))

    assert done.count(True) == 2
    assert held(sessions, host)[2] == 4 * 256 + 2 * 512


def test_failed_resize_is_undone_and_gives_its_room_back(sessions: Sessions) -> None:
    world, host = make_world(sessions), add_host(sessions, "one")
    server_id = active(sessions, world)
    resizing.resize(context(sessions), caller_of(world), server_id, add_flavor(sessions))
    with sessions.begin() as session:
        run = session.query(Run).filter_by(server_id=server_id, pipeline=RESIZE).one()
        [undo] = fail(session, SETTINGS, failure_of(session.get_one(Server, server_id), run))
        undoing = session.get_one(Run, undo)
        assert (undoing.pipeline, undoing.request_id) == (UNDO_RESIZE, run.request_id)
        server = session.get_one(Server, server_id)
        assert (server.status, server.task_state) == ("RESIZE", "resize_reverting")

    settle(sessions, server_id, UNDO_RESIZE)

    assert held(sessions, host) == (1, 0, 256, 1)
    with sessions() as session:
        migration = session.scalars(select(Migration)).one()
        assert (migration.status, migration.settled_at is not None) == ("error", True)


def failure_of(server: Server, run: Run) -> StageReport:
    error = HostError("The hypervisor says no.")
    moment = now().timestamp()
    job = {
        "pipeline": run.pipeline,
        "run_id": run.id,
        "attempt": 1,
        "server_id": server.id,
        "project_id": server.project_id,
        "request_id": run.request_id,
        "deadline": moment + 60,
    }
    return StageReport.parse(
        {
            "job": job,
            "stage": "reshape",
            "event": "failed",
            "worker": "w",
            "started_at": moment,
            "at": moment,
            "failure": Failure(code=error.code, fault="host", public=error.public).model_dump(),
        }
    )


@pytest.mark.parametrize(("waits_s", "begun"), [(61, True), (50, False)])
def test_resize_confirms_itself_after_its_window(
    sessions: Sessions, waits_s: int, begun: bool
) -> None:
    world = make_world(sessions)
    add_host(sessions, "one")
    server_id = active(sessions, world)
    to_verify(sessions, server_id, add_flavor(sessions), world)
    moment = now() + timedelta(seconds=waits_s)

    for settings in (SETTINGS, WINDOW, WINDOW):
        confirm_overdue(sessions, UnheardPublisher(), settings, moment)

    with sessions() as session:
        found = session.query(Run).filter_by(server_id=server_id, pipeline=CONFIRM_RESIZE).count()
        assert found == int(begun)
