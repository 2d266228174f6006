"""A hypervisor in memory: product code for tests, for benchmarks and for a first look at Byre.

It keeps the port's contract (tests/drivers runs the same suite on it and on libvirt), fails and
lingers where it is told to, and its guests boot after a settable time, or never. Nothing is
downloaded unless an image cache is given.
"""

import functools
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar

from tasks.errors import ForeignOwner, HostError, HostFull, StaleMessage
from tasks.messages import (
    DiskRef,
    DomainSpec,
    FirstBoot,
    ImageSource,
    Inventory,
    Job,
    NetworkSpec,
    PortSpec,
)
from workers.hypervisor import names
from workers.hypervisor.port import Domain, DomainState, Observation

_P = ParamSpec("_P")
_R = TypeVar("_R")


@dataclass
class _Guest:
    """A domain of ours as the fake keeps it."""

    owner: Job
    spec: DomainSpec
    state: DomainState = "shutoff"
    started_at: float = 0.0
    console: str = ""


@dataclass
class Faults:
    """What is to go wrong, by verb: errors raised in this order, one a call, and seconds to wait
    before each call. `after` errors are raised when the verb has done its work: the answer is
    lost, not the effect."""

    before: dict[str, list[Exception]] = field(default_factory=lambda: defaultdict(list))
    after: dict[str, list[Exception]] = field(default_factory=lambda: defaultdict(list))
    delay_s: dict[str, float] = field(default_factory=dict)


