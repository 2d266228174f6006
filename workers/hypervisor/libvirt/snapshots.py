"""Copies of servers' disks that are to become images: flat, so that they stand alone.

Effect  `<server id>.<image id>.snapshot.qcow2` beside the disks.
Repeat  a whole copy is kept; what a death left of one is removed, and it is begun anew.
Undo    `remove`, or `Disks.remove` with all else of the server.

A disk that a guest writes to is copied by QEMU's own backup job: what it held when the job began,
while the guest goes on. For that one moment the guest's agent, if it answers, freezes its file
systems. A disk at rest is copied by qemu-img.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import libvirt
import structlog
from lxml import etree

from tasks.errors import HostBusy, HostError
from tasks.messages import CarriedRole
from workers.hypervisor import names
from workers.hypervisor.carried import carried_file, carried_format
from workers.hypervisor.files import sync_directory
from workers.hypervisor.image_cache.conversion import convert
from workers.hypervisor.libvirt.agent import channel_is_open
from workers.hypervisor.libvirt.disks import told_if_full
from workers.hypervisor.libvirt.domain_xml import as_text
from workers.hypervisor.libvirt.domains import Domains
from workers.hypervisor.libvirt.elements import add
from workers.hypervisor.libvirt.errors import has_code, is_gone, translated
from workers.hypervisor.qcow2 import read_header

log = structlog.get_logger(__name__)

#: Within which the guest's agent flushes and freezes, or it is done without.
_AGENT_LIMIT_S = 10
_LONGEST_PAUSE_S = 1.0
#: Within which QEMU ends a copy, and how often it is asked to.
_STOP_LIMIT_S, _STOP_PAUSE_S = 30.0, 0.05


class Snapshots:
    """The copies in one directory."""

    def __init__(self, domains: Domains, directory: Path) -> None:
        self._domains = domains
        self._directory = directory

    def path(self, server_id: str, image_id: str) -> Path:
        """Return where the copy lies, or will."""
        return self._directory / names.snapshot_file(server_id, image_id)

    def take(self, server_id: str, image_id: str, limit_s: float, role: CarriedRole) -> None:
        """See the port."""
        path = self.path(server_id, image_id)
        if path.exists():
            return
        domain = self._domains.find(server_id)
        disk = self._directory / carried_file(server_id, role)
        if domain is None or not disk.exists():
            raise HostError("The server has no disk to copy.", server=server_id, role=role)
        part = _unfinished(path)
        with told_if_full(self._directory), translated("copy the server's disk"):
            if domain.state not in ("running", "paused"):
                part.unlink(missing_ok=True)
                _copy_at_rest(disk, carried_format(role), part, limit_s)
            elif role == "root":
                self._copy_live(server_id, disk, part, time.monotonic() + limit_s)
            else:
                raise HostError("The server is not off.", server=server_id)
            _flush(part)
            part.replace(path)
            sync_directory(self._directory)

    def remove(self, server_id: str, image_id: str) -> None:
        """See the port."""
        path = self.path(server_id, image_id)
        part = _unfinished(path)
        with translated("stop copying the server's disk"):
            self._domains.find(server_id)
            handle = self._domains.handle(server_id)
            if handle is not None and handle.isActive() and part.exists():
                _stop(handle)
                _thaw(handle)
        part.unlink(missing_ok=True)
        path.unlink(missing_ok=True)

    def _copy_live(self, server_id: str, root: Path, part: Path, end: float) -> None:
        handle = self._domains.handle(server_id)
        if handle is None:
            raise HostBusy("The server's domain has just gone.", server=server_id)
        _stop(handle)
        part.unlink(missing_ok=True)
        try:
            order = _order(handle.XMLDesc(0), root, part)
            with _frozen(handle):
                handle.backupBegin(order, None, 0)
            _wait(handle, end)
        except libvirt.libvirtError as error:
            if has_code(error, libvirt.VIR_ERR_OPERATION_INVALID) and not handle.isActive():
                # Its disk is at rest now: the next try takes the other way.
                raise HostBusy("The guest stopped while its disk was copied.") from error
            raise


def _unfinished(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def _copy_at_rest(disk: Path, disk_format: str, part: Path, limit_s: float) -> None:
    size_bytes = disk.stat().st_size
    if disk_format == "qcow2":
        header = read_header(disk)
        if header is None:
            raise HostError("The server's disk cannot be read.", path=str(disk))
        size_bytes = header.virtual_bytes
    convert(disk, disk_format, part, "qcow2", longest_bytes=size_bytes, limit_s=limit_s)


def _flush(path: Path) -> None:
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _order(description: str, root: Path, part: Path) -> str:
    """Return what libvirt is to copy: this one disk, whole, whatever lies below it. Raises
    HostError if the domain does not have it."""
    backup = etree.Element("domainbackup", mode="push")
    disks = add(backup, "disks")
    devices = {}
    for disk in etree.fromstring(description).iterfind("devices/disk"):
        source, target = disk.find("source"), disk.find("target")
        if source is not None and target is not None:
            devices[target.get("dev", "")] = source.get("file", "")
    if str(root) not in devices.values():
        raise HostError("The server's domain does not have its disk.", path=str(root))
    for device, file in devices.items():
        if file != str(root):
            add(disks, "disk", name=device, backup="no")
            continue
        disk = add(disks, "disk", name=device, backup="yes", type="file", backupmode="full")
        add(disk, "driver", type="qcow2")
        add(disk, "target", file=str(part))
    return as_text(backup)


def _wait(handle: libvirt.virDomain, end: float) -> None:
    """Wait for the job's end. Raises HostError if it fails or takes too long."""
    pause_s = 0.05
    while _is_copying(handle):
        if time.monotonic() > end:
            _stop(handle)
            raise HostError("Copying the server's disk took too long.")
        time.sleep(pause_s)
        pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)
    ended = handle.jobStats(libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED)
    if ended.get("type") != libvirt.VIR_DOMAIN_JOB_COMPLETED:
        raise HostError("The server's disk could not be copied.", job=str(ended))


