"""Ends a worker that lives but takes nothing from its queues, and one that was told to end and does
not: its supervisor starts it anew.

Celery's workers have been seen to go deaf after a broker's restart and stay so (celery/celery#8030,
#8091): the process is up, and nobody consumes. For a hypervisor's worker the control plane notices
by its canaries and sends no more servers; this is what brings either kind of worker back.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import structlog
from celery import Celery
from celery.signals import task_received, worker_shutting_down
from kombu.exceptions import OperationalError

log = structlog.get_logger(__name__)

#: Looks in a row at messages that nobody takes, after which it acts.
PATIENCE = 6

#: A worker that was told to end is ended after so many seconds: what it is at has ten to end
#: (config.celery), and goes on when a worker is there again. EX_SOFTWARE of sysexits.h.
END_LIMIT_S = 15.0
_EXIT_STUCK = 70


class Watchdog(threading.Thread):
    """Watches until it is stopped. Runs in the process that consumes.

    `deaf_after_s`: for how long messages may wait with nothing taken. It must be longer than all
    slots of the worker can be taken at once, unless `has_slot` tells that one is free.
    """

    def __init__(
        self,
        celery: Celery,
        queues: Sequence[str],
        deaf_after_s: float,
        has_slot: Callable[[], bool] = lambda: True,
    ) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._celery, self._queues, self._has_slot = celery, queues, has_slot
        self._pause_s = deaf_after_s / PATIENCE
        self._stopped = threading.Event()
        self._taken, self._taken_before, self._strikes = 0, -1, 0
        task_received.connect(self._count, weak=False)

    def run(self) -> None:
        """Look at the interval."""
        while not self._stopped.wait(self._pause_s):
            if self.is_deaf():
                log.error("worker.deaf", queues=list(self._queues))
                self._end()
                return

    def stop(self) -> None:
        """Watch no more."""
        self._stopped.set()
        task_received.disconnect(self._count)

    def is_deaf(self) -> bool:
        """Look once: has nothing been taken for several looks, though messages wait and a slot is
        free?"""
        idle = self._taken == self._taken_before and self._has_slot() and self._waiting() > 0
        self._taken_before = self._taken
        self._strikes = self._strikes + 1 if idle else 0
        return self._strikes >= PATIENCE

    def _count(self, **_: object) -> None:
        self._taken += 1

    def _waiting(self) -> int:
        """Return how many messages are in the queues, by a connection of its own. A broker that
        does not answer proves nothing."""
        connection: Any = self._celery.connection_for_write(connect_timeout=2.0)
        try:
            with connection:
                return sum(_count_in(connection.default_channel, name) for name in self._queues)
        except (OperationalError, OSError):
            return 0
        except (*connection.connection_errors, *connection.channel_errors):
            return 0

    def _end(self) -> None:
        """Ask the process to stop, as a supervisor would; a deaf one may not hear that either."""
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(END_LIMIT_S)
        _end_now()


def end_surely() -> None:
    """Have this worker end within END_LIMIT_S of being told to. Celery's pools wait for their work
    without a limit, and once in about forty stops one of processes waited for no work at all."""

    def limit(**_: object) -> None:
        timer = threading.Timer(END_LIMIT_S, _end_now)
        timer.daemon = True
        timer.start()

    worker_shutting_down.connect(limit, weak=False)


def _end_now() -> None:
    with suppress(OSError):
        log.error("worker.killed", reason="it did not end when it was told to")
    if os.getpgrp() == os.getpid():
        # With the processes of its pool, which would outlive it.
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(_EXIT_STUCK)


def _count_in(channel: Any, queue: str) -> int:
    """Declare the queue as Celery does, so that it is the same everywhere. Not passively: kombu 5.7
    does not find a queue on Redis that way when keys have a prefix."""
    declared = channel.queue_declare(queue=queue, durable=True, auto_delete=False)
    count: int = declared.message_count
    return count
