"""A worker that takes nothing although messages wait is noticed, and no other."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from celery.signals import task_received

from config.celery import make_celery
from config.queues import compute_queue
from config.settings import ComputeSettings
from tasks.pipelines import COMPUTE_STAGES
from tests.processes import RedisServer
from workers.watchdog import PATIENCE, Watchdog

QUEUE = compute_queue("h")


class Slots:
    """Whether the worker has a slot free."""

    free = True


@pytest.fixture
def celery(tmp_path: Path) -> Iterator[Celery]:
    """A worker's application that never consumes, on a real broker."""
    broker = RedisServer(tmp_path)
    broker.start()
    settings = ComputeSettings.model_validate({"broker_url": broker.url, "host": "h"})
    celery = make_celery(settings, "compute", COMPUTE_STAGES)
    try:
        yield celery
    finally:
        celery.close()
        broker.stop()


@pytest.fixture
def slots() -> Slots:
    """The worker's slots."""
    return Slots()


@pytest.fixture
def watchdog(celery: Celery, slots: Slots) -> Iterator[Watchdog]:
    """Its watchdog, looking when the test says so."""
    dog = Watchdog(celery, [QUEUE, "other"], 0.06, lambda: slots.free)
    yield dog
    dog.stop()


def looks(dog: Watchdog, count: int) -> list[bool]:
    return [dog.is_deaf() for _ in range(count)]


def leave_a_message(celery: Celery) -> None:
    with celery.connection_for_write() as connection:
        queue = connection.SimpleQueue(QUEUE)
        queue.put({"to": "nobody"})
        queue.close()


def test_messages_that_nobody_takes_are_a_deaf_workers(celery: Celery, watchdog: Watchdog) -> None:
    leave_a_message(celery)

    assert looks(watchdog, PATIENCE + 1) == [False] * PATIENCE + [True]


def test_empty_queue_is_no_deafness(watchdog: Watchdog) -> None:
    assert not any(looks(watchdog, PATIENCE + 2))


def test_worker_that_takes_now_and_then_is_only_slow(celery: Celery, watchdog: Watchdog) -> None:
    leave_a_message(celery)
    for _ in range(3):
        assert not any(looks(watchdog, PATIENCE))
        task_received.send(sender=None)


def test_worker_with_all_slots_taken_is_only_busy(
    celery: Celery, watchdog: Watchdog, slots: Slots
) -> None:
    leave_a_message(celery)
    slots.free = False

    assert not any(looks(watchdog, PATIENCE + 2))


def test_deaf_worker_is_told_to_end(
    celery: Celery, watchdog: Watchdog, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()
    monkeypatch.setattr(watchdog, "_end", ended.set)
    leave_a_message(celery)
    watchdog.start()

    assert ended.wait(10)
    watchdog.join(5)
