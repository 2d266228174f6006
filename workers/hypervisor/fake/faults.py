"""How a fake host fails: errors and delays by verb, for tests and drills."""

import functools
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Concatenate, ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")
_TRANSFERS = frozenset({"ensure_image", "send_snapshot"})
_Host = TypeVar("_Host", bound="Faulty")


@dataclass
class Faults:
    """What is to go wrong, by verb: errors raised in this order, one a call, and seconds to wait
    before each call. `after` errors are raised when the verb has done its work: the answer is
    lost, not the effect."""

    before: dict[str, list[Exception]] = field(default_factory=lambda: defaultdict(list))
    after: dict[str, list[Exception]] = field(default_factory=lambda: defaultdict(list))
    delay_s: dict[str, float] = field(default_factory=dict)


class Faulty:
    """A host whose verbs fail as told, and exclude each other."""

    def __init__(self) -> None:
        self.faults = Faults()
        #: How often each verb was called.
        self.calls: Counter[str] = Counter()
        self.lock = threading.RLock()

    def settle(self) -> None:
        """Do what is to follow a verb's work, after the lock was left."""


def verb(
    function: Callable[Concatenate[_Host, _P], _R],
) -> Callable[Concatenate[_Host, _P], _R]:
    """Count the call, wait and fail as told, and keep other threads out meanwhile; but a download
    or an upload excludes nobody, as on a real host."""
    name = function.__name__

    @functools.wraps(function)
    def called(self: _Host, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        time.sleep(self.faults.delay_s.get(name, 0.0))
        with self.lock:
            self.calls[name] += 1
            _raise_next(self.faults.before, name)
        with nullcontext() if name in _TRANSFERS else self.lock:
            result = function(self, *args, **kwargs)
        self.settle()
        with self.lock:
            _raise_next(self.faults.after, name)
        return result

    return called


def _raise_next(faults: dict[str, list[Exception]], name: str) -> None:
    waiting = faults.get(name)
    if waiting:
        raise waiting.pop(0)
