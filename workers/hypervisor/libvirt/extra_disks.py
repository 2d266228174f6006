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
import subprocess
from contextlib import suppress
from pathlib import Path

from tasks.errors import HostError, ImageUnusable
from tasks.messages import DiskRef, ImageSource, MachineSpec
from workers.hypervisor import names
from workers.hypervisor.files import replacing
from workers.hypervisor.image_cache import ImageCache
from workers.hypervisor.libvirt.disks import prepare_directory, told_if_full

_GIB = 1024**3
_MIB = 1024**2
#: By which cloud-init and others know the disk, as on Nova's hosts.
_EPHEMERAL_LABEL = "ephemeral0"
#: The kernel fills in the tables when the guest first mounts it; that would take a large disk long.
_LAZILY = "lazy_itable_init=1,lazy_journal_init=1,nodiscard"
_MAKE_FILE_SYSTEM = ("mkfs.ext4", "-q", "-F", "-L", _EPHEMERAL_LABEL, "-E", _LAZILY)
_MAKE_BLANK = ("qemu-img", "create", "-q", "-f", "qcow2")
_MAKE_SWAP = ("mkswap", "-q", "-L", "swap")
#: Longer than it takes for the largest disk.
_TOOL_LIMIT_S = 120.0


class ExtraDisks:
    """The extra disks of the servers in one directory."""

    def __init__(self, directory: Path, images: ImageCache) -> None:
        self._directory = directory
        self._images = images

    def ensure(self, server_id: str, image: ImageSource, machine: MachineSpec) -> list[DiskRef]:
        """See the port. Raises HostFull, HostError."""
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
        if image.disk_format == "iso":
            path = self._directory / names.install_disc_file(server_id)
            self._ensure_disc(path, image)
            found.append(DiskRef(role="cdrom", path=str(path), disk_format="raw"))
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
                _run(*_MAKE_BLANK, str(temporary), f"{size_gib}G")
        return DiskRef(role="root", path=str(path), disk_format="qcow2")

    def _ensure_raw(self, path: Path, size_bytes: int, tool: tuple[str, ...] | None) -> None:
        if path.exists():
            return
        with told_if_full(self._directory):
            try:
                with replacing(path) as (file, temporary):
                    file.truncate(size_bytes)
                    if tool is not None:
                        _run(*tool, str(temporary))
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


def _run(*command: str) -> None:
    """Run a tool. Raises HostError with what it said."""
    # The tools of administrators are not in everybody's path.
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    try:
        subprocess.run(
            command,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=_TOOL_LIMIT_S,
            env={"PATH": path, "LC_ALL": "C"},
        )
    except FileNotFoundError as error:
        raise HostError(f"The host lacks the program {command[0]}.") from error
    except subprocess.TimeoutExpired as error:
        raise HostError(f"The host's {command[0]} took too long.") from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace")[-500:]
        raise HostError(f"The host's {command[0]} failed.", problem=said) from error
