"""The port, carried out by libvirt: each verb is handed to the part that knows it."""

import os
from collections.abc import Collection
from functools import cached_property

from tasks.errors import HostError
from tasks.messages import (
    BuildSpec,
    CachedImage,
    CarriedDisk,
    CarriedRole,
    ConsoleKind,
    Diagnosis,
    DiskRef,
    DomainSpec,
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
from workers.hypervisor.first_boot import first_boot_files
from workers.hypervisor.guest_data import GuestData, GuestStore
from workers.hypervisor.image_cache import ImageCache
from workers.hypervisor.image_upload import Uploader
from workers.hypervisor.libvirt.acceleration import Acceleration
from workers.hypervisor.libvirt.carried_disks import CarriedDisks
from workers.hypervisor.libvirt.connection import Keeper
from workers.hypervisor.libvirt.device_tags import tagged_devices
from workers.hypervisor.libvirt.disk_files import disk_files
from workers.hypervisor.libvirt.disks import Disks, takes_direct_io
from workers.hypervisor.libvirt.domains import Domains
from workers.hypervisor.libvirt.errors import translated
from workers.hypervisor.libvirt.events import DomainEvents
from workers.hypervisor.libvirt.extra_disks import ExtraDisks
from workers.hypervisor.libvirt.firewall.host import HostFirewall
from workers.hypervisor.libvirt.interfaces import Interfaces
from workers.hypervisor.libvirt.inventory import HostInventory
from workers.hypervisor.libvirt.kept_disks import KeptDisks
from workers.hypervisor.libvirt.machine_xml import DiskCache, Ground
from workers.hypervisor.libvirt.networks import Networks
from workers.hypervisor.libvirt.observe import console_tail, observe
from workers.hypervisor.libvirt.overlay import Tunnels
from workers.hypervisor.libvirt.processors import Processors
from workers.hypervisor.libvirt.settings import LibvirtSettings
from workers.hypervisor.libvirt.snapshots import Snapshots
from workers.hypervisor.libvirt.survey import survey
from workers.hypervisor.libvirt.tidying import Tidying
from workers.hypervisor.libvirt.turns import Turns
from workers.hypervisor.own_disks import disks_to_be
from workers.hypervisor.port import Domain, Observation, Watcher
from workers.hypervisor.shelf import Shelf

#: As much as Nova gives.
_RANDOM_SEED_BYTES = 512


class LibvirtHypervisor:
    """One libvirt host, used by the threads of one process."""

    def __init__(self, settings: LibvirtSettings) -> None:
        self._settings = settings
        self._events = DomainEvents()
        self._keeper = Keeper(settings.uri, settings.patience_s, self._events.note)
        self._acceleration = Acceleration(self._keeper, settings)
        processors = Processors(self._keeper, settings)
        self._inventory = HostInventory(
            self._keeper, settings.storage_dir, processors, sorted(settings.physical_networks)
        )
        self._images = ImageCache(
            settings.storage_dir,
            settings.state_dir / "locks",
            settings.image_timeout_s,
            settings.image_ca_file,
            rules=settings.image_cache,
            other_disks=lambda: disk_files(self._keeper),
        )
        self._disks = Disks(self._keeper, settings.storage_dir, settings.pool_name, self._images)
        self._extra_disks = ExtraDisks(settings.storage_dir, self._images)
        self._kept_disks = KeptDisks(settings.storage_dir)
        self._carried_disks = CarriedDisks(
            settings.storage_dir, settings.image_ca_file, settings.image_cache.retry_pause_s
        )
        turns = Turns(settings.state_dir / "locks")
        tunnels = Tunnels(settings.underlay_address, turns)
        self._networks = Networks(self._keeper, tunnels, settings.physical_networks)
        self._firewall = HostFirewall(
            self._keeper, settings.state_dir, turns, settings.physical_networks
        )
        self._domains = Domains(self._keeper, settings.console_dir, processors, turns)
        self._snapshots = Snapshots(self._domains, settings.storage_dir)
        self._uploader = Uploader(settings.image_ca_file, settings.image_cache.retry_pause_s)
        self._interfaces = Interfaces(self._domains, turns)
        self._consoles = Shelf(settings.console_dir, frozenset({"console_log"}))
        self._guests = GuestStore(settings.state_dir)
        self._tidying = Tidying(
            self._domains,
            self._disks,
            self._networks,
            self._firewall,
            self._consoles,
            self._guests.shelf,
        )

    def inventory(self) -> Inventory:
        """See the port."""
        return self._inventory.read(self._acceleration.domain_type())

    def ensure_image(self, image: ImageSource) -> None:
        """See the port."""
        self._disks.ensure_image(image)

    def cached_images(self) -> list[CachedImage]:
        """See the port."""
        return self._images.listed()

    def prune_images(self) -> list[str]:
        """See the port."""
        return self._images.prune()

    def ensure_root_disk(self, server_id: str, image: ImageSource, size_gib: int) -> DiskRef:
        """See the port."""
        if image.disk_format == "iso":
            return self._extra_disks.ensure_blank_root(server_id, size_gib)
        return self._disks.ensure_root_disk(server_id, image, size_gib)

    def ensure_extra_disks(
        self, server_id: str, image: ImageSource, machine: MachineSpec
    ) -> list[DiskRef]:
        """See the port."""
        return self._extra_disks.ensure(server_id, image, machine)

    def ensure_config_drive(
        self,
        server_id: str,
        project_id: str,
        first_boot: FirstBoot,
        networks: list[NetworkSpec],
        ports: list[PortSpec],
    ) -> DiskRef:
        """See the port."""
        data = _guest_data(server_id, project_id, first_boot, networks, ports)
        return self._tell(self._with_devices(data))

    def own_disks(self, server_id: str) -> list[DiskRef]:
        """See the port."""
        return self._disks.own(server_id)

    def ensure_rescue_disks(
        self, server_id: str, project_id: str, build: BuildSpec
    ) -> list[DiskRef]:
        """See the port."""
        data = _guest_data(server_id, project_id, build.first_boot, build.networks, build.ports)
        return self._disks.ensure_rescue(server_id, build.image, first_boot_files(data))

    def remove_rescue_disks(self, server_id: str) -> None:
        """See the port."""
        self._disks.remove_rescue(server_id)

    def keep_disks(self, server_id: str) -> None:
        """See the port."""
        self._refuse_running(server_id)
        self._kept_disks.keep(server_id)

    def keeps_disks(self, server_id: str) -> bool:
        """See the port."""
        return self._kept_disks.has(server_id)

    def restore_disks(self, server_id: str) -> None:
        """See the port."""
        self._refuse_running(server_id)
        self._kept_disks.restore(server_id)

    def drop_disks(self, server_id: str) -> None:
        """See the port."""
        self._kept_disks.drop(server_id)

    def reshape_disks(self, server_id: str, machine: MachineSpec) -> list[DiskRef]:
        """See the port."""
        return [
            self._disks.grow_root_disk(server_id, machine.root_gib),
            *self._extra_disks.reshape(server_id, machine),
        ]

    def remove_disks(self, server_id: str, *, keep_ephemeral: bool = False) -> None:
        """See the port."""
        self._disks.remove(server_id, keep_ephemeral=keep_ephemeral)
        self._guests.remove(server_id)

    def take_snapshot(
        self, server_id: str, image_id: str, limit_s: float, role: CarriedRole = "root"
    ) -> None:
        """See the port."""
        self._snapshots.take(server_id, image_id, limit_s, role)

    def send_snapshot(self, server_id: str, upload: ImageUpload, limit_s: float) -> None:
        """See the port."""
        path = self._snapshots.path(server_id, upload.image_id)
        self._uploader.send(path, upload, limit_s)
        path.unlink(missing_ok=True)

    def fetch_disk(self, server_id: str, disk: CarriedDisk, limit_s: float) -> None:
        """See the port."""
        self._carried_disks.fetch(server_id, disk, limit_s)

    def remove_snapshot(self, server_id: str, image_id: str) -> None:
        """See the port."""
        self._snapshots.remove(server_id, image_id)

    def ensure_network(self, network: NetworkSpec) -> None:
        """See the port."""
        self._networks.ensure_network(network)

    def networks_intact(self, network_ids: Collection[str]) -> bool:
        """See the port."""
        return self._networks.are_intact(network_ids)

    def remove_idle_networks(self, keep: Collection[str]) -> None:
        """See the port."""
        self._networks.remove_idle(keep)

    def ensure_port(self, network: NetworkSpec, port: PortSpec, hostname: str) -> None:
        """See the port."""
        self._networks.ensure_port(network, port, hostname)

    def remove_ports(self, server_id: str, ports: list[PortSpec]) -> None:
        """See the port."""
        names.checked(server_id)
        # The filter first: by it an order that crosses this one sees what is here.
        self._networks.remove_ports(ports)
        self._firewall.remove(port.port_id for port in ports)

    def ensure_firewall(self, firewall: FirewallSpec, ports: list[PortSpec]) -> None:
        """See the port."""
        self._firewall.ensure(firewall, ports)

    def update_firewall(self, firewall: FirewallSpec, ports: list[PortSpec]) -> None:
        """See the port."""
        self._firewall.update(firewall, ports)

    def firewall_intact(self) -> bool:
        """See the port."""
        return self._firewall.is_intact()

    def restore_firewall(self) -> None:
        """See the port."""
        self._firewall.restore()

    def refused_floating_ips(self) -> list[str]:
        """See the port."""
        return self._firewall.refused_floating_ips()

    def find(self, server_id: str) -> Domain | None:
        """See the port."""
        return self._domains.find(server_id)

    def define(self, job: Job, spec: DomainSpec) -> Domain:
        """See the port."""
        return self._domains.define(job, spec, self._ground())

    def describe(self, job: Job, outline: Outline, image_format: StoredFormat) -> str:
        """See the port."""
        machine, storage_dir = outline.machine, self._settings.storage_dir
        disks = disks_to_be(storage_dir, job.server_id, machine, image_format)
        spec = DomainSpec(machine=machine, ports=outline.ports, boot=outline.boot, disks=disks)
        return self._domains.describe(job, spec, self._ground())

    def start(self, server_id: str) -> Domain:
        """See the port."""
        self._firewall.ensure_table()
        # Now its devices have the addresses that they will have.
        self._tell_devices(server_id)
        return self._domains.start(server_id)

    def shut_down(self, server_id: str) -> None:
        """See the port."""
        self._domains.shut_down(server_id)

    def cut_power(self, server_id: str) -> None:
        """See the port."""
        self._domains.cut_power(server_id)

    def pause(self, server_id: str) -> None:
        """See the port."""
        self._domains.pause(server_id)

    def suspend(self, server_id: str) -> None:
        """See the port."""
        self._domains.suspend(server_id)

    def attach_port(self, server_id: str, port: PortSpec, machine: MachineSpec) -> None:
        """See the port."""
        self._interfaces.attach(server_id, port, machine)
        self._tell_devices(server_id)

    def detach_port(self, server_id: str, port: PortSpec) -> bool:
        """See the port."""
        return self._interfaces.detach(server_id, port)

    def set_password(self, server_id: str, password: Password) -> None:
        """See the port."""
        self._domains.set_password(server_id, password)

    def inject_nmi(self, server_id: str) -> None:
        """See the port."""
        self._domains.inject_nmi(server_id)

    def remove_domain(self, server_id: str) -> None:
        """See the port."""
        self._domains.remove(server_id)

    def observe(self, server_id: str, ports: list[PortSpec]) -> Observation:
        """See the port."""
        console_log = self._settings.console_dir / names.console_file(server_id)
        with translated("look at the server"):
            handle = self._domains.handle(server_id)
            if handle is not None:
                look = observe(handle, ports, console_log)
                return look.model_copy(update=self._guests.what_it_said(server_id))
        return Observation(state=None, agent=None, console=console_tail(console_log))

    def console(self, server_id: str) -> str:
        """See the port."""
        return console_tail(self._settings.console_dir / names.console_file(server_id))

    def diagnose(self, server_id: str) -> Diagnosis:
        """See the port."""
        return self._domains.diagnose(server_id)

    def open_console(self, server_id: str, kind: ConsoleKind) -> int:
        """See the port."""
        return self._domains.open_console(server_id, kind)

    def traces(self, server_id: str, ports: list[PortSpec]) -> list[str]:
        """See the port."""
        domain = self._domains.find(server_id)
        found = [] if domain is None else [f"domain {names.domain_name(server_id)}"]
        found += [f"disk {path}" for path in self._disks.found(server_id)]
        found += [f"console {path}" for path in self._domains.console_logs(server_id)]
        found += [f"metadata {path}" for path in self._guests.found(server_id)]
        for port in ports:
            found += self._networks.traces(port)
            found += self._firewall.traces(port.port_id)
        return found

    def survey(self) -> list[Thing]:
        """See the port."""
        found = survey(self._keeper, [self._disks.shelf, self._consoles, self._guests.shelf])
        return found + self._firewall.things()

    def quarantine(self, thing: Thing) -> None:
        """See the port."""
        self._tidying.quarantine(thing)

    def discard(self, thing: Thing) -> None:
        """See the port."""
        self._tidying.discard(thing)

    def watch(self, watcher: Watcher) -> None:
        """See the port."""
        self._events.watch(watcher)

    def close(self) -> None:
        """See the port."""
        self._events.close()
        self._keeper.close()

    def _ground(self) -> Ground:
        settings = self._settings
        return Ground(
            domain_type=self._acceleration.domain_type(),
            cache=self._disk_cache,
            console_dir=settings.console_dir,
            storage_dir=settings.storage_dir,
            cpu_model=settings.cpu_model,
            cpu_features=settings.cpu_features,
        )

    def _tell_devices(self, server_id: str) -> None:
        """Have the guest told where the devices are that its owner has tagged."""
        data = self._guests.read(server_id)
        if data is not None and data.has_tags:
            told = self._with_devices(data)
            if told != data:
                self._tell(told)

    def _with_devices(self, data: GuestData) -> GuestData:
        """Of a domain that is not there yet, nothing is known; it is told before its start."""
        if not data.has_tags:
            return data
        with translated("look for the server's devices"):
            handle = self._domains.handle(data.server_id)
            if handle is None:
                return data
            described = handle.XMLDesc()
        devices = tagged_devices(described, data.ports, data.first_boot.root_tag)
        return data.model_copy(update={"devices": devices})

    def _tell(self, data: GuestData) -> DiskRef:
        drive = self._disks.ensure_config_drive(data.server_id, first_boot_files(data))
        self._guests.keep(data)
        return drive

    def _refuse_running(self, server_id: str) -> None:
        """Raise HostError while QEMU has the server's disks open."""
        domain = self._domains.find(server_id)
        if domain is not None and domain.state in {"running", "paused"}:
            raise HostError("The server is not off.", server=server_id)

    @cached_property
    def _disk_cache(self) -> DiskCache:
        """Past the page cache where the file system can: a write that the guest has flushed is on
        the disk, and memory is the guests'."""
        return "none" if takes_direct_io(self._settings.storage_dir) else "writeback"


def _guest_data(
    server_id: str,
    project_id: str,
    first_boot: FirstBoot,
    networks: list[NetworkSpec],
    ports: list[PortSpec],
) -> GuestData:
    return GuestData(
        server_id=names.checked(server_id),
        project_id=project_id,
        first_boot=first_boot,
        networks=networks,
        ports=ports,
        random_seed=os.urandom(_RANDOM_SEED_BYTES).hex(),
    )
