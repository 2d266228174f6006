"""Can this image be booted on a server of this size? The one place that says so."""

import math

from app.db.models import Image
from app.runs.hardware import hardware_of
from tasks.errors import ImageUnusable

#: What the hypervisors can boot: disks, and discs that install one.
BOOTABLE_FORMATS = ("qcow2", "raw", "iso")

GIB = 1024**3


def virtual_gib(image: Image | None) -> int:
    """Return how large a disk the image makes, in whole GiB; 0 if nobody knows."""
    return math.ceil((image.virtual_size_bytes or 0) / GIB) if image else 0


def check_fits(image: Image, *, root_gib: int, memory_mib: int) -> None:
    """Raise ImageUnusable with the reason if it cannot. `root_gib` 0 is as large as the image."""
    if image.status != "active":
        raise ImageUnusable(f"Image {image.id} is not active: its status is {image.status}.")
    if image.disk_format not in BOOTABLE_FORMATS:
        raise ImageUnusable(
            f"Image {image.id} has the disk format {image.disk_format};"
            f" servers boot from {' or '.join(BOOTABLE_FORMATS)}."
        )
    if memory_mib < image.min_ram_mib:
        raise ImageUnusable(
            f"Flavor's memory is too small for image {image.id}:"
            f" {memory_mib} MiB of {image.min_ram_mib} MiB needed."
        )
    hardware_of(image.properties)
    if root_gib:
        _check_disk(image, root_gib)
    elif image.disk_format == "iso":
        raise ImageUnusable(
            f"Image {image.id} is a disc to install from: it needs a flavor with a disk."
        )


def _check_disk(image: Image, root_gib: int) -> None:
    if root_gib < image.min_disk_gib:
        raise ImageUnusable(
            f"Flavor's disk is too small for image {image.id}:"
            f" {root_gib} GiB of {image.min_disk_gib} GiB needed."
        )
    is_on_it = image.disk_format != "iso"
    if is_on_it and image.virtual_size_bytes and image.virtual_size_bytes > root_gib * GIB:
        raise ImageUnusable(
            f"Flavor's disk is too small for image {image.id}:"
            f" {root_gib} GiB, but the image holds a disk of {image.virtual_size_bytes} bytes."
        )