def _verb(
    function: Callable[Concatenate["FakeHypervisor", _P], _R],
) -> Callable[Concatenate["FakeHypervisor", _P], _R]:
    """Count the call, wait and fail as told, and keep other threads out meanwhile; but a download
    excludes nobody, as on a real host."""
    name = function.__name__

    @functools.wraps(function)
    def called(self: "FakeHypervisor", /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        time.sleep(self.faults.delay_s.get(name, 0.0))
        with self.lock:
            self.calls[name] += 1
            _raise_next(self.faults.before, name)
        with nullcontext() if name == "ensure_image" else self.lock:
            result = function(self, *args, **kwargs)
        with self.lock:
            _raise_next(self.faults.after, name)
        return result

    return called


class FakeHypervisor:
    """One hypervisor host in memory, safe for threads."""

    def __init__(
        self,
        *,
        vcpus: int = 8,
        memory_mib: int = 32 * 1024,
        disk_gib: int = 500,
        boot_after_s: float = 0.0,
        fetch: Callable[[ImageSource], Any] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.vcpus = vcpus
        self.memory_mib = memory_mib
        self.disk_gib = disk_gib
        #: Seconds from a domain's start to its address, agent and `login:`.
        self.boot_after_s = boot_after_s
        #: Servers whose guest never gets anywhere.
        self.never_boot: set[str] = set()
        self.faults = Faults()
        #: How often each verb was called.
        self.calls: Counter[str] = Counter()
        self.lock = threading.RLock()
        self._fetch = fetch
        self._now = now
        self._images: set[str] = set()
        self._guests: dict[str, _Guest] = {}
        self._foreign: set[str] = set()
        self._disks: dict[str, dict[str, DiskRef]] = defaultdict(dict)
        self._ports: dict[str, PortSpec] = {}

    # --- for tests: what others do on the host -------------------------------------------------

    def plant_foreign_domain(self, server_id: str) -> None:
        """Put a domain of that UUID there that is not ours."""
        with self.lock:
            self._foreign.add(server_id)

    def forget_domain(self, server_id: str) -> None:
        """Take the domain away, whoever's it is, as an operator may."""
        with self.lock:
            self._foreign.discard(server_id)
            self._guests.pop(server_id, None)

    def end_guest(self, server_id: str, state: DomainState = "shutoff") -> None:
        """Let the guest stop by itself (`shutoff`) or die (`crashed`)."""
        with self.lock:
            self._guests[server_id].state = state

    # --- the port ------------------------------------------------------------------------------

    @_verb
    def inventory(self) -> Inventory:
        """Return what the host was made with, and what is left of its disk."""
        used = sum(guest.spec.machine.root_gib for guest in self._guests.values())
        return Inventory(
            vcpus=self.vcpus,
            memory_mib=self.memory_mib,
            disk_gib=self.disk_gib,
            free_disk_gib=max(0, self.disk_gib - used),
            hypervisor_type="fake",
            hypervisor_version=1_000_000,
            domain_type="qemu",
            architecture="x86_64",
            cpu_model="fake",
            running_domains=sum(guest.state == "running" for guest in self._guests.values()),
        )

    @_verb
    def ensure_image(self, image: ImageSource) -> None:
        """Note the image; fetch it first, if the fake was told how."""
        if self._fetch is not None:
            self._fetch(image)
        with self.lock:
            self._images.add(image.sha256)

    @_verb
    def ensure_root_disk(self, server_id: str, image: ImageSource, size_gib: int) -> DiskRef:
        """Note a root disk. Raises HostFull if it is larger than the whole host."""
        if size_gib > self.disk_gib:
            raise HostFull("The host has no room for the disk.", size_gib=size_gib)
        if image.sha256 not in self._images:
            raise HostError("The image is not in the host's cache.", image=image.image_id)
        return self._ensure_disk(server_id, names.root_disk_file(server_id), "root")

    @_verb
    def ensure_config_drive(
        self,
        server_id: str,
        project_id: str,
        first_boot: FirstBoot,
        networks: list[NetworkSpec],
        ports: list[PortSpec],
    ) -> DiskRef:
        """Note a config drive."""
        return self._ensure_disk(server_id, names.config_drive_file(server_id), "config")

    @_verb
    def remove_disks(self, server_id: str) -> None:
        """Forget the server's disks."""
        self._disks.pop(names.checked(server_id), None)

    @_verb
    def ensure_port(self, network: NetworkSpec, port: PortSpec, hostname: str) -> None:
        """Note the port: its DHCP entry and its filter."""
        names.network_name(network.network_id)
        names.filter_name(port.port_id)
        self._ports[port.port_id] = port

    @_verb
    def remove_ports(self, server_id: str, ports: list[PortSpec]) -> None:
        """Forget the ports."""
        names.checked(server_id)
        for port in ports:
            self._ports.pop(port.port_id, None)

    @_verb
    def find(self, server_id: str) -> Domain | None:
        """Return the server's domain, or None. Raises ForeignOwner."""
        return self._find(server_id)

    @_verb
    def define(self, job: Job, spec: DomainSpec) -> Domain:
        """Note the domain. Raises ForeignOwner, HostError if a disk is not there, StaleMessage."""
        found = self._find(job.server_id)
        _refuse_older_attempt(found, job)
        there = {disk.path for disk in self._disks[job.server_id].values()}
        missing = [disk.path for disk in spec.disks if disk.path not in there]
        if missing:
            raise HostError("A disk of the server is not there.", missing=missing)
        guest = self._guests.setdefault(job.server_id, _Guest(owner=job, spec=spec))
        guest.owner, guest.spec = job, spec
        return _domain(guest)

    @_verb
    def start(self, server_id: str) -> Domain:
        """Let the guest begin to boot. Raises ForeignOwner, HostError, HostFull."""
        if self._find(server_id) is None:
            raise HostError("The domain to start is not defined.", server=server_id)
        guest = self._guests[server_id]
        if guest.spec.machine.memory_mib > self.memory_mib:
            raise HostFull("The host has not enough memory to start the server.")
        if guest.state != "running":
            guest.state, guest.started_at = "running", self._now()
        return _domain(guest)

    @_verb
    def remove_domain(self, server_id: str) -> None:
        """Forget the domain. Raises ForeignOwner."""
        if self._find(server_id) is not None:
            del self._guests[server_id]

    @_verb
    def observe(self, server_id: str, ports: list[PortSpec]) -> Observation:
        """Show a guest that is up once its time has passed. Raises ForeignOwner."""
        domain = self._find(server_id)
        if domain is None:
            return Observation(state=None, address=None, agent=None, console="")
        guest = self._guests[server_id]
        up = self._is_up(server_id, guest)
        if up and "login:" not in guest.console:
            guest.console = f"{domain.server_id} login: "
        known = [port.address for port in ports if port.port_id in self._ports]
        return Observation(
            state=guest.state,
            address=known[0] if up and known else None,
            agent=True if up else None,
            console=guest.console,
        )

    @_verb
    def traces(self, server_id: str, ports: list[PortSpec]) -> list[str]:
        """Name what is still noted of the server. Raises ForeignOwner."""
        domain = self._find(server_id)
        found = [] if domain is None else [f"domain {names.domain_name(server_id)}"]
        found += [f"disk {disk.path}" for disk in self._disks.get(server_id, {}).values()]
        for port in ports:
            if port.port_id in self._ports:
                found += [f"dhcp entry {port.mac}", f"filter {names.filter_name(port.port_id)}"]
        return found

    def close(self) -> None:
        """Nothing to let go of."""

    # --- inside ----------------------------------------------------------------------------------

    def _ensure_disk(self, server_id: str, name: str, role: Literal["root", "config"]) -> DiskRef:
        disk = DiskRef(
            role=role, path=f"/fake/{name}", disk_format="qcow2" if role == "root" else "raw"
        )
        return self._disks[server_id].setdefault(role, disk)

    def _find(self, server_id: str) -> Domain | None:
        if names.checked(server_id) in self._foreign:
            raise ForeignOwner("A domain that is not ours has the server's id.", server=server_id)
        guest = self._guests.get(server_id)
        return None if guest is None else _domain(guest)

    def _is_up(self, server_id: str, guest: _Guest) -> bool:
        booting_s = self._now() - guest.started_at
        booted = guest.state == "running" and booting_s >= self.boot_after_s
        return booted and server_id not in self.never_boot


def _raise_next(faults: dict[str, list[Exception]], verb: str) -> None:
    waiting = faults.get(verb)
    if waiting:
        raise waiting.pop(0)


def _domain(guest: _Guest) -> Domain:
    return Domain(
        server_id=guest.owner.server_id,
        run_id=guest.owner.run_id,
        attempt=guest.owner.attempt,
        state=guest.state,
    )


def _refuse_older_attempt(found: Domain | None, job: Job) -> None:
    if found is not None and found.run_id == job.run_id and found.attempt > job.attempt:
        raise StaleMessage("The domain belongs to a newer attempt.", attempt=found.attempt)
