"""One simulation: a Byre with its hosts, a time of chaos, and a time to settle."""

import logging
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, NoReturn
from unittest.mock import patch
from uuid import UUID

import structlog
from celery.worker import state as celery_state

from tests.simulation.broker import Present
from tests.simulation.chaos import Chaos
from tests.simulation.hosts import ComputeProcess, Machine
from tests.simulation.plane import Api, Beat, ControlProcess, Database
from tests.simulation.scene import ROUTINE, Scene
from tests.simulation.settled import statuses, unsettled
from tests.simulation.turns import Actor, Life
from tests.simulation.witness import Witness

Process = ComputeProcess | ControlProcess | Beat

#: Simulated seconds: of chaos, between two of its strokes on the average, until all must be well,
#: between two looks whether it is.
_CHAOS_S = (90.0, 220.0)
_STROKE_S = 2.5
_SETTLE_LIMIT_S = 7200.0
_LOOK_S = 10.0

#: Old messages that come once more when all is well.
_LATE_MESSAGES = 12

#: Events in the product's logs that no fault of the world excuses.
_MISTAKES = frozenset(
    {
        "stage.crashed",
        "sweep.failed",
        "heartbeat.failed",
        "survey.failed",
        "message.refused",
        # The nets below the nets: what they catch, others have missed.
        "run.expired",
        "drift.released",
    }
)


@dataclass
class _Routine:
    """What a process does of itself."""

    process: Process
    name: str
    interval_s: float
    work: Callable[[], None]
    next_at: float
    actor: Actor | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of a seed."""

    seed: int
    digest: str
    steps: int
    #: Simulated seconds, and real ones.
    simulated_s: float
    took_s: float
    servers: dict[str, int]
    injected: dict[str, int]
    #: What is wrong; empty if all is well.
    problems: list[str] = field(default_factory=list)


def simulate(seed: int, *, verbose: bool = False) -> Outcome:
    """Run one seed to its end."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="byre-simulation-") as directory:
        scene = Scene(seed, verbose=verbose)
        with _world_of(seed, scene, verbose=verbose):
            simulation = Simulation(scene, Path(directory))
            try:
                simulation.run()
            finally:
                simulation.close()
            counts = simulation.counts()
    return Outcome(
        seed,
        scene.trace.digest,
        simulation.steps,
        scene.clock.now,
        time.monotonic() - began,
        counts,
        dict(scene.injected),
        [*scene.breaches, *scene.crashes, *simulation.problems],
    )


@contextmanager
def _world_of(seed: int, scene: Scene, *, verbose: bool) -> Iterator[None]:
    """Put chance, time, the broker and the logs of this process into the simulation's hands."""
    chance = Random(f"ids of {seed}")  # noqa: S311 - it is to be predictable
    before = random.getstate()

    def drawn(count: int) -> bytes:
        """Threads that earlier tests have left must not draw what the simulation would."""
        return chance.randbytes(count) if scene.turns.is_part() else os.urandom(count)

    with ExitStack() as stack:
        # Celery's own ids stay as they are: nothing depends on them.
        stack.enter_context(patch("uuid.uuid4", lambda: UUID(bytes=drawn(16), version=4)))
        stack.enter_context(patch("secrets.token_bytes", drawn))
        # What dies here is a simulated process, never the machine.
        stack.enter_context(patch("os.fsync", lambda _: None))
        stack.enter_context(_logs_of(scene, verbose=verbose))
        stack.enter_context(scene.clock)
        stack.enter_context(Present(scene.broker))
        random.seed(seed)
        celery_state.reset_state()
        celery_state.revoked.clear()
        try:
            yield
        finally:
            random.setstate(before)


@contextmanager
def _logs_of(scene: Scene, *, verbose: bool) -> Iterator[None]:
    def take(_: Any, method: str, event: dict[str, Any]) -> NoReturn:
        name = str(event.get("event"))
        if name in _MISTAKES:
            scene.crashes.append(f"{name}: {event.get('reason') or event.get('exc_info')}")
        if verbose and method != "info":
            print(f"           log        {name} {event}")
        raise structlog.DropEvent

    processors = structlog.get_config()["processors"]
    kept = processors.copy()
    processors[:] = [structlog.contextvars.merge_contextvars, take]
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        processors[:] = kept
        logging.disable(logging.NOTSET)


