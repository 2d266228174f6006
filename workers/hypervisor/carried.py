"""Which disks a server takes with it to another host: their files, and what is in them there."""

from collections.abc import Callable

from tasks.messages import CarriedRole, StoredFormat
from workers.hypervisor import names

_FILES: dict[CarriedRole, tuple[Callable[[str], str], StoredFormat]] = {
    "root": (names.root_disk_file, "qcow2"),
    "ephemeral": (names.ephemeral_disk_file, "raw"),
    "nvram": (names.nvram_file, "raw"),
    "cdrom": (names.install_disc_file, "iso"),
}


def carried_file(server_id: str, role: CarriedRole) -> str:
    """Return the name of the disk's file on a host."""
    return _FILES[role][0](server_id)


def carried_format(role: CarriedRole) -> StoredFormat:
    """Return the format of the disk's file on a host. On its way it is qcow2, but for an iso."""
    return _FILES[role][1]
