"""Which disks of its own a server can have on its host, by their names."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from tasks.messages import DiskRef, DiskRole, MachineSpec, StoredFormat
from workers.hypervisor import names

#: Role, name and format, in the order of its disks.
_OWN: tuple[tuple[DiskRole, Callable[[str], str], Literal["qcow2", "raw"]], ...] = (
    ("root", names.root_disk_file, "qcow2"),
    ("ephemeral", names.ephemeral_disk_file, "raw"),
    ("swap", names.swap_disk_file, "raw"),
    ("cdrom", names.install_disc_file, "raw"),
    ("config", names.config_drive_file, "raw"),
)


def own_disks(directory: Path, server_id: str) -> list[DiskRef]:
    """Return all that a server can have, but for those of a rescue."""
    return [
        DiskRef(role=role, path=str(directory / name(server_id)), disk_format=disk_format)
        for role, name, disk_format in _OWN
    ]


def disks_to_be(
    directory: Path, server_id: str, machine: MachineSpec, image_format: StoredFormat
) -> list[DiskRef]:
    """Return those that a server will have with this machine, made of such an image."""
    has = {
        "ephemeral": machine.ephemeral_gib > 0,
        "swap": machine.swap_mib > 0,
        "cdrom": image_format == "iso",
    }
    return [disk for disk in own_disks(directory, server_id) if has.get(disk.role, True)]