class Simulation:
    """A Byre and its world."""

    def __init__(self, scene: Scene, directory: Path) -> None:
        self.scene = scene
        self.steps = 0
        self.problems: list[str] = []
        self.database = Database(directory, scene)
        names = [f"h{number}" for number in range(1, scene.random.choice((3, 4)) + 1)]
        self.machines = {
            name: Machine(name, directory, scene.random.uniform(0.5, 4.0)) for name in names
        }
        self._witness = Witness(scene, self.database, self.machines)
        scene.kill = self._kill_actor
        self._makers: dict[str, Callable[[], Process]] = {
            name: partial(ComputeProcess, scene, machine, self._witness.effect)
            for name, machine in self.machines.items()
        }
        for name in ("control-1", "control-2"):
            self._makers[name] = partial(ControlProcess, scene, self.database, name)
        for name in ("beat-1", "beat-2"):
            self._makers[name] = partial(Beat, self.database, name)
        self._processes: dict[str, Process] = {}
        self._routines: list[_Routine] = []
        #: What is to be done at some time: when, and what.
        self._agenda: list[tuple[float, Callable[[], None]]] = []
        self.api = Api(scene, self.database)
        for machine in self.machines.values():
            machine.fake.send = self.database.arrive
        self._chaos = Chaos(self)

    def run(self) -> None:
        """Begin, wreak havoc, settle, and see that late messages change nothing."""
        for name in self._makers:
            self._start(name)
        self._until(5.0)
        self._until(self.scene.clock.now + self.scene.random.uniform(*_CHAOS_S), chaos=True)
        self._calm()
        if self._settle():
            self._be_late()

    def close(self) -> None:
        """End everything that is still there."""
        for process in self._processes.values():
            process.life.alive = False
        self.api.life.alive = False
        self.scene.turns.bury()
        self._witness.close()
        self.database.engine.dispose()

    def counts(self) -> dict[str, int]:
        """Return how many servers ended in which status."""
        found = list(statuses(self.database.sessions).values())
        return {status: found.count(status) for status in sorted(set(found))}

    def kill(self, name: str, restart_after_s: float) -> None:
        """End a process, and start it again after so many seconds."""
        process = self._processes.get(name)
        if process is None or not process.life.alive:
            return
        self.scene.note("chaos", f"{name} killed for {restart_after_s:.0f} s")
        process.life.alive = False
        if not isinstance(process, Beat):
            process.worker.die(self._visible_at())
        self._agenda.append((self.scene.clock.now + restart_after_s, partial(self._start, name)))

    # --- processes -------------------------------------------------------------------------------

    def _start(self, name: str) -> None:
        process = self._processes.get(name)
        if process is not None and process.life.alive:
            return
        self.scene.note(name, "starts")
        process = self._processes[name] = self._makers[name]()
        now = self.scene.clock.now
        self._routines = [r for r in self._routines if r.process.life.alive]
        self._routines += [
            _Routine(process, what, interval_s, work, now + self.scene.random.random())
            for what, interval_s, work in process.routines
        ]

    def _kill_actor(self, actor: Actor) -> None:
        if actor.life is self.api.life:
            self.api.life = Life("api")
            actor.life.alive = False
        else:
            self.kill(actor.life.name, restart_after_s=self.scene.random.uniform(0.5, 15))

    def _visible_at(self) -> float:
        """A broker with connections hands a dead process's messages out at once; one with time-outs
        does so when these have passed."""
        now, soon = self.scene.clock.now, self.scene.random.random()
        return now + (
            2 * soon if self.scene.random.random() < 0.4 else self.scene.broker.visibility_s
        )

    # --- time ------------------------------------------------------------------------------------

    def _until(self, end: float, *, chaos: bool = False) -> None:
        next_stroke = self.scene.clock.now if chaos else end
        while self.scene.clock.now < end:
            if chaos and self.scene.clock.now >= next_stroke:
                self._chaos.strike()
                next_stroke += self.scene.random.expovariate(1 / _STROKE_S)
            self._step(min(end, next_stroke))

    def _step(self, limit: float) -> None:
        """Let one thing happen, or let time pass until one can, but no longer than the limit."""
        self.steps += 1
        self.scene.turns.bury()
        self._do_due()
        self.scene.broker.hand_out_again()
        choices: list[Callable[[], object]] = [
            partial(self.scene.turns.run, actor) for actor in self.scene.turns.ready()
        ]
        for process in self._processes.values():
            if not isinstance(process, Beat):
                choices += process.worker.choices()
        if choices:
            self.scene.random.choice(choices)()
            self.scene.clock.advance(0.001)
        else:
            self.scene.clock.advance_to(min(limit, self._next_at()))
        if self.scene.dirty:
            self.scene.dirty = False
            self._witness.look()

    def _do_due(self) -> None:
        now = self.scene.clock.now
        for entry in [entry for entry in self._agenda if entry[0] <= now]:
            self._agenda.remove(entry)
            entry[1]()
        for routine in self._routines:
            if routine.next_at <= now and routine.process.life.runs(now):
                routine.next_at = now + routine.interval_s
                if routine.actor is None or routine.actor.done:
                    life = routine.process.life
                    routine.actor = self.scene.turns.spawn(routine.name, life, routine.work)

    def _next_at(self) -> float:
        now, broker = self.scene.clock.now, self.scene.broker
        moments = [at for at, _ in self._agenda]
        moments += [
            max(routine.next_at, routine.process.life.frozen_until)
            for routine in self._routines
            if routine.process.life.alive
        ]
        for process in self._processes.values():
            if not isinstance(process, Beat):
                moments += process.worker.wakes()
        moments += self.scene.turns.wakes()
        moments += [held.visible_at for held in broker.held]
        moments += [parcel.not_before for parcel in broker.waiting()]
        moments += [broker.down_until, *broker.cut_off_until.values()]
        lives = (self.api.life, *(process.life for process in self._processes.values()))
        moments += [life.frozen_until for life in lives]
        return min((at for at in moments if at > now), default=now + 1.0)

    # --- the end ---------------------------------------------------------------------------------

    def _calm(self) -> None:
        """Bring everything back; what was done stays done."""
        scene = self.scene
        scene.note("chaos", "ends")
        scene.traps.clear()
        scene.broker.down_until = 0.0
        scene.broker.cut_off_until.clear()
        for machine in self.machines.values():
            machine.daemon_down_until = 0.0
            for faults in (machine.fake.faults.before, machine.fake.faults.after):
                faults.clear()
        for life in (self.api.life, *(process.life for process in self._processes.values())):
            life.frozen_until = 0.0
        self._agenda = [(scene.clock.now, what) for _, what in self._agenda]

    def _settle(self) -> bool:
        """Let time pass until all is well, or say what is not."""
        end = self.scene.clock.now + _SETTLE_LIMIT_S
        left = ["not looked yet"]
        while left and self.scene.clock.now < end and not self.scene.breaches:
            self._until(self.scene.clock.now + _LOOK_S)
            left = self._unsettled()
        self.problems += left
        self.scene.note("settled", f"after {self.scene.clock.now - end + _SETTLE_LIMIT_S:.0f} s")
        return not left

    def _unsettled(self) -> list[str]:
        asked = [a.name for a in self.scene.turns.actors if a.life is self.api.life]
        left = unsettled(self.database.sessions, self.machines, self.api.deleted)
        return [*left, *(f"a request to {name} is not answered" for name in asked)]

    def _be_late(self) -> None:
        """Send old messages once more: nothing may change by them."""
        before = statuses(self.database.sessions)
        old = [p for p in self.scene.broker.history if p.task not in ROUTINE]
        for parcel in self.scene.random.sample(old, min(_LATE_MESSAGES, len(old))):
            self.scene.note("chaos", f"again: {parcel.task}")
            self.scene.broker.add_copy(parcel, self.scene.clock.now)
        self._until(self.scene.clock.now + _LOOK_S)
        self._settle()
        after = statuses(self.database.sessions)
        self.problems += [
            f"late messages changed server {server_id} from {status} to {after[server_id]}"
            for server_id, status in before.items()
            if after[server_id] != status
        ]
