"""What every part of one simulation shares: time, turns, the broker, chance, the trace, and the
points at which something may be done to whoever has the turn."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any, Literal, get_args

from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from tests.simulation.broker import Broker, Parcel
from tests.simulation.turns import Actor, Killed, Turns

#: Simulated seconds that pass at each point, and how often the turn is given back at one.
_TICK_S = 0.0005
_PAUSE_RATE = 0.25

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

TrapKind = Literal["kill", "kill_child", "stall", "freeze", "lost_answer"]
_TRAPS: tuple[TrapKind, ...] = get_args(TrapKind)

#: What processes do of themselves, however idle the system is.
ROUTINE = frozenset({"heartbeat", "survey", "tick", "canary", "canary_answer"})


class Trace:
    """What happened, in order; its digest is the same if and only if everything was."""

    def __init__(self, *, verbose: bool) -> None:
        self._verbose = verbose
        self._digest = hashlib.sha256()
        self._names: dict[str, str] = {}
        self.lines = 0

    @property
    def digest(self) -> str:
        """Return the digest of all that was noted."""
        return self._digest.hexdigest()

    def note(self, at: float, who: str, what: str) -> None:
        """Note that something happened. Ids are told by numbers in the order of their coming."""
        line = f"{at:10.4f} {who:10} {_UUID.sub(self._short, what)}"
        self._digest.update(line.encode())
        self.lines += 1
        if self._verbose:
            print(line)

    def _short(self, found: re.Match[str]) -> str:
        return self._names.setdefault(found[0], f"#{len(self._names)}")


@dataclass(eq=False)
class Trap:
    """Something that is to happen to whoever comes by such a point for the n-th time."""

    kind: TrapKind
    #: `verb`, `put` or `commit`: the first word of the point.
    place: str
    countdown: int
    seconds: float = 0.0


class Scene:
    """One simulation's shared means."""

    def __init__(self, seed: int, *, verbose: bool) -> None:
        self.random = Random(seed)  # noqa: S311 - it is to be predictable
        self.turns = Turns()
        self.clock = self.turns.clock
        self.trace = Trace(verbose=verbose)
        self.broker = Broker(
            self.clock, self.random.choice((120.0, 400.0, 1800.0)), on_put=self._on_put
        )
        self.traps: list[Trap] = []
        #: How often which fault was injected, and hit.
        self.injected: Counter[str] = Counter()
        #: Exceptions that the product should not have met, as its logs tell them.
        self.crashes: list[str] = []
        #: What was seen that must never be.
        self.breaches: list[str] = []
        #: Called when a process is to die at the point where it is.
        self.kill: Callable[[Actor], None] = lambda _: None
        #: Something was written that invariants depend on.
        self.dirty = False

    def note(self, who: str, what: str) -> None:
        """Note in the trace that something happened now."""
        self.trace.note(self.clock.now, who, what)

    def breach(self, what: str) -> None:
        """Note that an invariant does not hold."""
        self.note("!", what)
        self.breaches.append(f"{self.clock.now:.3f}: {what}")

    def point(self, what: str) -> None:
        """Called wherever a process has an effect: others may get ahead, and it may end here."""
        actor = self.turns.current
        if actor is None:
            return
        actor.die_if_dead()
        self.clock.advance(_TICK_S)
        self.strike(what)
        if self.random.random() < _PAUSE_RATE:
            self.turns.pause()

    def strike(self, what: str, *, only: Collection[str] = _TRAPS) -> None:
        """Do what a trap of these kinds is set for. Raises Killed, ConnectionError."""
        actor = self.turns.current
        if actor is None or actor.name in ROUTINE:
            return
        for trap in self.traps:
            if trap.kind in only and what.startswith(trap.place):
                trap.countdown -= 1
                if trap.countdown <= 0:
                    self.traps.remove(trap)
                    self._spring(trap, actor, what)
                    return

    def _spring(self, trap: Trap, actor: Actor, what: str) -> None:
        self.injected[trap.kind] += 1
        self.note(actor.life.name, f"{trap.kind} {trap.seconds:.0f} s in {actor.name} at {what}")
        if trap.kind == "stall":
            self.turns.sleep(trap.seconds)
        elif trap.kind == "freeze":
            actor.life.frozen_until = self.clock.now + trap.seconds
            self.turns.pause()
        elif trap.kind == "lost_answer":
            raise ConnectionResetError(104, "the simulated broker's answer was lost")
        else:
            actor.doomed = trap.kind == "kill_child"
            if trap.kind == "kill":
                self.kill(actor)
            raise Killed

    def _on_put(self, process: str, parcel: Parcel, done: bool) -> None:
        self.point(f"put {parcel.task}" + (" done" if done else ""))
        if done and parcel.task not in ROUTINE:
            self.note(process, f"sent {parcel.queue} {_told(parcel)}")


class Sessions(sessionmaker[Session]):
    """Transactions with a point before each, at its commit, and after it."""

    def __init__(self, engine: Engine, scene: Scene) -> None:
        super().__init__(engine, expire_on_commit=False)
        self._scene = scene

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """Begin a transaction. Nobody else has a turn before its end."""
        self._scene.point("begin")
        with super().begin() as session:
            yield session
            # Whoever stopped here would hold the database's lock: here one can only die.
            self._scene.strike("commit", only=("kill", "kill_child"))
        self._scene.dirty = True
        self._scene.point("commit done")


def _told(parcel: Parcel) -> str:
    """Return what the trace tells of a message."""
    message: dict[str, Any] = parcel.argument()
    job = message.get("job")
    if not isinstance(job, dict):
        return parcel.task
    event = f"{message['stage']} {message['event']} " if "event" in message else ""
    return f"{parcel.task} {event}{job['pipeline']} {job['run_id']}/{job['attempt']}"
