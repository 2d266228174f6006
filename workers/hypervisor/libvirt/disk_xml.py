"""The disks of a domain, on the bus that the image asks for. Pure.

A guest finds its disks in their order here: root, ephemeral, swap, and the config drive last, so
that places stay whatever else a server has (`vda`, `vdb`, `vdc` with virtio; LUN 0, 1, 2 with SCSI,
whose names Linux gives in any order). Each has its purpose as serial number, whatever its bus. A
rescue disk comes before them all.
"""

from collections import defaultdict
from itertools import count

from lxml import etree

from tasks.errors import ImageUnusable
from tasks.messages import DiskRef, Hardware, Limits
from workers.hypervisor.libvirt.elements import add
from workers.hypervisor.libvirt.machine_xml import DiskCache
from workers.hypervisor.libvirt.tuning_xml import add_disk_limits

_ORDER = ("rescue", "root", "ephemeral", "swap", "cdrom", "config")
_PREFIXES = {"virtio": "vd", "scsi": "sd", "sata": "sd", "usb": "sd", "ide": "hd"}
#: Firmware tries the root disk first, and goes on to the disc while nothing is installed there. A
#: server that is rescued starts from the rescue disk, or not at all.
_BOOT_ORDER = {"root": "1", "cdrom": "2"}
_RESCUE_ORDER = {"rescue": "1"}
#: In a Linux guest, `/dev/disk/by-id/virtio-ephemeral0` and so on.
_SERIALS = {
    "rescue": "rescue",
    "root": "root",
    "ephemeral": "ephemeral0",
    "swap": "swap",
    "config": "config",
}
_WRITABLE = {"rescue", "root", "ephemeral", "swap"}
#: Two channels with two devices each.
_IDE_PLACES = 4


def check_disks(hardware: Hardware, disks: list[DiskRef]) -> None:
    """Raise ImageUnusable if no machine can have disks like these."""
    if hardware.disk_bus != "ide":
        return
    if hardware.machine_type != "pc":
        raise ImageUnusable("The image asks for disks on ide, which only the machine type pc has.")
    if len(disks) > _IDE_PLACES:
        raise ImageUnusable("The image asks for disks on ide, which has room for four only.")


def add_disks(
    devices: etree._Element,
    hardware: Hardware,
    disks: list[DiskRef],
    limits: Limits,
    cache: DiskCache,
) -> None:
    """Add the disks in their order, and the controller that they need. Raises ImageUnusable."""
    check_disks(hardware, disks)
    if hardware.disk_bus == "scsi":
        add(devices, "controller", type="scsi", index="0", model="virtio-scsi")
    # Without one, libvirt adds one that nobody needs, and that takes time to set up.
    usb = "qemu-xhci" if hardware.disk_bus == "usb" else "none"
    add(devices, "controller", type="usb", model=usb)
    is_rescue = any(disk.role == "rescue" for disk in disks)
    boot_order = _RESCUE_ORDER if is_rescue else _BOOT_ORDER
    letters: dict[str, count[int]] = defaultdict(lambda: count(ord("a")))
    for disk in sorted(disks, key=lambda disk: _ORDER.index(disk.role)):
        device, bus = _device_of(disk, hardware)
        prefix = _PREFIXES[bus]
        element = _add_disk(devices, disk, device, cache)
        add(element, "target", dev=f"{prefix}{next(letters[prefix]):c}", bus=bus)
        if disk.role in boot_order:
            add(element, "boot", order=boot_order[disk.role])
        if disk.role in _SERIALS:
            add(element, "serial", _SERIALS[disk.role])
        if disk.role in _WRITABLE:
            add_disk_limits(element, limits)
        else:
            add(element, "readonly")


def _device_of(disk: DiskRef, hardware: Hardware) -> tuple[str, str]:
    """Return what the disk is to the guest, and on which bus.

    The config drive is a disk where it can be: whatever boots from the bus can read it there,
    whereas Debian's cloud kernel, for one, has no driver for q35's SATA and would never see a
    CD-ROM. But QEMU has no read-only disks on IDE and SATA.
    """
    if disk.role == "cdrom":
        return "cdrom", "sata" if hardware.machine_type == "q35" else "ide"
    is_disc = disk.role == "config" and hardware.disk_bus in {"ide", "sata"}
    return "cdrom" if is_disc else "disk", hardware.disk_bus


def _add_disk(
    devices: etree._Element, disk: DiskRef, device: str, cache: DiskCache
) -> etree._Element:
    element = add(devices, "disk", type="file", device=device)
    driver = {"name": "qemu", "type": disk.disk_format}
    if disk.role in _WRITABLE:
        # Space that the guest frees goes back to the host.
        driver |= {"cache": cache, "discard": "unmap"}
    add(element, "driver", **driver)
    add(element, "source", file=disk.path)
    return element
