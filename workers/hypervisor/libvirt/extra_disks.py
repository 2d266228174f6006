"""What a server has beside its root disk: an ephemeral disk, a swap disk, a disc to install from;
and the empty root disk that goes with a disc.

Effect  `<server id>.ephemeral.raw` with an empty file system, `<server id>.swap.raw` with a swap
        area, both sparse; `<server id>.cdrom.iso`, a second name of the cached image, which
        therefore stays while the server has it, whatever becomes of the cache.
Repeat  what is there is whole, and kept with what the guest wrote.
Undo    Disks.remove.
"""

import errno
import os
from contextlib import suppress
from pathlib import Path

from tasks.errors import HostError, ImageUnusable
from tasks.messages import DiskRef, ImageSource, MachineSpec
from workers.hypervisor import names
from workers.hypervisor.files import replacing
from workers.hypervisor.image_cache import ImageCache
from workers.hypervisor.libvirt.disks import prepare_directory, told_if_full
from workers.hypervisor.libvirt.tools import run_tool

_GIB = 1024**3
_MIB = 1024**2
#: By which cloud-init and others know the disk, as on Nova's hosts.
_EPHEMERAL_LABEL = "ephemeral0"
#: The kernel fills in the tables when the guest first mounts it; that would take a large disk long.
_LAZILY = "lazy_itable_init=1,lazy_journal_init=1,nodiscard"
_MAKE_FILE_SYSTEM = ("mkfs.ext4", "-q", "-F", "-L", _EPHEMERAL_LABEL, "-E", _LAZILY)
_MAKE_BLANK = ("qemu-img", "create", "-q", "-f", "qcow2")
_MAKE_SWAP = ("mkswap", "-q", "-L", "swap")


class ExtraDisks:
    """The extra disks of the servers in one directory."""

    def __init__(self, directory: Path, images: ImageCache) -> None:
        self._directory = directory
        self._images = images

    def ensure(self, server_id: str, image: ImageSource, machine: MachineSpec) -> list[DiskRef]:
        """See the port. Raises HostFull, HostError."""
        found = self._ensure_blank(server_id, machine)
        if image.disk_format == "iso":
            path = self._directory / names.install_disc_file(server_id)
            self._ensure_disc(path, image)
            found.append(DiskRef(role="cdrom", path=str(path), disk_format="raw"))
        return found

    def _ensure_blank(self, server_id: str, machine: MachineSpec) -> list[DiskRef]:
        prepare_directory(self._directory)
        found = []
        if machine.ephemeral_gib:
            path = self._directory / names.ephemeral_disk_file(server_id)
            # Windows knows no file system of Linux, and makes its own on an empty disk.
            tool = None if machine.hardware.os_type == "windows" else _MAKE_FILE_SYSTEM
            self._ensure_raw(path, machine.ephemeral_gib * _GIB, tool)
            found.append(DiskRef(role="ephemeral", path=str(path), disk_format="raw"))
        if machine.swap_mib:
            path = self._directory / names.swap_disk_file(server_id)
            self._ensure_raw(path, machine.swap_mib * _MIB, _MAKE_SWAP)
            found.append(DiskRef(role="swap", path=str(path), disk_format="raw"))
        return found

    def reshape(self, server_id: str, machine: MachineSpec) -> list[DiskRef]:
        """Have the extra disks that this machine has, in its sizes, and no others; see the port.
        Raises HostFull, HostError."""
        ephemeral = self._directory / names.ephemeral_disk_file(server_id)
        swap = self._directory / names.swap_disk_file(server_id)
        if not machine.ephemeral_gib:
            ephemeral.unlink(missing_ok=True)
        elif ephemeral.exists() and ephemeral.stat().st_size < machine.ephemeral_gib * _GIB:
            # Its file system is the guest's, who may grow it.
            with told_if_full(self._directory):
                os.truncate(ephemeral, machine.ephemeral_gib * _GIB)
        if swap.exists() and swap.stat().st_size != machine.swap_mib * _MIB:
            swap.unlink()
        found = self._ensure_blank(server_id, machine)
        disc = self._directory / names.install_disc_file(server_id)
        if disc.exists():
            found.append(DiskRef(role="cdrom", path=str(disc), disk_format="raw"))
        return found

    def ensure_blank_root(self, server_id: str, size_gib: int) -> DiskRef:
        """Have an empty root disk, for what a disc installs there. Raises HostFull, HostError, and
        ImageUnusable for a size of 0, which is that of an image."""
        if not size_gib:
            raise ImageUnusable("A server that is installed from a disc needs a disk's size.")
        prepare_directory(self._directory)
        path = self._directory / names.root_disk_file(server_id)
        if not path.exists():
            with told_if_full(self._directory), replacing(path) as (_, temporary):
                run_tool(*_MAKE_BLANK, str(temporary), f"{size_gib}G")
        return DiskRef(role="root", path=str(path), disk_format="qcow2")

    def _ensure_raw(self, path: Path, size_bytes: int, tool: tuple[str, ...] | None) -> None:
        if path.exists():
            return
        with told_if_full(self._directory):
            try:
                with replacing(path) as (file, temporary):
                    file.truncate(size_bytes)
                    if tool is not None:
                        run_tool(*tool, str(temporary))
            except OSError as error:
                if error.errno in {errno.EFBIG, errno.EINVAL}:
                    raise HostError(
                        "The host's file system has no files of that size.", size_bytes=size_bytes
                    ) from error
                raise

    def _ensure_disc(self, path: Path, image: ImageSource) -> None:
        if path.exists():
            # A name is given whole or not at all, and the cache may have let go of its own since.
            return
        with self._images.used(image) as cached, suppress(FileExistsError):
            os.link(cached, path)
