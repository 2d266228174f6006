"""The header of a qcow2 file, read by ourselves before any tool opens it.

A crafted header can name a backing or a data file anywhere on the host, and a tool that believes
it hands that file to the guest. So an image from outside must have neither.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

_MAGIC = b"QFI\xfb"
#: magic, version, backing offset, backing length, cluster bits, virtual size
_HEADER = struct.Struct(">4sIQIIQ")
_FEATURES_OFFSET = 72
_EXTERNAL_DATA_FILE = 1 << 2
_LONGEST_BACKING_NAME = 1023


@dataclass(frozen=True)
class Header:
    """What a qcow2 file says of itself."""

    virtual_bytes: int
    #: The path of the file that it lies over, as it is written in the header.
    backing: str | None
    has_data_file: bool


def read_header(path: Path) -> Header | None:
    """Return the file's header, or None if it is no whole qcow2 header of version 2 or 3."""
    with path.open("rb") as file:
        raw = file.read(_FEATURES_OFFSET + 8)
        if len(raw) < _HEADER.size:
            return None
        magic, version, offset, length, _, virtual_bytes = _HEADER.unpack_from(raw)
        if magic != _MAGIC or version not in {2, 3} or length > _LONGEST_BACKING_NAME:
            return None
        # Version 2 has no features; what follows its header is something else.
        features = int.from_bytes(raw[_FEATURES_OFFSET:], "big") if version == 3 else 0
        file.seek(offset)
        backing = file.read(length).decode(errors="replace") if offset else None
    return Header(virtual_bytes, backing, bool(features & _EXTERNAL_DATA_FILE))


def is_qcow2(path: Path) -> bool:
    """Say whether the file begins as a qcow2 file does, whatever follows."""
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC
