"""The post between Byre's processes, disturbed: messages doubled, copied for later, or withheld.

It changes kombu's Redis transport in a process of a test, at the one function that puts a message
into a queue. What happens to a message is said by files, as with tests.crash.faults.
"""

import base64
import copy
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from kombu.transport.redis import Channel

from tests.crash.faults import Faults, Place

#: Before each key of Redis (config.settings).
PREFIX = "byre:"

#: Signs of life, ticks and looks: they come and go all the time.
PULSE_TASKS = {
    *("heartbeat", "hello", "sweep", "survey", "domain_change", "canary", "canary_answer"),
    *("fabric", "fabric_changed", "cache_report"),
}


class Mail:
    """What is to happen to messages, by files in a directory."""

    def __init__(self, directory: Path) -> None:
        self._twice, self._copies = directory / "twice", directory / "copies.jsonl"
        self._recording = directory / "recording"
        self._lock = threading.Lock()
        self.faults = Faults(directory)

    def set_twice(self, *, on: bool) -> None:
        """Have every message put into its queue twice, or not any more."""
        _set(self._twice, on=on)

    def set_recording(self, *, on: bool) -> None:
        """Keep a copy of every message from now on, or no more; begins with none."""
        self._copies.unlink(missing_ok=True)
        _set(self._recording, on=on)

    def copies(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the copies: queue and message, in the order in which they were sent."""
        if not self._copies.exists():
            return []
        return [tuple(json.loads(line)) for line in self._copies.read_text().splitlines()]

    def passes(self, queue: str, message: dict[str, Any]) -> int:
        """Return how often a message is to be put into its queue now: not, once or twice."""
        place, point = where(message)
        if place is not None and self.faults.take(place, point, queue=queue, message=message):
            return 0
        if self._recording.exists():
            with self._lock, self._copies.open("a") as file:
                file.write(json.dumps([queue, message]) + "\n")
        return 2 if self._twice.exists() else 1


def install(mail: Mail | None) -> Callable[[], None]:
    """Disturb what this process sends; without a directory only what is sent `through` one. Return
    what ends that."""
    put = Channel._put

    def disturbed(self: Any, queue: str, message: dict[str, Any], **options: Any) -> None:
        used: Mail | None = getattr(_through, "mail", mail)
        if used is None or "task" not in message.get("headers", {}):
            put(self, queue, message, **options)
            return
        for turn in range(used.passes(queue, message)):
            put(self, queue, renamed(message) if turn else message, **options)

    Channel._put = disturbed  # type: ignore[method-assign]

    def restore() -> None:
        Channel._put = put  # type: ignore[method-assign]

    return restore


_through = threading.local()


@contextmanager
def through(mail: Mail) -> Iterator[None]:
    """Disturb what this thread sends."""
    _through.mail = mail
    try:
        yield
    finally:
        del _through.mail


def where(message: dict[str, Any]) -> tuple[Place | None, str]:
    """Return the place and point of a message: a link is at its stage's `message`, a report at
    `report-<event>` of the stage that it tells of."""
    task = message["headers"]["task"]
    told = content(message)
    if not isinstance(told, dict):
        return None, ""
    if task == "report":
        return Place.of(told["stage"], told), f"report-{told['event']}"
    return Place.of(task, told), "message"


def content(message: dict[str, Any]) -> Any:
    """Return the first argument of a task's message."""
    body = message["body"]
    if message["properties"].get("body_encoding") == "base64":
        body = base64.b64decode(body)
    args = json.loads(body)[0]
    return args[0] if args else None


def renamed(message: dict[str, Any]) -> dict[str, Any]:
    """Return a copy that the broker takes for another message."""
    twin = copy.deepcopy(message)
    twin["properties"]["delivery_tag"] = str(uuid.uuid4())
    return twin


def _set(path: Path, *, on: bool) -> None:
    if on:
        path.touch()
    else:
        path.unlink(missing_ok=True)


class Box:
    """The queues in Redis, from outside."""

    def __init__(self, url: str) -> None:
        self._client: Any = redis.Redis.from_url(url)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def empty(self) -> None:
        """Throw everything away."""
        self._client.flushall()

    def put(self, queue: str, message: dict[str, Any]) -> None:
        """Deliver a message, for the first time or once more."""
        self._client.lpush(PREFIX + queue, json.dumps(renamed(message)))

    def waiting(self) -> list[str]:
        """Return the tasks of messages in queues, but for those that come and go."""
        found = []
        for key in self._client.keys(f"{PREFIX}*"):
            if self._client.type(key) == b"list":
                found += [json.loads(raw) for raw in self._client.lrange(key, 0, -1)]
        return _tasks(found)

    def unacknowledged(self) -> list[str]:
        """Return the tasks of messages that somebody has taken and not finished, likewise."""
        kept = self._client.hgetall(f"{PREFIX}unacked").values()
        return _tasks([json.loads(raw)[0] for raw in kept])

    def hand_out_again(self) -> int:
        """Put what was taken and not finished back into its queue, as Redis' clients do when the
        visibility time-out has passed. Returns how many messages of runs that were."""
        count = 0
        for tag, raw in self._client.hgetall(f"{PREFIX}unacked").items():
            message, _, queue = json.loads(raw)
            if self._client.hdel(f"{PREFIX}unacked", tag):
                self._client.zrem(f"{PREFIX}unacked_index", tag)
                self._client.rpush(f"{PREFIX}{queue}", json.dumps(message))
                count += len(_tasks([message]))
        return count


def _tasks(messages: list[dict[str, Any]]) -> list[str]:
    names = [message.get("headers", {}).get("task", "?") for message in messages]
    return [name for name in names if name not in PULSE_TASKS]
