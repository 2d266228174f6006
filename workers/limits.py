"""How much one source may ask: connections at once, and requests in a while. Safe for threads."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable

#: A source that has not asked for so long is forgotten: its allowance is whole again by then.
_FORGET_AFTER_S = 60.0
_FORGET_ABOVE = 1024


class Held:
    """Counts what several hold at once."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._held: Counter[Hashable] = Counter()

    def take(self, holder: Hashable) -> bool:
        """Take one for the holder, unless it holds as many as it may."""
        with self._lock:
            if self._held[holder] >= self._limit:
                return False
            self._held[holder] += 1
            return True

    def give(self, holder: Hashable) -> None:
        """Give one back."""
        with self._lock:
            self._held[holder] -= 1
            if self._held[holder] <= 0:
                del self._held[holder]


class Allowance:
    """A bucket of tokens for each source, refilled at a steady rate."""

    def __init__(self, burst: int, per_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self._burst, self._per_s, self._now = float(burst), per_s, now
        self._lock = threading.Lock()
        #: source -> tokens left, as of when
        self._left: dict[Hashable, tuple[float, float]] = {}

    def take(self, source: Hashable) -> bool:
        """Take a token of the source's, if it has one."""
        moment = self._now()
        with self._lock:
            self._forget(moment)
            left, since = self._left.get(source, (self._burst, moment))
            left = min(self._burst, left + (moment - since) * self._per_s)
            self._left[source] = (left - 1 if left >= 1 else left, moment)
            return left >= 1

    def _forget(self, moment: float) -> None:
        if len(self._left) > _FORGET_ABOVE:
            recent = moment - _FORGET_AFTER_S
            self._left = {s: each for s, each in self._left.items() if each[1] > recent}
