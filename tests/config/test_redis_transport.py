"""What becomes of a busy worker's connection when Redis goes away."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from kombu import Consumer, Message, Queue

from config.celery import make_celery
from config.redis_transport import Transport
from config.settings import CommonSettings
from tests.processes import RedisServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that a test may end."""
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.stop()


def connect(server: RedisServer) -> Any:
    """Return a connection as a worker has it."""
    settings = CommonSettings.model_validate({"broker_url": server.url})
    return make_celery(settings, "control", []).connection_for_read()


def take_one(connection: Any) -> Message:
    """Take a message without acknowledging it, and leave a read open on each of two channels: a
    worker has one for tasks and one for remote control."""
    taken: list[Message] = []
    tasks = Consumer(connection.default_channel, [Queue("tasks")])
    tasks.register_callback(lambda _, message: taken.append(message))
    tasks.consume()
    control = Consumer(connection.channel(), [Queue("control")], callbacks=[print])
    control.consume()
    for _ in range(100):
        with suppress(TimeoutError):
            connection.drain_events(timeout=0.1)
        if taken:
            break
    with suppress(TimeoutError):
        connection.drain_events(timeout=0.1)
    return taken[0]


def test_connection_with_a_message_in_hand_closes_when_redis_is_gone(server: RedisServer) -> None:
    connection = connect(server)
    assert isinstance(connection.transport, Transport)
    connection.SimpleQueue("tasks").put("work")
    take_one(connection)
    server.stop()

    # As celery.worker.consumer does; what it raised here ended the worker.
    connection.collect(socket_timeout=1.0)
    connection.release()

    assert not connection.connected


def test_message_in_hand_is_given_back_while_redis_is_there(server: RedisServer) -> None:
    connection = connect(server)
    connection.SimpleQueue("tasks").put("work")
    take_one(connection)

    connection.release()

    with connect(server) as other:
        assert other.SimpleQueue("tasks").get(timeout=5).payload == "work"


def test_work_that_ends_after_its_connection_is_acknowledged_in_vain(server: RedisServer) -> None:
    """As a thread of a worker does, which was not stopped; what it raised here ended the worker."""
    connection = connect(server)
    connection.SimpleQueue("tasks").put("work")
    message = take_one(connection)
    server.stop()
    connection.collect(socket_timeout=1.0)
    connection.release()

    with pytest.raises(connection.connection_errors):
        message.ack()


def test_producer_whose_channel_was_closed_beneath_it_gets_another(server: RedisServer) -> None:
    connection = connect(server)
    producer = connection.Producer()
    producer.publish("first", routing_key="tasks", declare=[Queue("tasks")])
    producer.channel.close()

    producer.publish("second", routing_key="tasks", retry=True)

    with connect(server) as other:
        queue = other.SimpleQueue("tasks")
        assert [queue.get(timeout=5).payload for _ in range(2)] == ["first", "second"]
