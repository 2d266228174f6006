"""A worker that takes nothing although messages wait is noticed, and no other."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery.signals import task_prerun

from config.celery import make_celery
from config.queues import compute_queue
from config.settings import ComputeSettings
from tasks.pipelines import COMPUTE_STAGES
from tests.processes import RedisServer
from workers.compute_ledger import ComputeLedger
from workers.hosted import Hosted
from workers.hypervisor.fake import FakeHypervisor
from workers.hypervisor.journal import Journal
from workers.watchdog import PATIENCE, Watchdog


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Hosted]:
    """A worker that never consumes, on a real broker."""
    broker = RedisServer(tmp_path)
    broker.start()
    settings = ComputeSettings.model_validate({"broker_url": broker.url, "host": "h"})
    celery = make_celery(settings, "compute", COMPUTE_STAGES)
    journal = Journal(tmp_path / "journal")
    ledger = ComputeLedger(celery, journal, "p")
    try:
        yield Hosted(celery, FakeHypervisor(), journal, ledger, settings, "p")
    finally:
        celery.close()
        broker.stop()


@pytest.fixture
def watchdog(worker: Hosted) -> Iterator[Watchdog]:
    """Its watchdog, looking when the test says so."""
    dog = Watchdog(worker)
    yield dog
    task_prerun.disconnect(dog._count)


def looks(dog: Watchdog, count: int) -> list[bool]:
    return [dog.is_deaf() for _ in range(count)]


def leave_a_message(worker: Hosted) -> None:
    with worker.celery.connection_for_write() as connection:
        queue = connection.SimpleQueue(compute_queue("h"))
        queue.put({"to": "nobody"})
        queue.close()


def test_messages_that_nobody_takes_are_a_deaf_workers(worker: Hosted, watchdog: Watchdog) -> None:
    leave_a_message(worker)

    assert looks(watchdog, PATIENCE + 1) == [False] * PATIENCE + [True]


def test_empty_queue_is_no_deafness(watchdog: Watchdog) -> None:
    assert not any(looks(watchdog, PATIENCE + 2))


def test_worker_that_takes_now_and_then_is_only_slow(worker: Hosted, watchdog: Watchdog) -> None:
    leave_a_message(worker)
    for _ in range(3):
        assert not any(looks(watchdog, PATIENCE))
        task_prerun.send(sender=None)


def test_worker_with_all_slots_taken_is_only_busy(
    worker: Hosted, watchdog: Watchdog, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_a_message(worker)
    monkeypatch.setattr(worker.ledger, "busy", lambda: worker.settings.compute_threads)

    assert not any(looks(watchdog, PATIENCE + 2))


def test_deaf_worker_is_told_to_end(
    worker: Hosted, watchdog: Watchdog, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()
    monkeypatch.setattr("workers.watchdog.PAUSE_S", 0.01)
    monkeypatch.setattr(watchdog, "_end", ended.set)
    leave_a_message(worker)
    watchdog.start()

    assert ended.wait(10)
    watchdog.join(5)
