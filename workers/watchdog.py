"""Ends a worker that lives but takes nothing from its queue, so that its supervisor starts it anew.

Celery's workers have been seen to go deaf after a broker's restart and stay so (celery/celery#8030,
#8091): the process is up, its heartbeats go out, and nobody consumes. The control plane notices by
its canaries and sends no more servers; this is what brings the host back.
"""

import os
import signal
import threading
import time
from typing import Any

import structlog
from celery.signals import task_prerun
from kombu.exceptions import OperationalError

from config.queues import compute_queue
from workers.hosted import Hosted

log = structlog.get_logger(__name__)

#: How often it looks, and after how many looks in a row at messages that nobody takes it acts.
PAUSE_S = 15.0
PATIENCE = 4

#: A worker that does not end by itself is ended after so many seconds. EX_SOFTWARE of sysexits.h.
_LAST_WORD_S = 30.0
_EXIT_DEAF = 70


class Watchdog(threading.Thread):
    """Watches until it is stopped."""

    def __init__(self, worker: Hosted) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._worker = worker
        self._stopped = threading.Event()
        self._taken, self._taken_before, self._strikes = 0, -1, 0
        task_prerun.connect(self._count, weak=False)

    def run(self) -> None:
        """Look at the interval."""
        while not self._stopped.wait(PAUSE_S):
            if self.is_deaf():
                log.error("worker.deaf", queue=compute_queue(self._worker.settings.host))
                self._end()
                return

    def stop(self) -> None:
        """Watch no more."""
        self._stopped.set()

    def is_deaf(self) -> bool:
        """Look once: has nothing been taken for several looks, though messages wait and a slot is
        free?"""
        idle = self._taken == self._taken_before and self._has_slot() and self._waiting() > 0
        self._taken_before = self._taken
        self._strikes = self._strikes + 1 if idle else 0
        return self._strikes >= PATIENCE

    def _count(self, **_: object) -> None:
        self._taken += 1

    def _has_slot(self) -> bool:
        return self._worker.ledger.busy() < self._worker.settings.compute_threads

    def _waiting(self) -> int:
        """Return how many messages are in this host's queue, by a connection of its own. A broker
        that does not answer proves nothing."""
        queue = compute_queue(self._worker.settings.host)
        try:
            with self._worker.celery.connection_for_write() as connection:
                channel: Any = connection.default_channel
                # As Celery declares it, so that it is the same everywhere. Not passively: kombu 5.7
                # does not find a queue on Redis that way when keys have a prefix.
                declared = channel.queue_declare(queue=queue, durable=True, auto_delete=False)
                count: int = declared.message_count
                return count
        except (OperationalError, OSError, *self._channel_errors()):
            return 0

    def _channel_errors(self) -> tuple[type[Exception], ...]:
        connection = self._worker.celery.connection_for_write()
        return (*connection.connection_errors, *connection.channel_errors)

    def _end(self) -> None:
        """Ask the process to stop, as a supervisor would; a deaf one may not hear that either."""
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_LAST_WORD_S)
        os._exit(_EXIT_DEAF)
