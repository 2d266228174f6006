"""What the pipeline looks at once more before it builds."""

import pytest

from app.db.models import RequestSpec, Run, Server
from app.db.session import Sessions
from app.runs.envelope import job_of
from app.runs.start import Asker, request_delete
from app.services import placement, validation
from tasks.errors import StaleMessage
from tests.rows import add_server, make_settings, make_world

SETTINGS = make_settings()


def test_server_that_was_deleted_meanwhile_is_no_error(sessions: Sessions) -> None:
    world = make_world(sessions)
    with sessions.begin() as session:
        server_id = add_server(session, world, SETTINGS).server_id
    with sessions.begin() as session:
        server = session.get_one(Server, server_id)
        asker = Asker("req-1", world.user_id)
        (run,) = request_delete(session, server, asker=asker, settings=SETTINGS)
        run_id = run.id
    with sessions() as session:
        job = job_of(session, session.get_one(Run, run_id), session.get_one(Server, server_id))
    placement.forget(sessions, job)

    with pytest.raises(StaleMessage, match="deleted meanwhile"):
        validation.check(sessions, server_id)

    with sessions() as session:
        assert session.get(RequestSpec, server_id) is None
