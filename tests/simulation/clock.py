"""The simulated time: it passes only when the simulation says so, and nobody ever waits."""

from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any, Self
from unittest.mock import patch

import time_machine

#: Long before anything was written by this process, so that no file is older than it seems.
_START = datetime(2021, 1, 1, tzinfo=UTC)


class Clock:
    """Takes the place of the clock of this process while it is entered."""

    def __init__(self, sleep: Callable[[float], None], timer: Callable[..., Any]) -> None:
        self.now = 0.0
        self._sleep, self._timer = sleep, timer
        self._began = _START.timestamp()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        traveller = time_machine.travel(_START, tick=False)
        self._time = self._stack.enter_context(traveller)
        # Celery's and kombu's modules hold names of their own for what is replaced here.
        self._stack.enter_context(patch("time.monotonic", lambda: self._began + self.now))
        for name in ("time.sleep", "kombu.utils.functional.sleep"):
            self._stack.enter_context(patch(name, self._sleep))
        self._stack.enter_context(patch("threading.Timer", self._timer))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def advance(self, seconds: float) -> None:
        """Let so much time pass."""
        self.advance_to(self.now + seconds)

    def advance_to(self, moment: float) -> None:
        """Let time pass until then; `moment` counts from the simulation's beginning."""
        if moment > self.now:
            self.now = moment
            self._time.move_to(self._began + moment, tick=False)

    def from_unix(self, unix_s: float) -> float:
        """Return a Unix time as seconds since the simulation's beginning."""
        return unix_s - self._began
