"""The simulated broker: queues that keep, lose, delay and double messages as they are told.

Processes reach it through kombu's transport interface (`Channel`); who takes a message off a queue,
and when, is the simulation's business.
"""

import base64
import copy
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from celery import Celery
from kombu import pools
from kombu.transport import TRANSPORT_ALIASES, virtual

from tests.simulation.clock import Clock

#: The broker that channels of this process reach.
_PRESENT: list["Broker"] = []


@dataclass(eq=False)
class Parcel:
    """One copy of a message in a queue."""

    queue: str
    payload: dict[str, Any]
    #: It is not handed out before then.
    not_before: float = 0.0

    @property
    def task(self) -> str:
        """The task that it is for."""
        return str(self.payload["headers"]["task"])

    def argument(self) -> dict[str, Any]:
        """Return what the task will be given."""
        args = json.loads(base64.b64decode(self.payload["body"]))[0]
        return dict(args[0]) if args else {}


@dataclass(eq=False)
class Held:
    """A message that was taken and not acknowledged."""

    parcel: Parcel
    #: When it is handed out again, whoever has it.
    visible_at: float


@dataclass
class Broker:
    """Queues, what was taken from them, and who cannot reach them."""

    clock: Clock
    #: Seconds after which what was taken and not acknowledged is handed out again.
    visibility_s: float
    #: Called before (False) and after (True) a message is put; may raise.
    on_put: Callable[[str, Parcel, bool], None]
    queues: dict[str, list[Parcel]] = field(default_factory=dict)
    held: list[Held] = field(default_factory=list)
    #: Everything that was ever sent.
    history: list[Parcel] = field(default_factory=list)
    #: Nobody reaches it until then; and whom the network keeps from it until when.
    down_until: float = 0.0
    cut_off_until: dict[str, float] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def reaches(self, process: str) -> bool:
        """Say whether the process of that name has a connection."""
        until = max(self.down_until, self.cut_off_until.get(process, 0.0))
        return self.clock.now >= until

    def put(self, process: str, queue: str, payload: dict[str, Any]) -> None:
        """Take a message in. Raises ConnectionError."""
        parcel = Parcel(queue, payload)
        self.on_put(process, parcel, False)
        self.refuse_unreachable(process)
        self.queues.setdefault(queue, []).append(parcel)
        self.history.append(parcel)
        self.on_put(process, parcel, True)

    def refuse_unreachable(self, process: str) -> None:
        """Raise ConnectionError unless the process reaches the broker."""
        if not self.reaches(process):
            raise ConnectionRefusedError(111, "the simulated broker cannot be reached")

    def add_copy(self, parcel: Parcel, not_before: float) -> None:
        """Put a copy of a message into its queue, whether it is there still or not."""
        again = Parcel(parcel.queue, copy.deepcopy(parcel.payload), not_before)
        self.queues.setdefault(parcel.queue, []).append(again)

    def first(self, queue: str) -> Parcel | None:
        """Return the message that is handed out next."""
        now = self.clock.now
        return next((p for p in self.queues.get(queue, ()) if p.not_before <= now), None)

    def take(self, parcel: Parcel) -> Held:
        """Hand a message out."""
        self.queues[parcel.queue].remove(parcel)
        held = Held(parcel, self.clock.now + self.visibility_s)
        self.held.append(held)
        return held

    def acknowledge(self, process: str, held: Held) -> None:
        """Forget a message. Who cannot be heard gets it again."""
        if self.reaches(process) and held in self.held:
            self.held.remove(held)

    def put_back(self, held: Held) -> None:
        """Hand a message out again, as the next one. One that was lost meanwhile stays lost."""
        if held in self.held:
            self.held.remove(held)
            self.queues.setdefault(held.parcel.queue, []).insert(0, held.parcel)

    def hand_out_again(self) -> None:
        """Put back what was held for too long."""
        for held in [held for held in self.held if held.visible_at <= self.clock.now]:
            self.put_back(held)

    def flush(self) -> None:
        """Lose everything."""
        self.queues.clear()
        self.held.clear()

    def waiting(self) -> list[Parcel]:
        """Return all messages in queues."""
        return [parcel for queue in sorted(self.queues) for parcel in self.queues[queue]]


class Channel(virtual.Channel):
    """One process's way to the broker; the process is named in its URL."""

    do_restore = False

    def __init__(self, connection: Any, **kwargs: Any) -> None:
        self._process = str(connection.client.hostname)
        _PRESENT[-1].refuse_unreachable(self._process)
        super().__init__(connection, **kwargs)

    def _put(self, queue: str, message: dict[str, Any], **_: Any) -> None:
        _PRESENT[-1].put(self._process, queue, message)

    def _size(self, queue: str) -> int:
        return len(_PRESENT[-1].queues.get(queue, ()))

    def _purge(self, queue: str) -> int:
        return len(_PRESENT[-1].queues.pop(queue, ()))


class Transport(virtual.Transport):
    """What kombu knows as `simulated://`."""

    Channel = Channel
    driver_type = driver_name = "simulated"
    connection_errors = recoverable_connection_errors = (OSError,)


class Present:
    """While it is entered, this is the broker that `simulated://` leads to."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def __enter__(self) -> None:
        TRANSPORT_ALIASES["simulated"] = f"{__name__}:Transport"
        _PRESENT.append(self._broker)
        pools.reset()

    def __exit__(self, *_: object) -> None:
        _PRESENT.remove(self._broker)
        pools.reset()


def url_of(process: str) -> str:
    """Return the URL by which a process reaches the broker: another one for each of its lives, for
    kombu keeps connections by their URLs."""
    return f"simulated://{process}:{next(_PRESENT[-1].numbers)}"


def unlimited(celery: Celery) -> Celery:
    """Return the application with as many connections as it wants: none costs anything here, and
    to wait for one would be to wait really."""
    celery.conf.broker_pool_limit = 10_000
    return celery
