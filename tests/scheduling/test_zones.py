"""A server and a change of its host's zone that come at the same moment: one of them is refused."""

import threading
from concurrent.futures import ThreadPoolExecutor

from app.db.models import RequestSpec
from app.db.session import Sessions
from app.services import aggregates
from app.services.context import Context
from app.services.placement import place
from tasks.errors import Conflict, NoValidHost
from tasks.messages import Job
from tests.http.cases import Recorder
from tests.rows import World, add_host, add_server, make_settings, make_world

SETTINGS = make_settings(host_reserved_memory_mib=0)


def start(sessions: Sessions, world: World, zone: str) -> Job:
    with sessions.begin() as session:
        run = add_server(session, world, SETTINGS)
        session.get_one(RequestSpec, run.server_id).availability_zone = zone
        return Job(
            pipeline="create",
            run_id=run.id,
            attempt=1,
            server_id=run.server_id,
            project_id=world.project_id,
            request_id=run.request_id,
            deadline=run.deadline.timestamp(),
        )


def test_a_server_is_not_placed_on_a_host_that_leaves_its_zone(sessions: Sessions) -> None:
    add_host(sessions, "one")
    job = start(sessions, make_world(sessions), "nova")
    context = Context(sessions, SETTINGS, Recorder())
    number = aggregates.create(context, "rack", "east").number
    barrier = threading.Barrier(2)

    def placed() -> bool:
        barrier.wait(10)
        try:
            return place(sessions, SETTINGS, job).host == "one"
        except NoValidHost:
            return False

    def moved() -> bool:
        barrier.wait(10)
        try:
            aggregates.add_host(context, number, "one")
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.submit(placed), pool.submit(moved)
        assert first.result(20) is not second.result(20)
