"""What all parts of a fake host share: what it was made with, what it has, and who is told."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import structlog

from tasks.errors import ForeignOwner, HostError, NotRunning
from tasks.messages import ImageSource, ImageUpload, MachineSpec, Password
from workers.hypervisor import names
from workers.hypervisor.fake.faults import Faulty, verb
from workers.hypervisor.fake.state import FakeState, Guest
from workers.hypervisor.image_cache.rules import CacheRules
from workers.hypervisor.port import Domain, Watcher

log = structlog.get_logger(__name__)

#: Where disks are said to lie; no file is made there.
DIRECTORY = "/fake/"


class Host(Faulty):
    """One host in memory, safe for threads; with `state`, in that file as well, where the next
    process finds it as it was, its guests running on."""

    def __init__(  # noqa: PLR0913 - all by name, each with a default
        self,
        *,
        vcpus: int = 8,
        memory_mib: int = 32 * 1024,
        disk_gib: int = 500,
        dedicated_vcpus: int = 0,
        physical_networks: Sequence[str] = (),
        boot_after_s: float = 0.0,
        fetch: Callable[[ImageSource], Any] | None = None,
        send: Callable[[Path, ImageUpload, float], Any] | None = None,
        now: Callable[[], float] = time.time,
        state: Path | None = None,
        cache_rules: CacheRules | None = None,
    ) -> None:
        super().__init__()
        self._cache_rules = cache_rules or CacheRules()
        self.vcpus = vcpus
        self.memory_mib = memory_mib
        self.disk_gib = disk_gib
        #: Processors for guests with processors of their own, beside `vcpus`.
        self.dedicated_vcpus = dedicated_vcpus
        self._physical_networks = list(physical_networks)
        #: By server: what its guest's agent was told last.
        self.passwords: dict[str, Password] = {}
        #: Server -> how many NMIs it has had.
        self.nmis: Counter[str] = Counter()
        #: Seconds from a domain's start to its address, agent and `login:`.
        self.boot_after_s = boot_after_s
        #: Servers whose guest never gets anywhere.
        self.never_boot: set[str] = set()
        self._fetch = fetch
        #: How images are sent, if they are.
        self.send = send
        self._now = now
        self._state = FakeState(state)
        #: As they were asked for last.
        self.networks = self._state.networks
        self._ports = self._state.entries
        self._watchers: list[Watcher] = []
        #: Servers whose domains changed, and nobody was told yet.
        self._changed: list[str] = []
        self._firewall_lost = False

    @verb
    def watch(self, watcher: Watcher) -> None:
        """Tell the watcher of changes, in the thread of the verb that made them."""
        self._watchers.append(watcher)

    def close(self) -> None:
        """Let go of the file that the host is kept in, if it is."""
        self._state.close()

    def settle(self) -> None:
        """Tell the watchers what has changed, with the lock left: they may take their time."""
        with self.lock:
            changed, self._changed = self._changed, []
            guests = [(server_id, self._state.guests.get(server_id)) for server_id in changed]
            watchers = list(self._watchers)
        for server_id, guest in guests:
            for watcher in watchers:
                try:
                    watcher(server_id, None if guest is None else guest.state)
                except Exception:
                    # As on a real host: a watcher's trouble is not the verb's.
                    log.exception("watcher.failed")

    def _find(self, server_id: str) -> Domain | None:
        if names.checked(server_id) in self._state.foreign:
            raise ForeignOwner("A domain that is not ours has the server's id.", server=server_id)
        guest = self._state.guests.get(server_id)
        return None if guest is None else domain_of(guest)

    def _there(self, server_id: str) -> Guest:
        """Return the guest. Raises HostError if there is none, ForeignOwner."""
        if self._find(server_id) is None:
            raise HostError("The server's domain is not defined.", server=server_id)
        return self._state.guests[server_id]

    def _on(self, server_id: str) -> Guest:
        """Return the guest whose machine is on. Raises NotRunning, ForeignOwner."""
        guest = self._find(server_id) and self._state.guests[server_id]
        if not guest or guest.state not in {"running", "paused"}:
            raise NotRunning("The server does not run.", server=server_id)
        return guest

    def _refuse_running(self, server_id: str) -> None:
        domain = self._find(server_id)
        if domain is not None and domain.state in {"running", "paused"}:
            raise HostError("The server is not off.", server=server_id)

    def _change(self, server_id: str, *, told: bool = True, **changes: object) -> Guest:
        guest = self._state.guests[server_id].model_copy(update=changes)
        self._state.guests[server_id] = guest
        if told:
            self._changed.append(server_id)
        return guest

    def _forget(self, server_id: str) -> None:
        if self._state.guests.pop(server_id, None) is not None:
            self._changed.append(server_id)

    def _is_up(self, server_id: str, guest: Guest) -> bool:
        booting_s = self._now() - guest.started_at
        booted = guest.state == "running" and booting_s >= self.boot_after_s
        return booted and server_id not in self.never_boot

    def _has_disk(self, path: str) -> bool:
        return path.removeprefix(DIRECTORY) in self._state.files

    def _used_gib(self) -> int:
        machines = [guest.spec.machine for guest in self._state.guests.values()]
        return sum(machine.root_gib + machine.ephemeral_gib for machine in machines)

    def _free_processors(self, except_for: str = "") -> int:
        others = [g for server_id, g in self._state.guests.items() if server_id != except_for]
        return self.dedicated_vcpus - sum(own_processors(g.spec.machine) for g in others)


def own_processors(machine: MachineSpec) -> int:
    """Return how many of the host's processors are for nobody but this machine."""
    return machine.vcpus if machine.cpu_policy == "dedicated" else 0


def domain_of(guest: Guest) -> Domain:
    """Return the guest's domain as the port shows it."""
    return Domain(
        server_id=guest.owner.server_id,
        run_id=guest.owner.run_id,
        attempt=guest.owner.attempt,
        state=guest.state,
    )
