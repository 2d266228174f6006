"""Faults that strike a process of Byre from inside, at a named point of a stage, once.

A test arms a fault by writing a file. The first process that comes to its point takes the file away
(a rename: only one can), says in another file where and who it is, and then kills itself with its
whole process group, holds still until it is released, or fails. So no process need be started
anew for a fault, and a test can prove that its fault struck where it was meant to.
"""

import functools
import json
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from celery import signals

from tasks.errors import HostError

#: Names the directory of faults to a process; without it no fault strikes.
DIRECTORY = "BYRE_TEST_CRASH_DIR"

#: Seconds for which a point is held at most: a test that failed must not hold a worker for ever.
HOLD_LIMIT_S = 30.0

Action = Literal["kill", "hold", "fail", "withhold"]


@dataclass(frozen=True)
class Fault:
    """What is to strike whom. An empty `server_id` means whichever server comes first."""

    pipeline: str
    stage: str
    point: str
    action: Action = "kill"
    server_id: str = ""
    name: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(frozen=True)
class Hit:
    """A fault that struck: where, and which process."""

    pipeline: str
    stage: str
    point: str
    server_id: str
    pid: int
    at: float
    #: What was withheld, and from which queue.
    queue: str = ""
    message: dict[str, Any] | None = None


@dataclass(frozen=True)
class Place:
    """Where a process is at the moment."""

    pipeline: str
    stage: str
    server_id: str

    @classmethod
    def of(cls, stage: str, message: Any) -> "Place | None":
        """Return where a message of a chain belongs; None if it is no such message."""
        job = message.get("job") if isinstance(message, dict) else None
        return cls(job["pipeline"], stage, job["server_id"]) if job else None


class Faults:
    """The directory of faults, as tests and processes use it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._armed, self._hit = directory / "armed", directory / "hit"
        self._released = directory / "released"
        for each in (self._armed, self._hit, self._released):
            each.mkdir(parents=True, exist_ok=True)

    # --- the test's side -------------------------------------------------------------------------

    def arm(self, fault: Fault) -> Fault:
        """Have the fault strike at its point."""
        _write(self._armed / f"{fault.name}.json", asdict(fault))
        return fault

    def hit(self, fault: Fault) -> Hit | None:
        """Return where the fault struck; None if it has not."""
        with suppress(FileNotFoundError):
            return Hit(**json.loads((self._hit / f"{fault.name}.json").read_text()))
        return None

    def release(self, fault: Fault) -> None:
        """Let go on what the fault holds."""
        (self._released / fault.name).touch()

    def disarm(self) -> None:
        """Take away what has not struck, and let go on whatever is held."""
        for path in self._armed.glob("*.json"):
            path.unlink(missing_ok=True)
        for path in self._hit.glob("*.json"):
            (self._released / path.stem).touch()

    # --- the process's side ----------------------------------------------------------------------

    def strike(self, place: Place, point: str) -> None:
        """Carry out what is armed for this point, if anything is. Raises HostError for `fail`."""
        fault = self.take(place, point)
        if fault is None:
            return
        if fault.action == "kill":
            os.killpg(os.getpgrp(), signal.SIGKILL)
            time.sleep(HOLD_LIMIT_S)
        if fault.action == "fail":
            raise HostError("A fault that a test has injected.")
        end = time.monotonic() + HOLD_LIMIT_S
        while not (self._released / fault.name).exists() and time.monotonic() < end:
            time.sleep(0.01)

    def take(self, place: Place, point: str, **more: Any) -> Fault | None:
        """Return the fault that is armed for this point, having noted that it struck here."""
        for name in os.listdir(self._armed):  # noqa: PTH208 - at every message: it is to be quick
            path = self._armed / name
            fault = _read(path)
            if fault is None or not _meant(fault, place, point):
                continue
            try:
                path.rename(self._hit / f"{fault.name}.taken")
            except FileNotFoundError:
                continue
            hit = Hit(
                place.pipeline,
                place.stage,
                point,
                place.server_id,
                pid=os.getpid(),
                at=time.time(),
                **more,
            )
            _write(self._hit / f"{fault.name}.json", asdict(hit))
            return fault
        return None


def _meant(fault: Fault, place: Place, point: str) -> bool:
    wanted = (fault.pipeline, fault.stage, fault.point)
    return wanted == (place.pipeline, place.stage, point) and (
        fault.server_id in ("", place.server_id)
    )


def _write(path: Path, content: dict[str, Any]) -> None:
    draft = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
    draft.write_text(json.dumps(content))
    draft.replace(path)


def _read(path: Path) -> Fault | None:
    if path.suffix != ".json":
        return None
    with suppress(FileNotFoundError):
        return Fault(**json.loads(path.read_text()))
    return None


# --- where the points are ------------------------------------------------------------------------

_here = threading.local()


def here() -> Place | None:
    """Return the stage that this thread is inside of."""
    place: Place | None = getattr(_here, "place", None)
    return place


@contextmanager
def inside(place: Place) -> Iterator[None]:
    """Mark this thread as being inside a stage."""
    _here.place = place
    try:
        yield
    finally:
        _here.place = None


def cut_open(
    faults: Faults, modules: dict[str, ModuleType], middle: Callable[[Any, Place], Any]
) -> None:
    """Put the points `before` and `after` around each stage's `do`, and whatever `middle` puts into
    the resource that the stage works on; `handed_over` after the next link was sent and before the
    message is acknowledged; `waiting` after a message was put off."""
    for name, module in modules.items():
        module.do = _cut(faults, name, module.do, middle)  # type: ignore[attr-defined]

    def succeeded(sender: Any = None, result: Any = None, **_: Any) -> None:
        place = Place.of(sender.name, result)
        if place is not None:
            faults.strike(place, "handed_over")

    def put_off(sender: Any = None, request: Any = None, **_: Any) -> None:
        place = Place.of(sender.name, request.args[0] if request.args else None)
        if place is not None:
            faults.strike(place, "waiting")

    signals.task_success.connect(succeeded, weak=False)
    signals.task_retry.connect(put_off, weak=False)


def _cut(
    faults: Faults, stage: str, do: Callable[..., Any], middle: Callable[[Any, Place], Any]
) -> Callable[..., Any]:
    @functools.wraps(do)
    def cut(job: Any, resource: Any, **inputs: Any) -> Any:
        place = Place(job.pipeline, stage, job.server_id)
        faults.strike(place, "before")
        with inside(place):
            output = do(job, middle(resource, place), **inputs)
        faults.strike(place, "after")
        return output

    return cut


class CutHost:
    """A hypervisor with a point after each verb: `inside` after the first one's effect, then
    `inside-2`, and so on."""

    def __init__(self, faults: Faults, host: Any, place: Place) -> None:
        self._faults, self._host, self._place = faults, host, place
        self._count = 0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        verb = getattr(self._host, name)

        def called(*args: Any, **kwargs: Any) -> Any:
            result = verb(*args, **kwargs)
            self._count += 1
            point = "inside" if self._count == 1 else f"inside-{self._count}"
            self._faults.strike(self._place, point)
            return result

        return called


def process_faults() -> Faults:
    """Return the directory that this process was told. Raises KeyError."""
    return Faults(Path(os.environ[DIRECTORY]))
