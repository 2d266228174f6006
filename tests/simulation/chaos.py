"""What is done to a Byre: wishes of its users, and all that can go wrong, by weights."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlalchemy import select

from app.db.models import Server
from app.db.session import reading
from tasks.errors import HostBusy, HostError, HostFull, HostGone
from tasks.messages import BootProof, DomainSpec, MachineSpec
from tasks.pipelines import ACTIONS, CONFIRM_RESIZE, MIGRATE, RESIZE, REVERT_RESIZE
from tests.drivers.values import NETWORK, make_first_boot, make_job, make_port
from tests.simulation.broker import Parcel
from tests.simulation.hosts import Machine
from tests.simulation.scene import ROUTINE, Trap, TrapKind

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

_VERBS = (
    "ensure_image",
    "ensure_root_disk",
    "ensure_config_drive",
    "ensure_port",
    "define",
    "start",
    "shut_down",
    "cut_power",
    "pause",
    "suspend",
    "observe",
    "remove_domain",
    "remove_ports",
    "remove_disks",
    "keep_disks",
    "reshape_disks",
    "restore_disks",
    "drop_disks",
    "take_snapshot",
    "send_snapshot",
    "fetch_disk",
)
_ACTIONS = [*sorted(ACTIONS), *(2 * [RESIZE, MIGRATE, CONFIRM_RESIZE, REVERT_RESIZE])]
_ERRORS = (HostError, HostFull, HostGone, HostBusy)
_PLACES = ("verb", "put", "commit")


class Chaos:
    """Does one thing at a time to a simulation."""

    def __init__(self, simulation: "Simulation") -> None:
        self._simulation, self._scene = simulation, simulation.scene
        self._random = simulation.scene.random
        self._weights: dict[Callable[[], object], int] = {
            self.create: 22,
            self.delete: 10,
            self.act: 14,
            self.set_trap: 26,
            self.kill_worker: 5,
            self.host_away: 2,
            self.kill_control: 3,
            self.cut_off: 3,
            self.broker_down: 2,
            self.flush: 1,
            self.lose: 4,
            self.double: 6,
            self.delay: 5,
            self.replay: 5,
            self.fail_verb: 8,
            self.daemon_down: 2,
            self.stop_guest: 2,
            self.remove_domain: 2,
            self.never_boot: 1,
            self.plant_alien: 1,
        }

    def strike(self) -> None:
        """Do something."""
        kinds = list(self._weights)
        [chosen] = self._random.choices(kinds, list(self._weights.values()))
        if chosen() is not False:
            self._scene.injected[getattr(chosen, "__name__", "")] += 1

    # --- wishes ----------------------------------------------------------------------------------

    def create(self) -> None:
        """Ask for servers."""
        large, count = self._random.random() < 0.2, self._random.choice((1, 1, 1, 2, 3))
        self._note(f"wish: create {count}{' large' if large else ''}")
        self._simulation.api.create(large=large, count=count)

    def delete(self) -> bool:
        """Ask for a server's end, whatever it is doing."""
        with reading(self._simulation.database.sessions) as session:
            query = select(Server.id).where(Server.deleted_at.is_(None))
            there = list(session.scalars(query.order_by(Server.created_at, Server.id)))
        if not there:
            return False
        server_id = self._random.choice(there)
        self._note(f"wish: delete {server_id}")
        self._simulation.api.delete(server_id)
        return True

    def act(self) -> bool:
        """Ask for an action on a server, whether it is in the right state for it or not."""
        with reading(self._simulation.database.sessions) as session:
            query = select(Server.id).where(Server.deleted_at.is_(None))
            there = list(session.scalars(query.order_by(Server.created_at, Server.id)))
        if not there:
            return False
        server_id, pipeline = self._random.choice(there), self._random.choice(_ACTIONS)
        self._note(f"wish: {pipeline} {server_id}")
        self._simulation.api.act(server_id, pipeline)
        return True

    # --- processes -------------------------------------------------------------------------------

    def set_trap(self) -> bool:
        """Have something happen at a point that is still to come."""
        kind: TrapKind = self._random.choice(
            ("kill", "kill", "kill_child", "stall", "freeze", "lost_answer")
        )
        place = "put" if kind == "lost_answer" else self._random.choice(_PLACES)
        countdown, seconds = self._random.randint(1, 30), self._random.choice((3.0, 30.0, 150.0))
        self._scene.traps.append(Trap(kind, place, countdown, seconds))
        return False  # it counts when it is hit

    def kill_worker(self) -> None:
        """End a machine's worker; its supervisor starts it again soon."""
        name = self._random.choice(list(self._simulation.machines))
        self._simulation.kill(name, restart_after_s=self._random.uniform(0.5, 15))

    def host_away(self) -> None:
        """End a machine's worker for so long that the host is given up."""
        name = self._random.choice(list(self._simulation.machines))
        self._simulation.kill(name, restart_after_s=self._random.uniform(110, 300))

    def kill_control(self) -> None:
        """End a control worker."""
        name = self._random.choice(("control-1", "control-2"))
        self._simulation.kill(name, restart_after_s=self._random.uniform(0.5, 30))

    # --- the network and the broker --------------------------------------------------------------

    def cut_off(self) -> None:
        """Keep one process from the broker. What it is doing it goes on doing."""
        name = self._random.choice([*self._simulation.machines, "control-1", "control-2", "api"])
        seconds = self._random.choice((5.0, 50.0, 200.0))
        self._note(f"{name} cut off for {seconds:.0f} s")
        self._scene.broker.cut_off_until[name] = self._scene.clock.now + seconds

    def broker_down(self) -> None:
        """Let nobody reach the broker for a while."""
        seconds = self._random.choice((2.0, 15.0, 60.0))
        self._note(f"broker down for {seconds:.0f} s")
        self._scene.broker.down_until = self._scene.clock.now + seconds

    def flush(self) -> None:
        """Let the broker lose everything."""
        self._note("broker loses everything")
        self._scene.broker.flush()

    def lose(self) -> bool:
        """Let one message be lost."""
        parcel = self._waiting()
        if parcel is not None:
            self._note(f"lost: {parcel.task}")
            self._scene.broker.queues[parcel.queue].remove(parcel)
        return parcel is not None

    def double(self) -> bool:
        """Let one message be there twice."""
        parcel = self._waiting()
        if parcel is not None:
            self._note(f"doubled: {parcel.task}")
            self._scene.broker.add_copy(parcel, self._scene.clock.now + self._random.expovariate(1))
        return parcel is not None

    def delay(self) -> bool:
        """Let one message be late; others pass it by."""
        parcel = self._waiting()
        if parcel is not None:
            seconds = self._random.choice((2.0, 20.0, 100.0, 400.0))
            self._note(f"delayed by {seconds:.0f} s: {parcel.task}")
            parcel.not_before = self._scene.clock.now + seconds
        return parcel is not None

    def replay(self) -> bool:
        """Let an old message come once more."""
        old = [p for p in self._scene.broker.history if p.task not in ROUTINE]
        if not old:
            return False
        parcel = self._random.choice(old)
        self._note(f"again: {parcel.task}")
        self._scene.broker.add_copy(parcel, self._scene.clock.now)
        return True

    # --- machines --------------------------------------------------------------------------------

    def fail_verb(self) -> None:
        """Let a driver's verb fail some times in a row, before or after its effect."""
        machine, verb = self._machine(), self._random.choice(_VERBS)
        error, times = self._random.choice(_ERRORS), self._random.choice((1, 1, 2, 6))
        when = self._random.choice(("before", "after"))
        self._note(f"{machine.name}: {verb} fails {times} times {when} its effect: {error.code}")
        faults = getattr(machine.fake.faults, when)[verb]
        faults.extend(error("An injected failure.") for _ in range(times))

    def daemon_down(self) -> None:
        """Let a machine's daemon not answer for a while."""
        machine, seconds = self._machine(), self._random.choice((2.0, 12.0, 60.0))
        self._note(f"{machine.name}: daemon down for {seconds:.0f} s")
        machine.daemon_down_until = self._scene.clock.now + seconds

    def stop_guest(self) -> bool:
        """Let a guest stop by itself, or crash."""
        found = self._guest()
        if found is None:
            return False
        machine, server_id = found
        self._note(f"{machine.name}: guest {server_id} stops")
        machine.fake.end_guest(server_id)
        return True

    def remove_domain(self) -> bool:
        """Let somebody remove a domain behind our back."""
        found = self._guest()
        if found is None:
            return False
        machine, server_id = found
        self._note(f"{machine.name}: domain {server_id} is removed")
        machine.fake.forget_domain(server_id)
        return True

    def never_boot(self) -> bool:
        """Let a guest hang while it boots."""
        found = self._guest()
        if found is None:
            return False
        machine, server_id = found
        self._note(f"{machine.name}: guest {server_id} hangs")
        machine.fake.never_boot.add(server_id)
        return True

    def plant_alien(self) -> None:
        """Leave a domain with our mark on a machine, of a server that nobody knows."""
        machine, job, port = self._machine(), make_job(), make_port()
        hardware = MachineSpec(name="alien", vcpus=1, memory_mib=64, root_gib=1)
        boot = BootProof(proof="running", console_text="", limit_s=60)
        with machine.undisturbed() as fake:
            drive = fake.ensure_config_drive(
                job.server_id, job.project_id, make_first_boot(), [NETWORK], [port]
            )
            fake.ensure_port(NETWORK, port, "alien")
            spec = DomainSpec(machine=hardware, disks=[drive], ports=[port], boot=boot)
            fake.define(job, spec)
            fake.start(job.server_id)
        self._note(f"{machine.name}: alien {job.server_id}")

    # --- choices ---------------------------------------------------------------------------------

    def _machine(self) -> Machine:
        return self._random.choice(list(self._simulation.machines.values()))

    def _guest(self) -> tuple[Machine, str] | None:
        guests = [(m, s) for m in self._simulation.machines.values() for s in sorted(m.running())]
        return self._random.choice(guests) if guests else None

    def _waiting(self) -> Parcel | None:
        parcels = [p for p in self._scene.broker.waiting() if p.task not in ROUTINE]
        return self._random.choice(parcels) if parcels else None

    def _note(self, what: str) -> None:
        self._scene.note("chaos", what)
