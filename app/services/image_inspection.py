"""Look into an image's bytes before any tool opens them: the format they really have, how large a
disk they hold, and whether they would make a host read some other file.

A qcow2 header or a VMDK descriptor can name other files of the host (CVE-2024-32498), and a tool
that guesses formats finds one in a disk that is said to be raw (CVE-2026-24708). So bytes are what
they are said to be, and nothing else at the same time; and no tool is ever left to guess.
"""

import struct
from pathlib import Path

from oslo_utils.imageutils import format_inspector

from tasks.errors import ImageUnusable

#: What a record may say, and what the bytes may then look like. A raw disk with a partition table
#: is found to be `gpt`; a disc that also boots from a USB stick is both.
FORMATS: dict[str, tuple[set[str], ...]] = {
    "qcow2": ({"qcow2"},),
    "raw": ({"raw"}, {"gpt"}),
    "iso": ({"iso"}, {"iso", "gpt"}),
}

#: What QEMU takes a file for that begins so, whatever else is wrong with it. oslo.utils takes some
#: of these for raw when the rest does not fit.
MAGICS = (
    (b"QFI\xfb", "qcow2"),
    (b"KDMV", "vmdk"),
    (b"COWD", "vmdk"),
    (b"QED\0", "qed"),
    (b"conectix", "vhd"),
    (b"vhdxfile", "vhdx"),
    (b"LUKS\xba\xbe", "luks"),
    (b"WithoutFreeSpace", "parallels"),
    (b"WithouFreSpacExt", "parallels"),
    (b"Bochs Virtual HD Image", "bochs"),
    (b"#!/bin/sh\n#V2.0 Format", "cloop"),
)

#: Larger than any disk that a guest is given, small enough for all arithmetic.
MAX_VIRTUAL_BYTES = 64 * 1024**4

#: oslo.utils' name of a check -> what to tell the image's owner.
_REASONS = {
    "backing_file": "it has a backing file",
    "data_file": "it has an external data file",
    "unknown_features": "it needs features of qcow2 that are not known, or an old version",
}

#: Bytes of the file that tell all formats apart that need only its beginning.
_STEP = 64 * 1024


def inspect(path: Path, disk_format: str) -> int:
    """Return the size in bytes of the disk that a guest would see. Raises ImageUnusable."""
    if disk_format not in FORMATS:
        raise ImageUnusable(f"Images of the format {disk_format} cannot be used: convert it first.")
    if not path.stat().st_size:
        raise ImageUnusable("The image is empty.")
    found = _formats(path)
    names = {str(one) for one in found} | _guessed(path)
    if len(names) > 1:
        names.discard("raw")
    if names not in FORMATS[disk_format]:
        seen = " and ".join(sorted(names))
        raise ImageUnusable(f"The image is said to be {disk_format}, but its bytes are {seen}.")
    if disk_format == "qcow2":
        return _check_qcow2(path, found[0])
    return path.stat().st_size


def _formats(path: Path) -> list[format_inspector.FileInspector]:
    """Return all formats that the bytes have; `raw` if there is none."""
    try:
        with path.open("rb") as file:
            wrapper = format_inspector.InspectWrapper(file)
            try:
                while wrapper.formats is None and wrapper.read(_STEP):
                    pass
            finally:
                wrapper.close()
        return list(wrapper.formats or ())
    except Exception as error:
        # The bytes are anybody's: whatever a parser makes of them is a reason to refuse.
        raise ImageUnusable(f"The image's format cannot be told: {error}") from error


def _guessed(path: Path) -> set[str]:
    """Return what QEMU's own guess would be by the first bytes, if any."""
    with path.open("rb") as file:
        head = file.read(2048)
    names = {name for magic, name in MAGICS if head.startswith(magic)}
    # A VMDK descriptor is text: comments and blank lines, then its version.
    lines = (line.strip() for line in head.split(b"\n"))
    first = next((line for line in lines if line and not line.startswith(b"#")), b"")
    return names | {"vmdk"} if first.lower().startswith(b"version=") else names


def _check_qcow2(path: Path, found: format_inspector.FileInspector) -> int:
    if str(found) != "qcow2":
        raise ImageUnusable("The image is truncated: it ends within its header.")
    try:
        found.safety_check()
    except format_inspector.SafetyCheckFailed as error:
        reasons = [_REASONS.get(name, name) for name in sorted(error.failures)]
        raise ImageUnusable(f"The image is not safe to use: {', and '.join(reasons)}.") from error
    except format_inspector.ImageFormatError as error:
        raise ImageUnusable(f"The image is not safe to use: {error}") from error
    _check_header(path)
    size = int(found.virtual_size)
    if not 0 < size <= MAX_VIRTUAL_BYTES:
        raise ImageUnusable(f"The image holds a disk of {size} bytes, which cannot be.")
    return size


def _check_header(path: Path) -> None:
    """Refuse what the inspector lets pass and QEMU would not, or only with a key.

    qcow2's header: encryption at byte 32; from version 3 on, incompatible features at byte 72.
    """
    with path.open("rb") as file:
        header = file.read(80)
    version, encryption = (
        *struct.unpack_from(">I", header, 4),
        *struct.unpack_from(">I", header, 32),
    )
    if encryption:
        raise ImageUnusable("The image is encrypted: nobody here has its key.")
    if version >= 3 and struct.unpack_from(">Q", header, 72)[0] & 0b10:
        raise ImageUnusable("The image is marked as corrupt: see `qemu-img check`.")
