"""The files that domains of this host have as disks: anybody's, wherever they lie."""

from pathlib import Path

import libvirt
from lxml import etree

from workers.hypervisor.libvirt.connection import Keeper
from workers.hypervisor.libvirt.errors import translated
from workers.hypervisor.libvirt.lookup import absent_is_done


def disk_files(keeper: Keeper) -> list[Path]:
    """Return the paths of all domains' qcow2 disks, those running and those only defined, as they
    are now and as they will be at the next start. Raises HostGone, HostError."""
    found: set[Path] = set()
    with translated("look for the disks of all domains"):
        for domain in keeper.connection().listAllDomains(0):
            for kind in (0, libvirt.VIR_DOMAIN_XML_INACTIVE):
                with absent_is_done():
                    found |= _files(domain.XMLDesc(kind))
    return sorted(found)


def _files(description: str) -> set[Path]:
    """Only disks over disks lie over images: what a raw disk begins with is its guest's word."""
    disks = etree.fromstring(description).iterfind("devices/disk")
    return {
        Path(source.get("file", ""))
        for disk in disks
        if (driver := disk.find("driver")) is not None and driver.get("type") == "qcow2"
        if (source := disk.find("source")) is not None and source.get("file")
    }
