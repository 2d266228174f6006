"""A worker that takes nothing although messages wait is noticed, and no other."""

import os
import signal
import subprocess
import sys
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
from tests.processes import RedisServer, wait_until
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


STUCK = """
import subprocess, sys, time
from celery.signals import worker_shutting_down
from workers import watchdog

watchdog.END_LIMIT_S = 0.2
watchdog.end_surely()
child = subprocess.Popen(["sleep", "60"])
print(child.pid, flush=True)
worker_shutting_down.send(sender=None)
time.sleep(60)
"""


def test_worker_that_does_not_end_is_ended_with_its_children() -> None:
    stuck = subprocess.Popen(
        [sys.executable, "-c", STUCK], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert stuck.stdout is not None
    try:
        # Nobody reads its output any more: that must not keep it alive.
        with stuck.stdout:
            child = int(stuck.stdout.readline())
        assert stuck.wait(20) == -signal.SIGKILL
        wait_until(lambda: not is_running(child), "the child's end", 5)
    finally:
        if stuck.poll() is None:
            os.killpg(stuck.pid, signal.SIGKILL)
            stuck.wait(10)


def is_running(pid: int) -> bool:
    """Say whether a process runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