def _is_copying(handle: libvirt.virDomain) -> bool:
    return handle.jobStats(0).get("operation") == libvirt.VIR_DOMAIN_JOB_OPERATION_BACKUP


def _stop(handle: libvirt.virDomain) -> None:
    """End a copy that a worker has begun which died. Raises HostBusy."""
    end = time.monotonic() + _STOP_LIMIT_S
    while _is_copying(handle):
        if time.monotonic() > end:
            raise HostBusy("The hypervisor does not let go of a copy of the server's disk.")
        with suppress(libvirt.libvirtError):
            # It may have just ended by itself.
            handle.abortJob()
        time.sleep(_STOP_PAUSE_S)


@contextmanager
def _frozen(handle: libvirt.virDomain) -> Iterator[None]:
    """Have the guest's file systems flushed and still in the block, if its agent does that in time:
    a guest without loses what it has not written, as by a power cut."""
    try:
        _freeze(handle)
        yield
    finally:
        # Also what a worker that died here has left frozen.
        _thaw(handle)


def _freeze(handle: libvirt.virDomain) -> None:
    if not channel_is_open(handle):
        return
    try:
        handle.agentSetResponseTimeout(_AGENT_LIMIT_S, 0)
        log.info("guest.frozen", file_systems=handle.fsFreeze(None, 0))
    except libvirt.libvirtError as error:
        if is_gone(error):
            raise
        log.info("guest.not_frozen", reason=error.get_error_message())


def _thaw(handle: libvirt.virDomain) -> None:
    if not channel_is_open(handle):
        return
    try:
        handle.fsThaw(None, 0)
    except libvirt.libvirtError as error:
        if is_gone(error):
            raise
        log.warning("guest.not_thawed", reason=error.get_error_message())
