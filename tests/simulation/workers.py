"""The loop of a Celery worker: takes messages, holds those whose time has not come, has each
executed by Celery's own request and tracer."""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, cast

from celery import Celery
from celery.exceptions import Reject, Retry, TaskRevokedError
from celery.worker.request import Request
from kombu.exceptions import OperationalError
from kombu.transport import virtual

from tasks.errors import ByreError
from tests.simulation.broker import Held, Parcel
from tests.simulation.scene import ROUTINE, Scene
from tests.simulation.turns import Life

#: What tasks may end with; anything else is a mistake of the product's.
_EXPECTED = (ByreError, Retry, Reject, OperationalError)


class Worker:
    """One life of a worker."""

    def __init__(
        self, scene: Scene, celery: Celery, life: Life, queues: Sequence[str], slots: int
    ) -> None:
        self.life, self.celery = life, celery
        self._scene, self._queues, self._slots = scene, queues, slots
        self._busy = 0
        self._hands: list[Held] = []
        #: Taken, but not to be begun before then.
        self._later: list[tuple[float, Request]] = []
        self._channel: Any = None

    def choices(self) -> list[Callable[[], None]]:
        """Return what it could do now: begin what it holds, or take a message."""
        if self._busy >= self._slots or not self.life.runs(self._scene.clock.now):
            return []
        now = self._scene.clock.now
        found = [partial(self._begin_held, entry) for entry in self._later if entry[0] <= now]
        if self._scene.broker.reaches(self.life.name):
            parcels = [self._scene.broker.first(queue) for queue in self._queues]
            found += [partial(self._take, parcel) for parcel in parcels if parcel]
        return cast("list[Callable[[], None]]", found)

    def wakes(self) -> list[float]:
        """Return when what it holds is to be begun."""
        return [max(at, self.life.frozen_until) for at, _ in self._later] if self.life.alive else []

    def die(self, visible_at: float) -> None:
        """Nobody has its messages any more; the broker hands them out again at that moment."""
        for held in self._hands:
            held.visible_at = min(held.visible_at, visible_at)
        self._hands.clear()
        self._later.clear()

    def _take(self, parcel: Parcel) -> None:
        held = self._scene.broker.take(parcel)
        self._hands.append(held)
        request = self._request(held)
        if request.revoked():
            return
        if request.eta is not None:
            self._later.append((self._scene.clock.from_unix(request.eta.timestamp()), request))
            return
        self._begin(request)

    def _request(self, held: Held) -> Request:
        if self._channel is None:
            self._channel = self.celery.connection_for_write().channel()
        message = virtual.Message(held.parcel.payload, channel=self._channel)
        made: Request = cast("Any", Request)(
            message,
            on_ack=partial(self._acknowledged, held),
            on_reject=partial(self._rejected, held),
            hostname=self.life.name,
            app=self.celery,
        )
        return made

    def _acknowledged(self, held: Held, *_: object) -> None:
        if held in self._hands:
            self._hands.remove(held)
        self._scene.broker.acknowledge(self.life.name, held)

    def _rejected(self, held: Held, _log: object, _errors: object, requeue: bool) -> None:
        if not requeue or not self._scene.broker.reaches(self.life.name):
            self._acknowledged(held)
            return
        if held in self._hands:
            self._hands.remove(held)
        self._scene.broker.put_back(held)

    def _begin_held(self, entry: tuple[float, Request]) -> None:
        self._later.remove(entry)
        self._begin(entry[1])

    def _begin(self, request: Request) -> None:
        argument = request.args[0] if request.args else {}
        if request.name not in ROUTINE:
            self._scene.note(self.life.name, f"begins {request.name}")
        self._busy += 1
        work = partial(self._execute, request)
        self._scene.turns.spawn(request.name, self.life, work, argument)

    def _execute(self, request: Request) -> None:
        ended = False
        try:
            with suppress(TaskRevokedError):  # it has become too old in the worker's hands
                cast("Any", request).execute_using_pool(_Inline(self._scene, self.celery))
            ended = True
        finally:
            self._busy -= 1
            if not ended and self.life.alive:
                # One process of the pool was killed: the worker itself gives its message back.
                request.reject(requeue=True)


class _Inline:
    """A pool of the worker's that runs what it is given at once."""

    def __init__(self, scene: Scene, celery: Celery) -> None:
        self._scene, self._celery = scene, celery

    def apply_async(
        self,
        target: Callable[..., Any],
        args: Sequence[Any],
        accept_callback: Callable[..., None],
        callback: Callable[..., None],
        **_: object,
    ) -> None:
        """Run the tracer, and tell what came of it."""
        accept_callback(os.getpid(), time.monotonic())
        outcome = target(*args, app=self._celery)
        if outcome[0]:
            raised = outcome[1].exception
            raised = getattr(raised, "exc", raised) if not isinstance(raised, Retry) else raised
            if not isinstance(raised, _EXPECTED):
                self._scene.crashes.append(f"{args[0]}: {raised!r}")
        self._scene.point("ack")
        callback(outcome)
