"""Disks of servers: overlays over cached images, and config drives, in one storage pool.

What else a server has there (extra_disks, and its firmware's variables, which libvirt copies at the
first start) is found and removed here as well, since its name begins with the server's id.

Effect  `<server id>.root.qcow2` and `<server id>.config.iso` in the pool's directory.
Repeat  a whole root disk is kept, a half one made anew; the config drive is always written anew.
Undo    `remove`; images stay in the cache. What is set aside lies in `quarantine/`, of which
        libvirt knows nothing; its list of the pool names the file until it is refreshed.
"""

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import libvirt
import structlog
from lxml import etree

from tasks.errors import HostError, HostFull, ImageUnusable
from tasks.messages import DiskRef, ImageSource, Thing, ThingKind
from workers.hypervisor import names
from workers.hypervisor.config_drive import write_config_drive
from workers.hypervisor.image_cache import ImageCache
from workers.hypervisor.libvirt.connection import Keeper
from workers.hypervisor.libvirt.domain_xml import as_text
from workers.hypervisor.libvirt.errors import translated
from workers.hypervisor.libvirt.lookup import absent_is_done, lookup
from workers.hypervisor.libvirt.tools import run_tool
from workers.hypervisor.own_disks import own_disks
from workers.hypervisor.qcow2 import read_header
from workers.hypervisor.shelf import Shelf

log = structlog.get_logger(__name__)

_GIB = 1024**3
#: Less room than this after a failed write means that the write failed for want of room.
_FULL_BELOW_BYTES = 4 * 1024**2
#: What the directory holds of servers.
_KINDS: frozenset[ThingKind] = frozenset(
    {"disk", "extra_disk", "config_drive", "nvram", "snapshot"}
)
#: libvirt must be able to pass through the directory, and nobody else to list it.
_DIRECTORY_MODE = 0o711


class Disks:
    """The disks in one directory, which is one libvirt storage pool."""

    def __init__(self, keeper: Keeper, directory: Path, pool_name: str, images: ImageCache) -> None:
        self._keeper = keeper
        self._directory = directory
        self._pool_name = pool_name
        self._images = images
        self.shelf = Shelf(directory, _KINDS)
        # libvirt refuses some calls while another works on the pool; here they queue instead.
        self._pool_lock = threading.Lock()

    def ensure_image(self, image: ImageSource) -> None:
        """See the port."""
        prepare_directory(self._directory)
        self._images.ensure(image)

    def ensure_root_disk(self, server_id: str, image: ImageSource, size_gib: int) -> DiskRef:
        """See the port. Raises HostError if a disk of that name lies over another image, and
        ImageUnusable if the image's disk is larger."""
        path = self._directory / names.root_disk_file(server_id)
        self._ensure_over(path, image, size_gib)
        return DiskRef(role="root", path=str(path), disk_format="qcow2")

    def ensure_rescue(
        self, server_id: str, image: ImageSource, files: dict[str, bytes]
    ) -> list[DiskRef]:
        """See the port. Raises HostError, HostFull."""
        path = self._directory / names.rescue_disk_file(server_id)
        self._ensure_over(path, image, 0)
        disk = DiskRef(role="rescue", path=str(path), disk_format="qcow2")
        return [disk, self._ensure_drive(names.rescue_drive_file(server_id), files)]

    def grow_root_disk(self, server_id: str, size_gib: int) -> DiskRef:
        """Have the root disk so large at least; 0 is as it is. Raises HostFull, HostError if it is
        not there."""
        path = self._directory / names.root_disk_file(server_id)
        header = read_header(path) if path.exists() else None
        if header is None:
            raise HostError("The server has no root disk.", path=str(path))
        if header.virtual_bytes < size_gib * _GIB:
            with told_if_full(self._directory):
                run_tool("qemu-img", "resize", "-q", "-f", "qcow2", str(path), f"{size_gib}G")
        return DiskRef(role="root", path=str(path), disk_format="qcow2")

    def ensure_config_drive(self, server_id: str, files: dict[str, bytes]) -> DiskRef:
        """See the port. Raises HostFull."""
        return self._ensure_drive(names.config_drive_file(server_id), files)

    def own(self, server_id: str) -> list[DiskRef]:
        """See the port."""
        disks = own_disks(self._directory, server_id)
        return [disk for disk in disks if Path(disk.path).exists()]

    def remove(self, server_id: str, *, keep_ephemeral: bool = False) -> None:
        """Remove all that the server has in the directory; but not an ephemeral disk that is to be
        kept."""
        kept = names.ephemeral_disk_file(server_id) if keep_ephemeral else ""
        for path in self.found(server_id):
            if path.name != kept:
                self._remove(path)

    def remove_rescue(self, server_id: str) -> None:
        """See the port."""
        for name in (names.rescue_disk_file(server_id), names.rescue_drive_file(server_id)):
            self._remove(self._directory / name)

    def _remove(self, path: Path) -> None:
        with self._pool_lock, translated("remove the server's disks"):
            self._forget_volume(path)
        path.unlink(missing_ok=True)

    def found(self, server_id: str) -> list[Path]:
        """Return the server's files, unfinished ones too. What was set aside is its no longer."""
        return sorted(self._directory.glob(f"*{names.checked(server_id)}*"))

    def discard(self, thing: Thing) -> None:
        """Remove a file of a server, which may be set aside."""
        with self._pool_lock, translated("remove the server's disk"):
            if not thing.quarantined:
                self._forget_volume(self.shelf.path(thing))
            self.shelf.remove(thing)

    def _ensure_over(self, path: Path, image: ImageSource, size_gib: int) -> None:
        # Held while the disk is made: an image that no disk lies over yet may be pruned.
        with self._images.used(image) as cached:
            if not self._is_whole(path, image):
                size_bytes = self._root_bytes(image, size_gib)
                with self._pool_lock, told_if_full(self._directory):
                    self._create_overlay(path, cached, self._images.disk_format(image), size_bytes)

    def _ensure_drive(self, name: str, files: dict[str, bytes]) -> DiskRef:
        path = self._directory / name
        prepare_directory(self._directory)
        with told_if_full(self._directory):
            write_config_drive(path, files)
        return DiskRef(role="config", path=str(path), disk_format="raw")

    def _is_whole(self, path: Path, image: ImageSource) -> bool:
        """Say whether the root disk is there and finished. Raises HostError if it is another's."""
        header = read_header(path) if path.exists() else None
        if header is None or header.backing is None:
            # Not there, or a tool died while writing it: a finished one names its base.
            return False
        if not self._images.holds(header.backing, image):
            raise HostError("The server has a disk over another image.", path=str(path))
        return True

    def _root_bytes(self, image: ImageSource, size_gib: int) -> int:
        """Return how large the root disk is to be. Raises ImageUnusable if that cannot be."""
        image_bytes = self._images.virtual_bytes(image)
        if size_gib and size_gib * _GIB < image_bytes:
            raise ImageUnusable("The image's disk is larger than the flavor's.")
        return size_gib * _GIB or image_bytes

    def _create_overlay(self, path: Path, base: Path, base_format: str, size_bytes: int) -> None:
        with translated("create the root disk"):
            self._forget_volume(path)
            path.unlink(missing_ok=True)
            pool = self._ensure_pool()
            pool.createXML(_overlay_xml(path, base, base_format, size_bytes), 0)

    def _forget_volume(self, path: Path) -> None:
        """Delete the volume if libvirt knows it; it does not know what it did not make."""
        with absent_is_done():
            self._keeper.connection().storageVolLookupByPath(str(path)).delete(0)

    def _ensure_pool(self) -> libvirt.virStoragePool:
        handle = self._keeper.connection()
        pool = lookup(handle.storagePoolLookupByName, self._pool_name)
        if pool is None:
            prepare_directory(self._directory)
            pool = handle.storagePoolDefineXML(_pool_xml(self._pool_name, self._directory), 0)
            log.info("pool.defined", pool=self._pool_name)
        target = etree.fromstring(pool.XMLDesc(0)).findtext("target/path")
        if target != str(self._directory):
            raise HostError(
                "The host's storage pool is another one.", pool=self._pool_name, path=target
            )
        if not pool.isActive():
            pool.create(0)
            pool.setAutostart(1)
        return pool


