"""Look into an image's bytes before any tool opens them: the format they really have, how large a
disk they hold, and whether they would make a host read some other file (CVE-2024-32498)."""

from pathlib import Path

from oslo_utils.imageutils import format_inspector

from tasks.errors import ImageUnusable

#: What a record may say, and what the bytes may then look like. A raw disk with a partition table
#: is found to be `gpt`.
FORMATS = {
    "qcow2": ("qcow2",),
    "raw": ("raw", "gpt"),
    "iso": ("iso",),
    "vhd": ("vhd",),
    "vhdx": ("vhdx",),
    "vmdk": ("vmdk",),
    "vdi": ("vdi",),
}


def inspect(path: Path, disk_format: str) -> int:
    """Return the size in bytes of the disk that a guest would see. Raises ImageUnusable."""
    if not path.stat().st_size:
        raise ImageUnusable("The image is empty.")
    try:
        found = format_inspector.detect_file_format(str(path))
    except Exception as error:
        # The bytes are anybody's: whatever a parser makes of them is a reason to refuse.
        raise ImageUnusable(f"The image's format cannot be told: {error}") from error
    if found is None or str(found) not in FORMATS[disk_format]:
        raise ImageUnusable(f"The image is said to be {disk_format}, but its bytes are {found}.")
    if disk_format == "raw":
        return path.stat().st_size
    try:
        found.safety_check()
    except (format_inspector.ImageFormatError, format_inspector.SafetyCheckFailed) as error:
        raise ImageUnusable(f"The image is not safe to use: {error}") from error
    return int(found.virtual_size)
