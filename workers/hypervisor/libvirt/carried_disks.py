"""Disks that servers bring with them from other hosts, which travel as images.

Effect  the disk in the place and format in which the server has it: `<server id>.root.qcow2` and so
        on, without another one below it.
Repeat  a disk has its name once it is whole, and is then never fetched again; a download that broke
        off is gone on with.
Undo    Disks.remove.
"""

import time
from pathlib import Path

import structlog

from tasks.errors import HostError, ImageUnusable
from tasks.messages import CarriedDisk
from workers.hypervisor.carried import carried_file, carried_format
from workers.hypervisor.files import sync_directory
from workers.hypervisor.image_cache.conversion import convert
from workers.hypervisor.image_cache.download import Downloader, NoEditions
from workers.hypervisor.image_cache.inspection import check_image
from workers.hypervisor.libvirt.disks import prepare_directory, told_if_full
from workers.hypervisor.qcow2 import read_header

log = structlog.get_logger(__name__)


class CarriedDisks:
    """The disks in one directory."""

    def __init__(self, directory: Path, ca_file: Path | None, pause_s: float) -> None:
        self._directory = directory
        self._downloader = Downloader(NoEditions(), ca_file, pause_s)

    def fetch(self, server_id: str, disk: CarriedDisk, limit_s: float) -> None:
        """See the port. Raises DownloadFailed, ImageCorrupt, ImageUnusable, HostFull, HostError."""
        path = self._directory / carried_file(server_id, disk.role)
        if path.exists():
            return
        prepare_directory(self._directory)
        end = time.monotonic() + limit_s
        arrived = path.with_name(f".{path.name}.arrived")
        with told_if_full(self._directory):
            self._downloader.fetch(disk.source, arrived, end)
            _check(arrived, disk)
            is_raw = carried_format(disk.role) == "raw"
            whole = _unpacked(arrived, end - time.monotonic()) if is_raw else arrived
            whole.replace(path)
            sync_directory(self._directory)
        arrived.unlink(missing_ok=True)
        log.info("disk.fetched", server=server_id, role=disk.role)


def _check(arrived: Path, disk: CarriedDisk) -> None:
    """Whatever the image is said to be: QEMU opens the file as what a disk travels as. Raises
    ImageUnusable."""
    try:
        check_image(arrived, "iso" if disk.role == "cdrom" else "qcow2")
    except ImageUnusable:
        arrived.unlink()
        raise


def _unpacked(arrived: Path, limit_s: float) -> Path:
    """Return the raw disk that the image is of. Raises HostError."""
    header = read_header(arrived)
    if header is None:
        raise HostError("A disk of the server that has arrived cannot be read.")
    raw = arrived.with_name(f"{arrived.name}.raw")
    raw.unlink(missing_ok=True)
    convert(arrived, "qcow2", raw, "raw", longest_bytes=header.virtual_bytes, limit_s=limit_s)
    return raw
