"""A host that is gone for good: what becomes of its servers and of what was owed on it."""

import pytest
from sqlalchemy import select

from app.db.models import Allocation, Hypervisor, Image, Port, RequestSpec, Run, Server
from app.db.models.base import now
from app.db.session import Sessions
from app.runs.checkpoint import end
from app.runs.envelope import job_of
from app.runs.sizes import Size
from app.runs.start import owe_unwind
from app.services import moving
from app.services.context import Caller, Context
from app.services.moving import Wish
from app.services.placement import place
from app.services.retiring import forget
from tasks.errors import Conflict, NotFound
from tasks.messages import Job
from tasks.pipelines import EVACUATE, MIGRATE, UNDO_RESIZE
from tests.rows import add_host, add_server, make_settings, make_world
from tests.runs.test_sweep import Outbox

SETTINGS = make_settings(host_reserved_memory_mib=0)


def placed(sessions: Sessions, *, fails: bool = False) -> str:
    """Place a server; its create then ends well, or fails and owes an undo. Returns its id."""
    world = make_world(sessions)
    with sessions.begin() as session:
        run = add_server(session, world, SETTINGS)
        job = job_of(session, run, session.get_one(Server, run.server_id))
    place(sessions, SETTINGS, job)
    with sessions.begin() as session:
        run = session.get_one(Run, run.id)
        if fails:
            owe_unwind(session, run, SETTINGS)
            session.get_one(Server, run.server_id).hypervisor_id = None
        end(session, run, "failed" if fails else "done", now())
    return run.server_id


def test_its_servers_end_in_error_and_nothing_is_held_or_owed(sessions: Sessions) -> None:
    host = add_host(sessions, "h")
    kept, failed = placed(sessions), placed(sessions, fails=True)
    with sessions.begin() as session:
        session.get_one(Hypervisor, host).lost_at = now()

    gone = forget(Context(sessions, SETTINGS, Outbox()), "h")

    assert (gone.servers, gone.owed) == (1, 1)
    with sessions() as session:
        server = session.get_one(Server, kept)
        assert server.fault is not None
        assert (server.status, server.fault.reason) == ("ERROR", "host_forgotten")
        assert session.get_one(Server, failed).hypervisor_id is None
        assert set(session.scalars(select(Run.state))) == {"done", "failed", "cancelled"}
        for kind in (Hypervisor, Allocation, Port):
            assert session.scalars(select(kind)).all() == []


def test_host_that_is_heard_of_is_not_forgotten(sessions: Sessions) -> None:
    add_host(sessions, "h")

    with pytest.raises(Conflict, match="h was heard of at"):
        forget(Context(sessions, SETTINGS, Outbox()), "h")


def test_host_to_which_work_is_on_its_way_is_not_forgotten_yet(sessions: Sessions) -> None:
    host = add_host(sessions, "h", lost_at=None)
    world = make_world(sessions)
    with sessions.begin() as session:
        run = add_server(session, world, SETTINGS)
        job = job_of(session, run, session.get_one(Server, run.server_id))
    place(sessions, SETTINGS, job)
    with sessions.begin() as session:
        session.get_one(Hypervisor, host).lost_at = now()

    with pytest.raises(Conflict, match="still leaving h"):
        forget(Context(sessions, SETTINGS, Outbox()), "h")


def leaving(sessions: Sessions, pipeline: str) -> tuple[str, Job]:
    """Have a server that is to go from h1 to h2; return its id, and the job of that."""
    add_host(sessions, "h1", memory_mib=65536)
    server_id = placed(sessions)
    add_host(sessions, "h2")
    context = Context(sessions, SETTINGS, Outbox())
    with sessions.begin() as session:
        server = session.get_one(Server, server_id)
        size = Size.of_server(server, session.get_one(RequestSpec, server_id))
        who = Caller("u", "u", server.project_id, "p", ("admin",), "req-1")
        run = moving.begin(session, context, who, server, Wish("migration", pipeline, size))
        for image in session.scalars(select(Image).where(Image.hidden.is_(True))):
            image.status, image.sha256, image.size_bytes = "active", "0" * 64, 1
        return server_id, job_of(session, run, server)


def lose(sessions: Sessions, name: str) -> None:
    with sessions.begin() as session:
        session.scalars(select(Hypervisor).filter_by(name=name)).one().lost_at = now()


def test_server_that_moved_there_goes_back(sessions: Sessions) -> None:
    server_id, job = leaving(sessions, MIGRATE)
    moving.move(sessions, SETTINGS, job)
    with sessions.begin() as session:
        end(session, session.get_one(Run, job.run_id), "done", now())
    lose(sessions, "h2")
    outbox = Outbox()

    gone = forget(Context(sessions, SETTINGS, outbox), "h2")

    assert gone.servers == 0
    with sessions() as session:
        server = session.get_one(Server, server_id)
        assert server.hypervisor is not None
        assert (server.hypervisor.name, server.fault) == ("h1", None)
        [back] = session.scalars(select(Run).filter_by(pipeline=UNDO_RESIZE))
        assert (back.hypervisor_id, outbox.sent) == (server.hypervisor_id, [back.id])
        [held] = session.scalars(select(Allocation))
        assert held.hypervisor_id == server.hypervisor_id
        assert session.scalars(select(Port)).all() != []


@pytest.mark.parametrize("pipeline", [MIGRATE, EVACUATE])
def test_host_to_which_a_server_may_have_to_come_back_is_not_forgotten_yet(
    sessions: Sessions, pipeline: str
) -> None:
    _, job = leaving(sessions, pipeline)
    with sessions.begin() as session:
        moving.arrived(session, SETTINGS, job)
    lose(sessions, "h1")
    context = Context(sessions, SETTINGS, Outbox())
    with pytest.raises(Conflict, match="still moving from h1"):
        forget(context, "h1")

    with sessions.begin() as session:
        end(session, session.get_one(Run, job.run_id), "done", now())
    assert forget(context, "h1").servers == 0


def test_unknown_host(sessions: Sessions) -> None:
    with pytest.raises(NotFound, match="No hypervisor is named h"):
        forget(Context(sessions, SETTINGS, Outbox()), "h")
