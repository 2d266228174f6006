"""A host that is gone for good: what becomes of its servers and of what was owed on it."""

import pytest
from sqlalchemy import select

from app.db.models import Allocation, Hypervisor, Port, Run, Server
from app.db.models.base import now
from app.db.session import Sessions
from app.runs.checkpoint import end
from app.runs.envelope import job_of
from app.runs.start import owe_unwind
from app.services.context import Context
from app.services.placement import place
from app.services.retiring import forget
from tasks.errors import Conflict, NotFound
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


def test_unknown_host(sessions: Sessions) -> None:
    with pytest.raises(NotFound, match="No hypervisor is named h"):
        forget(Context(sessions, SETTINGS, Outbox()), "h")
