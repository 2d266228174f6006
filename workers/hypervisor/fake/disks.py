"""A fake host's disks: names that are noted, with nothing behind them."""

from pathlib import Path
from typing import Literal

from tasks.errors import HostError, HostFull, ImageUnusable
from tasks.messages import (
    BuildSpec,
    DiskRef,
    DiskRole,
    FirstBoot,
    ImageSource,
    MachineSpec,
    NetworkSpec,
    PortSpec,
)
from workers.hypervisor import names
from workers.hypervisor.fake.faults import verb
from workers.hypervisor.fake.host import DIRECTORY, Host
from workers.hypervisor.fake.image_cache import is_cached
from workers.hypervisor.fake.state import Base, FakeState, There
from workers.hypervisor.fake.things import add_file
from workers.hypervisor.own_disks import own_disks


class Disks(Host):
    """The port's verbs for a server's disks."""

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

    def own_disks(self, server_id: str) -> list[DiskRef]:
        """Return the disks that are noted."""
        disks = own_disks(Path(DIRECTORY), server_id)
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
    def remove_disks(self, server_id: str, *, keep_ephemeral: bool = False) -> None:
        """Forget the server's disks."""
        kept = {names.ephemeral_disk_file(server_id)} if keep_ephemeral else set()
        for name in set(disk_files(self._state, server_id)) - kept:
            self._state.files.pop(name, None)
        self._state.asked.pop(server_id, None)

    def _ensure_disk(self, name: str, role: DiskRole) -> DiskRef:
        add_file(self._state, name)
        return _disk(name, role)


def disk_files(state: FakeState, server_id: str) -> list[str]:
    """Return all that remove_disks removes."""
    snapshots = [
        name
        for name, thing in state.files.items()
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


def _disk(name: str, role: DiskRole) -> DiskRef:
    disk_format: Literal["qcow2", "raw"] = "qcow2" if name.endswith(".qcow2") else "raw"
    return DiskRef(role=role, path=f"{DIRECTORY}{name}", disk_format=disk_format)
