"""The same pipeline over RabbitMQ: nothing of it may depend on Redis."""

from collections.abc import Iterator

import pytest
from sqlalchemy import update

from app.db.models import Base, Hypervisor
from app.db.session import make_engine, make_sessions
from app.runs.publish import CeleryPublisher
from config.celery import make_celery
from tasks.pipelines import COMPUTE_STAGES
from tests.brokers import RabbitServer
from tests.pipeline.conftest import Plane
from tests.processes import SECRET_KEY, Byre, wait_until
from tests.rows import make_settings, make_world


@pytest.fixture(scope="module")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """A control plane on SQLite and RabbitMQ."""
    directory = tmp_path_factory.mktemp("rabbit")
    url = f"sqlite:///{directory}/byre.db"
    engine = make_engine(url)
    Base.metadata.create_all(engine)
    sessions = make_sessions(engine)
    broker = RabbitServer(directory)
    byre = Byre(directory, url, broker)
    settings = make_settings(broker_url=broker.url, secret_key=SECRET_KEY)
    celery = make_celery(settings, "api", COMPUTE_STAGES)
    publisher = CeleryPublisher(celery, sessions, settings)
    try:
        broker.start()
        byre.start_control(api=False)
        yield Plane(byre, sessions, settings, make_world(sessions), publisher)
    finally:
        celery.close()
        byre.stop()
        broker.stop()
        engine.dispose()


def test_server_is_built_and_deleted(rabbit: Plane) -> None:
    rabbit.byre.start_compute("h1")
    wait_until(lambda: rabbit.alive("h1"), "host h1", 30)

    run = rabbit.ended(rabbit.create(), limit_s=40)
    assert (run.state, rabbit.server(run.server_id).status) == ("done", "ACTIVE")

    assert rabbit.ended(rabbit.delete(run.server_id), limit_s=40).state == "done"
    assert rabbit.held(run.server_id) == (0, 0)


def test_killed_worker_goes_on_where_it_stood(rabbit: Plane) -> None:
    worker = rabbit.byre.start_compute("h2", BYRE_FAKE_BOOT_S="4", BYRE_FAKE_VCPUS="1000")
    wait_until(lambda: rabbit.alive("h2"), "host h2", 30)
    with rabbit.sessions.begin() as session:
        session.execute(update(Hypervisor).where(Hypervisor.name == "h1").values(enabled=False))
    run = rabbit.create()
    wait_until(lambda: rabbit.stage(run, "poll_boot").state == "running", "poll_boot", 30)

    worker.kill()
    worker.start()

    ended = rabbit.ended(run, limit_s=60)
    assert ended.state == "done"
    assert rabbit.attempts(run)[0] == ("h2", "resumed", "worker_ended")


def test_broker_that_restarts_loses_no_server(rabbit: Plane) -> None:
    rabbit.byre.start_compute("h3")
    wait_until(lambda: rabbit.alive("h3"), "host h3", 30)
    broker = rabbit.byre.broker
    broker.stop()
    run = rabbit.create()
    assert rabbit.run(run.id).published_at is None

    broker.start()

    assert rabbit.ended(run, limit_s=90).state == "done"
