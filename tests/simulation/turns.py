"""Actors: what processes do, one at a time. Each is a thread that runs only while it has the turn.

So the order in which the parts of a system meet is chosen, not left to chance, and any of them can
be ended wherever it has given its turn back.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.simulation.clock import Clock

#: Real seconds after which an actor that does not give its turn back is held to be stuck.
_PATIENCE_S = 60.0


class Killed(BaseException):
    """The process ended here, as by SIGKILL. No handler of the product's catches it."""


class Stuck(RuntimeError):
    """An actor waits for something that only another actor can give it."""


@dataclass(eq=False)
class Life:
    """One life of a process, from its start to its end."""

    name: str
    alive: bool = True
    #: Until then the process stands still, as one that was stopped or swapped out.
    frozen_until: float = 0.0

    def runs(self, now: float) -> bool:
        """Say whether the process does anything at the moment."""
        return self.alive and now >= self.frozen_until


class Actor:
    """One thing that a process does."""

    def __init__(
        self,
        name: str,
        life: Life,
        work: Callable[[], object],
        turns: "Turns",
        about: dict[str, Any],
    ) -> None:
        self.name, self.life = name, life
        #: The message that it handles.
        self.about = about
        self.wake_at = 0.0
        self.done = False
        #: It alone was ended, not its whole process.
        self.doomed = False
        #: What went wrong in the simulation itself.
        self.error: BaseException | None = None
        self._work, self._turns = work, turns
        self._go = threading.Lock()
        self._go.acquire()
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.thread.start()

    def give_turn(self) -> None:
        """Run it until it gives the turn back. Raises Stuck, and what it did not expect."""
        self._go.release()
        if not self._turns.back.acquire(timeout=_PATIENCE_S):
            raise Stuck(self.name)
        if self.done:
            self.thread.join()
        if self.error is not None:
            raise self.error

    def give_back(self) -> None:
        """Let others do something. Raises Killed if this was the end."""
        self._turns.back.release()
        self._go.acquire()
        self.die_if_dead()

    def die_if_dead(self) -> None:
        """Raise Killed if its process is dead."""
        if self.doomed or not self.life.alive:
            raise Killed

    def _run(self) -> None:
        self._go.acquire()
        try:
            self.die_if_dead()
            self._work()
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001 - it is raised again by who gave the turn
            self.error = error
        finally:
            self.done = True
            self._turns.back.release()


class Turns:
    """All actors, and who has the turn."""

    def __init__(self) -> None:
        self.back = threading.Lock()
        self.back.acquire()
        self.actors: list[Actor] = []
        self.clock: Clock = Clock(self.sleep, partial(Timer, self))
        self._current: Actor | None = None
        self._conductor = threading.get_ident()

    def is_part(self) -> bool:
        """Say whether the calling thread is of this simulation, and none that something else in
        this process has left running."""
        own = {self._conductor}
        if self._current is not None:
            own.add(self._current.thread.ident or 0)
        return threading.get_ident() in own

    @property
    def current(self) -> Actor | None:
        """The actor that has the turn, if it is the caller. Raises Stuck in a thread that the
        product started by itself, for nobody gave it a turn."""
        actor = self._current
        if actor is not None and threading.get_ident() != actor.thread.ident:
            raise Stuck(f"{threading.current_thread().name} is no actor")
        return actor

    def spawn(
        self,
        name: str,
        life: Life,
        work: Callable[[], object],
        about: dict[str, Any] | None = None,
    ) -> Actor:
        """Have a process begin something."""
        actor = Actor(name, life, work, self, about or {})
        self.actors.append(actor)
        return actor

    def ready(self) -> list[Actor]:
        """Return the actors that could go on now."""
        now = self.clock.now
        return [a for a in self.actors if a.wake_at <= now and a.life.runs(now)]

    def wakes(self) -> list[float]:
        """Return when sleeping actors of living processes want to go on."""
        return [max(a.wake_at, a.life.frozen_until) for a in self.actors]

    def run(self, actor: Actor) -> None:
        """Give an actor the turn."""
        self._current = actor
        try:
            actor.give_turn()
        finally:
            self._current = None
            if actor.done:
                self.actors.remove(actor)

    def bury(self) -> None:
        """End the actors of processes that are dead: they unwind, and nothing is heard of them."""
        while dead := [a for a in self.actors if a.doomed or not a.life.alive]:
            self.run(dead[0])

    def pause(self) -> None:
        """Called by an actor: let others go first. Raises Killed."""
        if actor := self.current:
            actor.give_back()

    def sleep(self, seconds: float) -> None:
        """Called by an actor: go on later. Raises Killed. Outside of actors nobody waits."""
        actor = self.current
        if actor is None:
            self.clock.advance(seconds)
            return
        actor.die_if_dead()
        actor.wake_at = self.clock.now + seconds
        actor.give_back()


class Timer:
    """Takes the place of threading.Timer: the work is an actor of the process that set it."""

    def __init__(
        self, turns: Turns, interval: float, function: Callable[..., object], args: Sequence[Any]
    ) -> None:
        self.daemon = True
        self._turns, self._interval_s = turns, interval
        self._work = partial(function, *args)
        self._cancelled = False

    def start(self) -> None:
        """Have it done after the interval. Raises Stuck if no process asks."""
        actor = self._turns.current
        if actor is None:
            raise Stuck("a timer of nobody's")
        timer = self._turns.spawn("timer", actor.life, self._unless_cancelled, actor.about)
        timer.wake_at = self._turns.clock.now + self._interval_s

    def cancel(self) -> None:
        """Have it not done."""
        self._cancelled = True

    def _unless_cancelled(self) -> None:
        if not self._cancelled:
            self._work()
