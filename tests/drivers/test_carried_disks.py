"""What comes from the image store in the place of a server's disk, and is none."""

import struct
import uuid
from pathlib import Path

import pytest

from tasks.errors import ImageUnusable
from tasks.messages import CarriedDisk, CarriedRole
from tests.drivers.images import serving
from workers.hypervisor.libvirt.carried_disks import CarriedDisks

#: A qcow2 file of version 2 that lies over another file of its host.
_BACKING = b"/etc/shadow"
_OVER_ANOTHER = struct.pack(">4sIQIIQ", b"QFI\xfb", 2, 512, len(_BACKING), 16, 1 << 30)


@pytest.mark.parametrize("role", ["root", "ephemeral", "nvram", "cdrom"])
@pytest.mark.parametrize("said", ["qcow2", "raw"])
@pytest.mark.parametrize(
    "content",
    [b"\0" * 65536, _OVER_ANOTHER.ljust(512, b"\0") + _BACKING.ljust(65024, b"\0")],
    ids=["raw", "over another file"],
)
def test_what_is_no_disk_by_itself_is_not_put_in_its_place(
    tmp_path: Path, content: bytes, said: str, role: CarriedRole
) -> None:
    with serving(content) as images:
        disk = CarriedDisk(role=role, source=images.source(disk_format=said))
        with pytest.raises(ImageUnusable):
            CarriedDisks(tmp_path, None, 0.01).fetch(str(uuid.uuid4()), disk, 10.0)

    assert list(tmp_path.iterdir()) == []
