"""Simulated machines: a fake hypervisor that outlives its workers, and the lives of its worker."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

from config.queues import compute_queue
from config.settings import ComputeSettings
from tasks.errors import HostGone
from tasks.messages import Thing
from tests.simulation.broker import unlimited, url_of
from tests.simulation.scene import Scene
from tests.simulation.turns import Life
from tests.simulation.workers import Worker
from workers.compute import make_worker
from workers.heartbeat import Heart
from workers.hypervisor.fake import FakeHypervisor
from workers.hypervisor.fake.faults import Faults
from workers.hypervisor.journal import Journal
from workers.hypervisor.port import Hypervisor, Watcher
from workers.surveyor import Surveyor

#: Told of each verb before it has its effect: machine, verb, the message that it is part of, and
#: its arguments.
Witness = Callable[["Machine", str, dict[str, Any], tuple[Any, ...]], None]

HEARTBEAT_S = 10.0
SURVEY_S = 30.0


class Machine:
    """A hypervisor's hardware: what is on it stays, whatever becomes of its worker."""

    def __init__(self, name: str, directory: Path, boot_after_s: float) -> None:
        #: What its worker keeps, from one life to the next.
        self.name, self.state_dir = name, directory / f"state-{name}"
        self.fake = FakeHypervisor(
            vcpus=8, memory_mib=1536, disk_gib=40, boot_after_s=boot_after_s, now=time.time
        )
        #: Its hypervisor's daemon does not answer until then.
        self.daemon_down_until = 0.0

    def things(self) -> list[Thing]:
        """Return everything with our mark that is on it."""
        return self.fake.survey()

    @contextmanager
    def undisturbed(self) -> Iterator[FakeHypervisor]:
        """Give the hypervisor for what is none of the product's doing: no fault is for it."""
        faults, self.fake.faults = self.fake.faults, Faults()
        try:
            yield self.fake
        finally:
            self.fake.faults = faults

    def running(self) -> set[str]:
        """Return ids of servers whose domain runs on it."""
        return {
            str(thing.server_id)
            for thing in self.things()
            if thing.kind == "domain" and thing.state == "running"
        }


class Wire:
    """How one life of a worker reaches its machine: each verb has a point before and after it."""

    def __init__(self, scene: Scene, machine: Machine, life: Life, witness: Witness) -> None:
        self._scene, self._machine, self._life, self._witness = scene, machine, life, witness

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        return partial(self._call, verb)

    def watch(self, watcher: Watcher) -> None:
        """Tell this life of changes, in an actor of its own."""

        def tell(server_id: str, state: Any) -> None:
            if self._life.runs(self._scene.clock.now):
                work = partial(watcher, server_id, state)
                self._scene.turns.spawn("domain_change", self._life, work)

        self._machine.fake.watch(tell)

    def close(self) -> None:
        """The machine stays."""

    def _call(self, verb: str, *args: Any, **kwargs: Any) -> Any:
        self._scene.point(f"verb {verb}")
        if self._scene.clock.now < self._machine.daemon_down_until:
            raise HostGone("The simulated hypervisor's daemon does not answer.")
        actor = self._scene.turns.current
        self._witness(self._machine, verb, actor.about if actor else {}, args)
        result = getattr(self._machine.fake, verb)(*args, **kwargs)
        self._scene.point(f"verb {verb} done")
        return result


class _PatientJournal(Journal):
    """Waits for a server's lock in simulated time, for the thread that holds it has no turn."""

    @contextmanager
    def hold(self, server_id: str, limit_s: float = 1.0) -> Iterator[None]:
        """See Journal."""
        lock, _ = self._held.get(server_id, (None, 0))
        if lock is not None and lock.locked():
            time.sleep(limit_s)
        with super().hold(server_id, 0.0):
            yield


class ComputeProcess:
    """One life of a machine's worker."""

    def __init__(self, scene: Scene, machine: Machine, witness: Witness) -> None:
        name = machine.name
        self.life = Life(name)
        settings = ComputeSettings.model_validate(
            {
                "broker_url": url_of(name),
                "host": name,
                "driver": "fake",
                "state_dir": machine.state_dir,
                "heartbeat_interval_s": HEARTBEAT_S,
                "survey_interval_s": SURVEY_S,
            }
        )
        wire = cast("Hypervisor", Wire(scene, machine, self.life, witness))
        hosted = make_worker(settings, wire, _PatientJournal(machine.state_dir / "journal"))
        slots = settings.compute_threads
        self.worker = Worker(
            scene, unlimited(hosted.celery), self.life, [compute_queue(name)], slots
        )
        heart, surveyor = Heart(hosted), Surveyor(hosted)
        wire.watch(surveyor._tell)
        #: What it does of itself, and how often.
        self.routines: list[tuple[str, float, Callable[[], None]]] = [
            ("heartbeat", HEARTBEAT_S, heart._turn),
            ("survey", SURVEY_S, surveyor._look),
        ]
