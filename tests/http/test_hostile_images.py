"""Images made to harm, and what each one is told: the table of docs/images.md, carried out."""

import struct
from typing import Any

import pytest

from tests.http.cases import Api
from tests.http.test_images import IMAGES, make, status, stored, upload
from tests.http.world import PUBLIC_IMAGE

SIZE = 10 * 1024**2


def qcow2(
    *,
    version: int = 3,
    size: int = SIZE,
    backing: int = 0,
    encryption: int = 0,
    features: int = 0,
    length: int = 65536,
) -> bytes:
    """Return a qcow2 file with this header and nothing behind it."""
    header = struct.pack(
        ">4sIQIIQIIQQIIQQQQII",
        *(b"QFI\xfb", version, 512 if backing else 0, backing, 16, size, encryption),
        *(0,) * 6,
        *(features, 0, 0, 4, 104),
    )
    return header.ljust(512, b"\0").ljust(length, b"\0")[:length]


def disc(length: int = 65536) -> bytearray:
    """Return a disc of ISO 9660 with nothing on it."""
    data = bytearray(length)
    data[32768:32775] = b"\x01CD001\x01"
    data[32768 + 80 : 32768 + 84] = struct.pack("<L", length // 2048)
    data[32768 + 128 : 32768 + 130] = struct.pack("<H", 2048)
    return data


def over(data: bytes | bytearray, top: bytes) -> bytes:
    """Return the data with its first bytes replaced."""
    return bytes(top + data[len(top) :])


def mbr() -> bytes:
    """Return a partition table with one partition, as `isohybrid` writes it."""
    entry = struct.pack("<B3BB3BII", 0x80, 0, 1, 0, 0x17, 0, 0, 0, 0, 64)
    return bytes(446) + entry + bytes(48) + b"\x55\xaa"


VMDK = (
    b"# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n"
    b'createType="monolithicFlat"\n\nRW 8 FLAT "/etc/passwd" 0\n'
)
LUKS = b"LUKS\xba\xbe\x00\x01" + b"aes".ljust(32, b"\0") + b"xts-plain64".ljust(32, b"\0")

#: what it is, what it is said to be, its bytes, the reason given
HOSTILE: list[tuple[str, str, bytes, str]] = [
    ("nothing", "qcow2", b"", "is empty"),
    ("half a header", "qcow2", qcow2()[:40], "not safe to use|cannot be told|truncated"),
    ("half a header, raw", "raw", qcow2()[:40], "its bytes are qcow2"),
    ("a header without features", "qcow2", qcow2()[:80], "not safe to use|truncated"),
    ("backing file", "qcow2", qcow2(backing=11), "it has a backing file"),
    ("backing file, version 2", "qcow2", qcow2(version=2, backing=11), "it has a backing file"),
    ("external data file", "qcow2", qcow2(features=4), "it has an external data file"),
    ("marked corrupt", "qcow2", qcow2(features=2), "marked as corrupt"),
    ("unknown feature", "qcow2", qcow2(features=1 << 40), "not known"),
    ("version 1", "qcow2", qcow2(version=1), "an old version"),
    ("version 9", "qcow2", qcow2(version=9), "not known"),
    ("encrypted", "qcow2", qcow2(encryption=2), "encrypted"),
    ("a disk of 16 EiB", "qcow2", qcow2(size=2**64 - 512), "which cannot be"),
    ("a disk of nothing", "qcow2", qcow2(size=0), "which cannot be"),
    ("qcow2 said to be raw", "raw", qcow2(), "said to be raw, but its bytes are qcow2"),
    (
        "qcow2 with backing, raw",
        "raw",
        qcow2(backing=11),
        "said to be raw, but its bytes are qcow2",
    ),
    ("qcow2 said to be iso", "iso", qcow2(), "said to be iso, but its bytes are qcow2"),
    ("raw said to be qcow2", "qcow2", b"\x01" * 65536, "its bytes are raw"),
    ("disc with a qcow2 header", "iso", over(disc(), qcow2()[:512]), "iso and qcow2"),
    ("qcow2 with a disc inside", "qcow2", over(disc(), qcow2()[:512]), "iso and qcow2"),
    ("disc said to be raw", "raw", bytes(disc()), "said to be raw, but its bytes are iso"),
    ("disc with a VMDK descriptor", "iso", over(disc(), VMDK), "its bytes are iso and vmdk"),
    ("VMDK of /etc/passwd, raw", "raw", VMDK.ljust(65536, b"\0"), "its bytes are vmdk"),
    ("VMDK of /etc/passwd, qcow2", "qcow2", VMDK.ljust(65536, b"\0"), "its bytes are vmdk"),
    ("broken VMDK said to be raw", "raw", b"KDMV\x09".ljust(65536, b"\0"), "its bytes are vmdk"),
    ("VHD said to be raw", "raw", b"conectix".ljust(65536, b"\0"), "its bytes are vhd"),
    ("VHDX said to be raw", "raw", b"vhdxfile".ljust(2 * 1024**2, b"\0"), "its bytes are vhdx"),
    ("QED said to be raw", "raw", b"QED\0".ljust(65536, b"\0"), "its bytes are qed"),
    ("LUKS said to be raw", "raw", LUKS.ljust(65536, b"\0"), "its bytes are luks"),
    ("LUKS said to be qcow2", "qcow2", LUKS.ljust(65536, b"\0"), "its bytes are luks"),
]


@pytest.mark.parametrize(
    ("disk_format", "data", "reason"),
    [row[1:] for row in HOSTILE],
    ids=[row[0] for row in HOSTILE],
)
def test_it_is_refused_with_a_reason(api: Api, disk_format: str, data: bytes, reason: str) -> None:
    image_id = make(api, disk_format=disk_format)

    answer = upload(api, image_id, data)

    message = answer.get_json()["message"]
    assert answer.status_code == 400
    assert any(part in message for part in reason.split("|")), message
    assert (status(api, image_id), stored(api)) == ("killed", {PUBLIC_IMAGE})


@pytest.mark.parametrize(
    ("disk_format", "data"),
    [
        ("qcow2", qcow2()),
        ("qcow2", qcow2(version=2)),
        # Not closed properly; compressed by zstd: QEMU's own doing.
        ("qcow2", qcow2(features=0b1001)),
        ("raw", over(bytes(65536), mbr())),
        ("iso", bytes(disc())),
        # A disc that boots from a USB stick too, as Debian's installer does.
        ("iso", over(disc(), mbr())),
    ],
)
def test_the_harmless_neighbours_are_taken(api: Api, disk_format: str, data: bytes) -> None:
    image_id = make(api, disk_format=disk_format)

    assert upload(api, image_id, data).status_code == 204
    assert status(api, image_id) == "active"


#: what of a new image is wrong, what the answer says
RECORDS: list[tuple[dict[str, Any], str]] = [
    ({"disk_format": "vmdk"}, "disk_format"),
    ({"disk_format": "vhd"}, "disk_format"),
    ({"name": "x" * 256}, "name"),
    ({"name": "a\x00b"}, "Invalid character"),
    ({"name": "a\x1b[31m"}, "name"),
    ({"tags": ["a\x07"]}, "tags"),
    ({"min_disk": -1}, "min_disk"),
    ({"min_disk": 2**31}, "min_disk"),
    ({"min_ram": "64"}, "min_ram"),
    ({"os_distro": 1}, "os_distro"),
    ({"os_distro": "x" * 65_536}, "os_distro"),
    ({"os_distro": "a\x08"}, "os_distro"),
    ({"o\x1bs": "a"}, "control characters"),
    ({"x" * 256: "a"}, "1 to 255"),
    ({f"p{n}": "" for n in range(129)}, "More than 128 properties"),
    ({"hw_disk_bus": "floppy"}, "hw_disk_bus"),
    ({"hw_disk_bus": "ide", "hw_machine_type": "q35"}, "hw_disk_bus"),
    ({"hw_vif_model": "virtio'/><evil"}, "hw_vif_model"),
    ({"hw_machine_type": "microvm"}, "hw_machine_type"),
    ({"hw_firmware_type": "coreboot"}, "hw_firmware_type"),
    ({"hw_video_model": ""}, "hw_video_model"),
    ({"hw_qemu_guest_agent": "perhaps"}, "hw_qemu_guest_agent"),
    ({"os_secure_boot": "required"}, "os_secure_boot"),
    ({"byre_boot_limit": "nan"}, "byre_boot_limit"),
]


@pytest.mark.parametrize(("wrong", "named"), RECORDS, ids=[row[1] for row in RECORDS])
def test_a_record_that_cannot_be_kept_is_refused(
    api: Api, wrong: dict[str, Any], named: str
) -> None:
    before = api.count_rows()
    body = {"name": "x", "disk_format": "raw", "container_format": "bare", **wrong}

    answer = api.call("alice", "POST", IMAGES, json=body)

    message = answer.get_json()["message"]
    assert (answer.status_code, named in message) == (400, True), message
    assert len(message) < 400
    assert api.count_rows() == before
