"""Copies of a server's disks, by which what is done to it can be taken back.

Effect  beside `<server id>.root.qcow2` its copy `<server id>.before-root.qcow2`, and so on for
        whatever the guest writes to but its swap. A copy of an overlay lies over the same image;
        where the file system can share blocks (XFS, btrfs), it takes no room and no time.
Repeat  a copy has its name once it is whole, and is then never written to again.
Undo    `drop`.
"""

from pathlib import Path

import structlog

from tasks.errors import HostError
from workers.hypervisor import names
from workers.hypervisor.files import replacing, sync_directory
from workers.hypervisor.libvirt.disks import told_if_full
from workers.hypervisor.libvirt.tools import run_tool

log = structlog.get_logger(__name__)

_COPY = ("cp", "--reflink=auto", "--sparse=always")
#: A little less than its stage has.
_COPY_LIMIT_S = 1440.0


class KeptDisks:
    """The copies in one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def keep(self, server_id: str) -> None:
        """See the port. Raises HostFull, HostError."""
        if not (self._directory / names.root_disk_file(server_id)).exists():
            raise HostError("The server has no root disk.", server=server_id)
        pairs = self._pairs(server_id)
        if pairs[-1][1].exists():
            # All was kept before; what is there now may be new.
            return
        for disk, copy in pairs:
            if disk.exists() and not copy.exists():
                with told_if_full(self._directory), replacing(copy) as (_, temporary):
                    run_tool(*_COPY, str(disk), str(temporary), limit_s=_COPY_LIMIT_S)

    def has(self, server_id: str) -> bool:
        """See the port."""
        return any(copy.exists() for _, copy in self._pairs(server_id))

    def restore(self, server_id: str) -> None:
        """See the port."""
        for disk, copy in self._pairs(server_id):
            if copy.exists():
                copy.replace(disk)
                sync_directory(self._directory)

    def drop(self, server_id: str) -> None:
        """See the port."""
        for _, copy in self._pairs(server_id):
            # With what a copying that was interrupted has left.
            for path in self._directory.glob(f"*{copy.name}*"):
                path.unlink(missing_ok=True)

    def _pairs(self, server_id: str) -> list[tuple[Path, Path]]:
        kept = names.kept_files(server_id)
        return [(self._directory / disk, self._directory / copy) for disk, copy in kept.items()]
