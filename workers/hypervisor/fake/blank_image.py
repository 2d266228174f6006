"""What a fake host sends as the copy of a disk: an image with nothing in it, that real hosts could
start from all the same."""

import struct
from pathlib import Path

_CLUSTER_BITS = 16
_CLUSTER = 1 << _CLUSTER_BITS
#: Bytes of a disk that one entry of the first table stands for.
_REACH = _CLUSTER // 8 * _CLUSTER


def write_blank_image(path: Path, virtual_bytes: int) -> None:
    """Write a qcow2 image (version 3) of a disk that was never written to."""
    table_entries = -(-virtual_bytes // _REACH)
    header = struct.pack(
        ">4sIQIIQIIQQIIQQQQII",
        b"QFI\xfb", 3, 0, 0, _CLUSTER_BITS, virtual_bytes, 0,
        table_entries, 3 * _CLUSTER,  # the first table
        _CLUSTER, 1,  # the table of reference counts
        0, 0, 0, 0, 0, 4, 104,
    )  # fmt: skip
    counts = struct.pack(">Q", 2 * _CLUSTER)
    used = struct.pack(">4H", 1, 1, 1, 1)
    clusters = (header, counts, used, b"")
    path.write_bytes(b"".join(part.ljust(_CLUSTER, b"\0") for part in clusters))
