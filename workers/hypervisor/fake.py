"""A hypervisor in memory: product code for tests, for benchmarks and for a first look at Byre.

It keeps the port's contract (tests/drivers runs the same suite on it and on libvirt), fails and
lingers where it is told to, and its guests boot after a settable time, or never. Nothing is
downloaded unless an image cache is given, and nothing sent unless it is told how.
"""

import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import structlog

from tasks.errors import (
    ByreError,
    Conflict,
    ForeignOwner,
    HostError,
    HostFull,
    ImageUnusable,
    NoConsole,
    NotRunning,
    StaleMessage,
)
from tasks.messages import (
    BuildSpec,
    CachedImage,
    ConsoleKind,
    Diagnosis,
    DiskRef,
    DiskRole,
    DomainSpec,
    DomainState,
    FirewallSpec,
    FirstBoot,
    ImageSource,
    ImageUpload,
    Inventory,
    Job,
    MachineSpec,
    NetworkSpec,
    Outline,
    Password,
    PortSpec,
    StoredFormat,
    Thing,
)
from workers.hypervisor import names
from workers.hypervisor.fake_consoles import serve_console
from workers.hypervisor.fake_faults import Faulty, verb
from workers.hypervisor.fake_images import (
    cached_bytes,
    cached_images,
    is_cached,
    note_image,
    prune_images,
)
from workers.hypervisor.fake_snapshots import write_blank_image
from workers.hypervisor.fake_state import Base, FakeState, Guest, There
from workers.hypervisor.fake_things import (
    add_file,
    all_things,
    keep_rules,
    remove_rules,
    remove_thing,
    remove_what_hangs_on_it,
    rules_of,
    set_file_aside,
)
from workers.hypervisor.fake_use import use_of
from workers.hypervisor.fake_xml import fake_xml
from workers.hypervisor.firewall_state import FirewallState, HostNetwork, merged
from workers.hypervisor.image_cache.rules import CacheRules
from workers.hypervisor.own_disks import disks_to_be, own_disks
from workers.hypervisor.port import NO_AGENT, Domain, Observation, Watcher
from workers.hypervisor.things import check, server_of

log = structlog.get_logger(__name__)

_DIRECTORY = "/fake/"
_GIB = 1024**3


class FakeHypervisor(Faulty):
    """One hypervisor host in memory, safe for threads; with `state`, in that file as well, where
    the next process finds it as it was, its guests running on."""

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
        #: As they were asked for last.
        self.networks: dict[str, NetworkSpec] = {}
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
        self._ports = self._state.entries
        self._watchers: list[Watcher] = []
        #: Servers whose domains changed, and nobody was told yet.
        self._changed: list[str] = []
        self._firewall_lost = False

    # --- for tests: what others do on the host -------------------------------------------------

    def plant_foreign_domain(self, server_id: str) -> None:
        """Put a domain of that UUID there that is not ours."""
        with self.lock:
            self._state.foreign[server_id] = There()

    def forget_domain(self, server_id: str) -> None:
        """Take the domain away, whoever's it is, as an operator may."""
        with self.lock:
            self._state.foreign.pop(server_id, None)
            self._forget(server_id)
        self.settle()

    def end_guest(self, server_id: str, state: DomainState = "shutoff") -> None:
        """Let the guest stop by itself (`shutoff`) or die (`crashed`)."""
        with self.lock:
            self._change(server_id, state=state)
        self.settle()

    def spec_of(self, server_id: str) -> DomainSpec:
        """Return the server's domain as it was defined."""
        with self.lock:
            return self._state.guests[server_id].spec

    def firewall(self) -> FirewallState:
        """Return what the host was told of its ports' security groups."""
        with self.lock:
            return rules_of(self._state)

    def lose_firewall(self) -> None:
        """Let the host's rules be flushed, as an operator may."""
        with self.lock:
            self._firewall_lost = True

    # --- the port ------------------------------------------------------------------------------

    @verb
    def inventory(self) -> Inventory:
        """Return what the host was made with, and what is left of its disk."""
        guests = self._state.guests.values()
        return Inventory(
            vcpus=self.vcpus,
            memory_mib=self.memory_mib,
            disk_gib=self.disk_gib,
            free_disk_gib=max(0, self.disk_gib - self._used_gib()),
            image_cache_bytes=cached_bytes(self._state),
            hypervisor_type="fake",
            hypervisor_version=1_000_000,
            domain_type="qemu",
            architecture="x86_64",
            cpu_model="fake",
            running_domains=sum(guest.state == "running" for guest in guests),
            uefi=True,
            vif_limits=True,
            dedicated_vcpus=self.dedicated_vcpus,
            free_dedicated_vcpus=self._free_processors(),
            physical_networks=self._physical_networks,
            uptime=" 12:00:00 up 1 day,  2:03,  0 users,  load average: 0.00, 0.00, 0.00",
        )

    @verb
    def ensure_image(self, image: ImageSource) -> None:
        """Note the image; fetch it first, if the fake was told how."""
        try:
            if self._fetch is not None:
                self._fetch(image)
        except ByreError as error:
            with self.lock:
                note_image(self._state, image, self._now(), error.public)
            raise
        with self.lock:
            note_image(self._state, image, self._now())

    @verb
    def cached_images(self) -> list[CachedImage]:
        """Return the images that were noted."""
        return cached_images(self._state)

    @verb
    def prune_images(self) -> list[str]:
        """Forget images that no disk is over."""
        free = (self.disk_gib - self._used_gib()) * _GIB - cached_bytes(self._state)
        return prune_images(self._state, self._cache_rules, free, self._now())

    @verb
    def ensure_root_disk(self, server_id: str, image: ImageSource, size_gib: int) -> DiskRef:
        """Note a root disk. Raises HostFull if it is larger than the whole host, ImageUnusable."""
        if size_gib > self.disk_gib:
            raise HostFull("The host has no room for the disk.", size_gib=size_gib)
        if not is_cached(self._state, image.sha256):
            raise HostError("The image is not in the host's cache.", image=image.image_id)
        if image.disk_format == "iso" and not size_gib:
            raise ImageUnusable("A server that is installed from a disc needs a disk's size.")
        name = names.root_disk_file(server_id)
        if image.disk_format != "iso":
            self._state.bases[name] = Base(sha256=image.sha256)
        return self._ensure_disk(name, "root")

    @verb
    def ensure_extra_disks(
        self, server_id: str, image: ImageSource, machine: MachineSpec
    ) -> list[DiskRef]:
        """Note the extra disks. Raises HostFull if one is larger than the whole host."""
        if machine.ephemeral_gib > self.disk_gib:
            raise HostFull("The host has no room for the disk.", size_gib=machine.ephemeral_gib)
        found = []
        if machine.ephemeral_gib:
            found.append(self._ensure_disk(names.ephemeral_disk_file(server_id), "ephemeral"))
        if machine.swap_mib:
            found.append(self._ensure_disk(names.swap_disk_file(server_id), "swap"))
        if image.disk_format == "iso":
            name = names.install_disc_file(server_id)
            self._state.bases[name] = Base(sha256=image.sha256)
            found.append(self._ensure_disk(name, "cdrom"))
        return found

    @verb
    def ensure_config_drive(
        self,
        server_id: str,
        project_id: str,
        first_boot: FirstBoot,
        networks: list[NetworkSpec],
        ports: list[PortSpec],
    ) -> DiskRef:
        """Note a config drive and the metadata."""
        add_file(self._state, names.guest_data_file(server_id))
        if first_boot.phone_home_token:
            self._state.asked[server_id] = There()
        else:
            self._state.asked.pop(server_id, None)
        return self._ensure_disk(names.config_drive_file(server_id), "config")

    @verb
    def take_snapshot(self, server_id: str, image_id: str, limit_s: float) -> None:
        """Note a copy of the root disk. Raises HostError without one, ForeignOwner."""
        self._there(server_id)
        if names.root_disk_file(server_id) not in self._state.files:
            raise HostError("The server has no disk to copy.", server=server_id)
        add_file(self._state, names.snapshot_file(server_id, image_id))

    @verb
    def send_snapshot(self, server_id: str, upload: ImageUpload, limit_s: float) -> None:
        """Send an empty image, if the fake was told how, and forget the copy."""
        name = names.snapshot_file(server_id, upload.image_id)
        if self.send is not None:
            with TemporaryDirectory(prefix="byre-fake-") as directory:
                path = Path(directory, name)
                if name in self._state.files:
                    root_gib = self._state.guests[server_id].spec.machine.root_gib
                    write_blank_image(path, max(1, root_gib) * _GIB)
                self.send(path, upload, limit_s)
        with self.lock:
            self._state.files.pop(name, None)

    @verb
    def remove_snapshot(self, server_id: str, image_id: str) -> None:
        """Forget the copy. Raises ForeignOwner."""
        self._find(server_id)
        self._state.files.pop(names.snapshot_file(server_id, image_id), None)

    def own_disks(self, server_id: str) -> list[DiskRef]:
        """Return the disks that are noted."""
        disks = own_disks(Path(_DIRECTORY), server_id)
        return [disk for disk in disks if self._has_disk(disk.path)]

    @verb
    def ensure_rescue_disks(
        self, server_id: str, project_id: str, build: BuildSpec
    ) -> list[DiskRef]:
        """Note a disk and a config drive. Raises HostError without the image."""
        if not is_cached(self._state, build.image.sha256):
            raise HostError("The image is not in the host's cache.", image=build.image.image_id)
        name = names.rescue_disk_file(server_id)
        base = self._state.bases.get(name)
        if name in self._state.files and base and base.sha256 != build.image.sha256:
            raise HostError("The server has a disk over another image.", path=name)
        self._state.bases[name] = Base(sha256=build.image.sha256)
        return [
            self._ensure_disk(name, "rescue"),
            self._ensure_disk(names.rescue_drive_file(server_id), "config"),
        ]

    @verb
    def remove_rescue_disks(self, server_id: str) -> None:
        """Forget them."""
        for name in (names.rescue_disk_file(server_id), names.rescue_drive_file(server_id)):
            self._state.files.pop(name, None)

    @verb
    def remove_disks(self, server_id: str, *, keep_ephemeral: bool = False) -> None:
        """Forget the server's disks."""
        kept = {names.ephemeral_disk_file(server_id)} if keep_ephemeral else set()
        for name in set(self._disk_files(server_id)) - kept:
            self._state.files.pop(name, None)
        self._state.asked.pop(server_id, None)

    @verb
    def keep_disks(self, server_id: str) -> None:
        """Note copies. Raises HostError."""
        self._refuse_running(server_id)
        if names.root_disk_file(server_id) not in self._state.files:
            raise HostError("The server has no root disk.", server=server_id)
        kept = names.kept_files(server_id)
        if list(kept.values())[-1] in self._state.files:
            return
        for name, copy in kept.items():
            if name in self._state.files and copy not in self._state.files:
                add_file(self._state, copy)
                if name in self._state.bases:
                    self._state.bases[copy] = self._state.bases[name]

    @verb
    def keeps_disks(self, server_id: str) -> bool:
        """Say whether copies are noted."""
        return any(copy in self._state.files for copy in names.kept_files(server_id).values())

    @verb
    def restore_disks(self, server_id: str) -> None:
        """Forget the copies, of which the disks are no different here. Raises HostError."""
        self._refuse_running(server_id)
        self._drop(server_id)

    @verb
    def drop_disks(self, server_id: str) -> None:
        """Forget the copies."""
        self._drop(server_id)

    @verb
    def reshape_disks(self, server_id: str, machine: MachineSpec) -> list[DiskRef]:
        """Note the disks that the machine has. Raises HostFull, HostError."""
        name = names.root_disk_file(server_id)
        if name not in self._state.files:
            raise HostError("The server has no root disk.", server=server_id)
        if max(machine.root_gib, machine.ephemeral_gib) > self.disk_gib:
            raise HostFull("The host has no room for the disk.")
        found = [self._ensure_disk(name, "root")]
        extra: list[tuple[str, DiskRole, int]] = [
            (names.ephemeral_disk_file(server_id), "ephemeral", machine.ephemeral_gib),
            (names.swap_disk_file(server_id), "swap", machine.swap_mib),
        ]
        for name, role, size in extra:
            if size:
                found.append(self._ensure_disk(name, role))
            else:
                self._state.files.pop(name, None)
        disc = names.install_disc_file(server_id)
        return [*found, self._ensure_disk(disc, "cdrom")] if disc in self._state.files else found

    @verb
    def ensure_network(self, network: NetworkSpec) -> None:
        """Note the network as it is wanted. Raises HostError without its physical network."""
        names.network_name(network.network_id)
        if network.kind == "provider" and network.physical_network not in self._physical_networks:
            raise HostError("The host does not have the network's physical network.")
        self.networks[network.network_id] = network

    @verb
    def remove_idle_networks(self, keep: Collection[str]) -> None:
        """Forget networks that no port is on."""
        used = {port.network_id for port in self._ports.values()} | set(keep)
        for network_id in set(self.networks) - used:
            del self.networks[network_id]

    @verb
    def ensure_port(self, network: NetworkSpec, port: PortSpec, hostname: str) -> None:
        """Note the port: its DHCP entry and its filter."""
        names.network_name(network.network_id)
        names.filter_name(port.port_id)
        self._ports[port.port_id] = port
        self._state.filters[port.port_id] = port

    @verb
    def remove_ports(self, server_id: str, ports: list[PortSpec]) -> None:
        """Forget the ports."""
        names.checked(server_id)
        for port in ports:
            self._ports.pop(port.port_id, None)
            self._state.filters.pop(port.port_id, None)
        remove_rules(self._state, [names.checked(port.port_id) for port in ports])

    @verb
    def ensure_firewall(self, firewall: FirewallSpec, ports: list[PortSpec]) -> None:
        """Note what these ports' groups allow. Raises MalformedMessage."""
        self._note_rules(firewall, ports)

    @verb
    def update_firewall(self, firewall: FirewallSpec, ports: list[PortSpec]) -> None:
        """Note what the groups of those ports allow that are here. Raises MalformedMessage."""
        here = [port for port in ports if port.port_id in self._state.filters]
        self._note_rules(firewall, here, [port for port in ports if port not in here])

    @verb
    def firewall_intact(self) -> bool:
        """Say whether nobody has called `lose_firewall` since it was put there."""
        return not self._firewall_lost

    @verb
    def restore_firewall(self) -> None:
        """Have it again."""
        self._firewall_lost = False

    @verb
    def refused_floating_ips(self) -> list[str]:
        """Return those that are on a physical network that the host does not have."""
        return [
            one.floating_id
            for one in rules_of(self._state).floating_here()
            if one.external.physical_network not in (None, *self._physical_networks)
        ]

    @verb
    def find(self, server_id: str) -> Domain | None:
        """Return the server's domain, or None. Raises ForeignOwner."""
        return self._find(server_id)

    @verb
    def define(self, job: Job, spec: DomainSpec) -> Domain:
        """Note the domain. Raises ForeignOwner, HostError if a disk is not there, StaleMessage."""
        found = self._find(job.server_id)
        _refuse_older_attempt(found, job)
        missing = [disk.path for disk in spec.disks if not self._has_disk(disk.path)]
        if missing:
            raise HostError("A disk of the server is not there.", missing=missing)
        self._refuse_without_processors(job.server_id, spec.machine)
        if found is None:
            self._state.guests[job.server_id] = Guest(owner=job, spec=spec)
        elif (found.run_id, found.attempt) != (job.run_id, job.attempt):
            self._change(job.server_id, owner=job, spec=spec, quarantined=False, told=False)
        return _domain(self._state.guests[job.server_id])

    @verb
    def describe(self, job: Job, outline: Outline, image_format: StoredFormat) -> str:
        """Describe the domain. Raises HostFull."""
        self._refuse_without_processors(job.server_id, outline.machine)
        disks = disks_to_be(Path(_DIRECTORY), job.server_id, outline.machine, image_format)
        return fake_xml(job, outline, disks)

    @verb
    def start(self, server_id: str) -> Domain:
        """Let the guest begin to boot. Raises ForeignOwner, HostError, HostFull."""
        guest = self._there(server_id)
        if guest.quarantined:
            raise HostError("The domain to start is in quarantine.", server=server_id)
        self._firewall_lost = False
        if guest.spec.machine.memory_mib > self.memory_mib:
            raise HostFull("The host has not enough memory to start the server.")
        if guest.state != "running":
            add_file(self._state, names.console_file(server_id))
            if guest.spec.machine.hardware.firmware == "uefi":
                add_file(self._state, names.nvram_file(server_id))
            goes_on = guest.saved or guest.state == "paused"
            started_at = guest.started_at if goes_on else self._now()
            self._change(server_id, state="running", started_at=started_at, saved=False)
        return _domain(self._state.guests[server_id])

    @verb
    def shut_down(self, server_id: str) -> None:
        """Stop a guest that is up; one that is booting, paused or hung hears nothing. Raises
        ForeignOwner, HostError."""
        guest = self._there(server_id)
        if self._is_up(server_id, guest):
            self._change(server_id, state="shutoff")

    @verb
    def cut_power(self, server_id: str) -> None:
        """Turn the guest off and forget its memory. Raises ForeignOwner."""
        if self._find(server_id) is not None:
            off = self._state.guests[server_id].state in {"shutoff", "crashed"}
            state = self._state.guests[server_id].state if off else "shutoff"
            self._change(server_id, state=state, saved=False, told=not off)

    @verb
    def pause(self, server_id: str) -> None:
        """Let the guest stand still. Raises ForeignOwner, HostError."""
        if self._there(server_id).state not in {"running", "paused"}:
            raise HostError("The server does not run.", server=server_id)
        if self._state.guests[server_id].state == "running":
            self._change(server_id, state="paused")

    @verb
    def suspend(self, server_id: str) -> None:
        """Turn the guest off with its memory saved. Raises ForeignOwner, HostError."""
        guest = self._there(server_id)
        if guest.state in {"running", "paused"}:
            self._change(server_id, state="shutoff", saved=True)
        elif not guest.saved:
            raise HostError("The server does not run.", server=server_id)

    @verb
    def attach_port(self, server_id: str, port: PortSpec, machine: MachineSpec) -> None:
        """Note the interface. Raises ForeignOwner, HostError."""
        spec = self._there(server_id).spec
        if port.port_id not in [each.port_id for each in spec.ports]:
            self._wire(server_id, [*spec.ports, port])

    @verb
    def detach_port(self, server_id: str, port: PortSpec) -> bool:
        """Forget the interface, unless the guest runs and is not up. Raises ForeignOwner."""
        if self._find(server_id) is None:
            return True
        guest = self._state.guests[server_id]
        left = [each for each in guest.spec.ports if each.port_id != port.port_id]
        if len(left) == len(guest.spec.ports):
            return True
        if guest.state != "shutoff" and not self._is_up(server_id, guest):
            return False
        self._wire(server_id, left)
        return True

    @verb
    def set_password(self, server_id: str, password: Password) -> None:
        """Note the password of a guest that is up. Raises ForeignOwner, HostError, Conflict."""
        guest = self._there(server_id)
        if guest.state != "running":
            raise HostError("The server does not run.", server=server_id)
        if not guest.spec.machine.hardware.guest_agent or not self._is_up(server_id, guest):
            raise Conflict(NO_AGENT)
        self.passwords[server_id] = password

    @verb
    def inject_nmi(self, server_id: str) -> None:
        """Count it; the guest goes on. Raises ForeignOwner, HostError."""
        if self._there(server_id).state not in {"running", "paused"}:
            raise HostError("The server does not run.", server=server_id)
        self.nmis[server_id] += 1

    @verb
    def remove_domain(self, server_id: str) -> None:
        """Forget the domain and its console log. Raises ForeignOwner."""
        self._find(server_id)
        self._forget(server_id)
        remove_what_hangs_on_it(self._state, server_id)

    @verb
    def observe(self, server_id: str, ports: list[PortSpec]) -> Observation:
        """Show a guest that is up once its time has passed. Raises ForeignOwner."""
        domain = self._find(server_id)
        if domain is None:
            return Observation(state=None, agent=None, console="")
        guest = self._state.guests[server_id]
        up = self._is_up(server_id, guest)
        if up and "login:" not in guest.console:
            console = f"{domain.server_id} login: "
            guest = self._change(server_id, console=console, told=False)
        known = [a.address for p in ports if p.port_id in self._ports for a in p.addresses]
        return Observation(
            state=guest.state,
            addresses=known if up else [],
            agent=True if up else None,
            console=guest.console,
            first_boot=up if server_id in self._state.asked else None,
            first_boot_result="ok" if up and server_id in self._state.asked else "",
        )

    @verb
    def console(self, server_id: str) -> str:
        """Return what a guest that is up has written."""
        self._find(server_id)
        guest = self._state.guests.get(server_id)
        up = guest is not None and self._is_up(server_id, guest)
        return f"{server_id} login: " if up else ""

    @verb
    def diagnose(self, server_id: str) -> Diagnosis:
        """Count the time since the guest began. Raises ForeignOwner, NotRunning."""
        guest = self._on(server_id)
        return use_of(guest, self._now() - guest.started_at)

    @verb
    def open_console(self, server_id: str, kind: ConsoleKind) -> int:
        """Return one end of a pair of sockets; a screen, or an echo, is at the other one. Raises
        ForeignOwner, NotRunning, NoConsole."""
        guest = self._on(server_id)
        if kind == "vnc" and guest.spec.machine.hardware.video_model == "none":
            raise NoConsole("The server has no graphics card.", server=server_id)
        return serve_console(kind, server_id, lambda: self._shows(server_id))

    @verb
    def traces(self, server_id: str, ports: list[PortSpec]) -> list[str]:
        """Name what is still noted of the server. Raises ForeignOwner."""
        domain = self._find(server_id)
        found = [] if domain is None else [f"domain {names.domain_name(server_id)}"]
        for name in self._disk_files(server_id):
            found += [f"disk {_DIRECTORY}{name}"] if name in self._state.files else []
        console = names.console_file(server_id)
        found += [f"console {_DIRECTORY}{console}"] if console in self._state.files else []
        for port in ports:
            if port.port_id in self._ports:
                found.append(f"dhcp entry {port.mac}")
            if port.port_id in self._state.filters:
                found.append(f"filter {names.filter_name(port.port_id)}")
            if port.port_id in rules_of(self._state).ports:
                found.append(f"firewall rules of port {port.port_id}")
        return found

    @verb
    def survey(self) -> list[Thing]:
        """Return everything with our mark."""
        return all_things(self._state)

    @verb
    def quarantine(self, thing: Thing) -> None:
        """Stop and mark a domain, set a file aside. Raises ForeignOwner, MalformedMessage."""
        check(thing)
        if thing.kind == "domain":
            guest = self._as_seen(thing)
            if guest is not None:
                stopped = "shutoff" if guest.state in {"running", "paused"} else guest.state
                self._change(
                    server_of(thing),
                    state=stopped,
                    quarantined=True,
                    told=stopped != guest.state,
                )
        elif thing.kind not in {"dhcp_entry", "filter", "firewall"}:
            set_file_aside(self._state, thing)

    @verb
    def discard(self, thing: Thing) -> None:
        """Forget the thing. Raises ForeignOwner, MalformedMessage."""
        check(thing)
        if thing.kind != "domain":
            remove_thing(self._state, thing)
        elif self._as_seen(thing) is not None or not thing.quarantined:
            self._forget(server_of(thing))
            remove_what_hangs_on_it(self._state, server_of(thing))

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

    # --- inside ----------------------------------------------------------------------------------

    def _ensure_disk(self, name: str, role: DiskRole) -> DiskRef:
        add_file(self._state, name)
        return _disk(name, role)

    def _disk_files(self, server_id: str) -> list[str]:
        """Return all that remove_disks removes."""
        snapshots = [
            name
            for name, thing in self._state.files.items()
            if (thing.kind, thing.server_id) == ("snapshot", names.checked(server_id))
        ]
        return [
            *snapshots,
            names.root_disk_file(server_id),
            names.ephemeral_disk_file(server_id),
            names.swap_disk_file(server_id),
            names.install_disc_file(server_id),
            names.config_drive_file(server_id),
            names.rescue_disk_file(server_id),
            names.rescue_drive_file(server_id),
            names.nvram_file(server_id),
            names.guest_data_file(server_id),
            *names.kept_files(server_id).values(),
        ]

    def _drop(self, server_id: str) -> None:
        for copy in names.kept_files(server_id).values():
            self._state.files.pop(copy, None)
            self._state.bases.pop(copy, None)

    def _refuse_running(self, server_id: str) -> None:
        domain = self._find(server_id)
        if domain is not None and domain.state in {"running", "paused"}:
            raise HostError("The server is not off.", server=server_id)

    def _used_gib(self) -> int:
        machines = [guest.spec.machine for guest in self._state.guests.values()]
        return sum(machine.root_gib + machine.ephemeral_gib for machine in machines)

    def _free_processors(self, except_for: str = "") -> int:
        others = [g for server_id, g in self._state.guests.items() if server_id != except_for]
        return self.dedicated_vcpus - sum(_own_processors(g.spec.machine) for g in others)

    def _refuse_without_processors(self, server_id: str, machine: MachineSpec) -> None:
        if _own_processors(machine) > self._free_processors(server_id):
            raise HostFull("The host has not enough processors left to give away.")

    def _has_disk(self, path: str) -> bool:
        return path.removeprefix(_DIRECTORY) in self._state.files

    def _note_rules(
        self,
        firewall: FirewallSpec,
        ports: list[PortSpec],
        expected: list[PortSpec] | None = None,
    ) -> None:
        networks = {
            port.network_id: HostNetwork(
                network_id=port.network_id, bridge=names.bridge_name(port.network_id)
            )
            for port in ports
        }
        known = rules_of(self._state)
        keep_rules(self._state, merged(known, firewall, ports, networks, expected))
        self._firewall_lost = False

    def _find(self, server_id: str) -> Domain | None:
        if names.checked(server_id) in self._state.foreign:
            raise ForeignOwner("A domain that is not ours has the server's id.", server=server_id)
        guest = self._state.guests.get(server_id)
        return None if guest is None else _domain(guest)

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

    def _as_seen(self, thing: Thing) -> Guest | None:
        """Return the guest, unless it was seen in quarantine and has been defined anew since."""
        self._find(server_of(thing))
        guest = self._state.guests.get(server_of(thing))
        return guest if guest and guest.quarantined >= thing.quarantined else None

    def _change(self, server_id: str, *, told: bool = True, **changes: object) -> Guest:
        guest = self._state.guests[server_id].model_copy(update=changes)
        self._state.guests[server_id] = guest
        if told:
            self._changed.append(server_id)
        return guest

    def _wire(self, server_id: str, ports: list[PortSpec]) -> None:
        spec = self._state.guests[server_id].spec.model_copy(update={"ports": ports})
        self._change(server_id, spec=spec, told=False)

    def _forget(self, server_id: str) -> None:
        if self._state.guests.pop(server_id, None) is not None:
            self._changed.append(server_id)

    def _shows(self, server_id: str) -> bool:
        """Say whether the guest's machine is on, as whoever looks at its console sees."""
        with self.lock:
            guest = self._state.guests.get(server_id)
            return guest is not None and guest.state in {"running", "paused"}

    def _is_up(self, server_id: str, guest: Guest) -> bool:
        booting_s = self._now() - guest.started_at
        booted = guest.state == "running" and booting_s >= self.boot_after_s
        return booted and server_id not in self.never_boot


def _disk(name: str, role: DiskRole) -> DiskRef:
    disk_format: Literal["qcow2", "raw"] = "qcow2" if name.endswith(".qcow2") else "raw"
    return DiskRef(role=role, path=f"{_DIRECTORY}{name}", disk_format=disk_format)


def _own_processors(machine: MachineSpec) -> int:
    return machine.vcpus if machine.cpu_policy == "dedicated" else 0


def _domain(guest: Guest) -> Domain:
    return Domain(
        server_id=guest.owner.server_id,
        run_id=guest.owner.run_id,
        attempt=guest.owner.attempt,
        state=guest.state,
    )


def _refuse_older_attempt(found: Domain | None, job: Job) -> None:
    if found is not None and found.run_id == job.run_id and found.attempt > job.attempt:
        raise StaleMessage("The domain belongs to a newer attempt.", attempt=found.attempt)