@contextmanager
def told_if_full(directory: Path) -> Iterator[None]:
    """Raise HostFull for a failure that left the file system without room: libvirt and other tools
    only say that a program failed."""
    try:
        yield
    except (HostError, OSError) as error:
        if shutil.disk_usage(directory).free < _FULL_BELOW_BYTES:
            raise HostFull("The host's disk is full.") from error
        raise


def prepare_directory(directory: Path) -> None:
    """Have a directory for what libvirt and QEMU open."""
    if not directory.is_dir():
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(_DIRECTORY_MODE)


def takes_direct_io(directory: Path) -> bool:
    """Say whether files there can be opened past the page cache; on tmpfs, say, they cannot."""
    prepare_directory(directory)
    probe = directory / f".direct-io.{os.getpid()}.{threading.get_native_id()}"
    try:
        os.close(os.open(probe, os.O_CREAT | os.O_WRONLY | os.O_DIRECT, 0o600))
    except OSError:
        return False
    finally:
        probe.unlink(missing_ok=True)
    return True


def _overlay_xml(path: Path, base: Path, base_format: str, size_bytes: int) -> str:
    volume = etree.Element("volume")
    etree.SubElement(volume, "name").text = path.name
    etree.SubElement(volume, "capacity", unit="bytes").text = str(size_bytes)
    target = etree.SubElement(volume, "target")
    etree.SubElement(target, "format", type="qcow2")
    backing = etree.SubElement(volume, "backingStore")
    etree.SubElement(backing, "path").text = str(base)
    # Never guessed: a raw image whose guest wrote a qcow2 header must stay raw.
    etree.SubElement(backing, "format", type=base_format)
    return as_text(volume)


def _pool_xml(name: str, directory: Path) -> str:
    pool = etree.Element("pool", type="dir")
    etree.SubElement(pool, "name").text = name
    target = etree.SubElement(pool, "target")
    etree.SubElement(target, "path").text = str(directory)
    return as_text(pool)
