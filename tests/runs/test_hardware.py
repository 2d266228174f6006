"""Image properties as values in and hardware out."""

import pytest

from app.runs.hardware import hardware_of
from tasks.errors import ImageUnusable
from tasks.messages import Hardware


def test_an_image_that_says_nothing_has_the_usual() -> None:
    assert hardware_of({}) == Hardware(video_model="vga")
    others = {"os_distro": "debian", "hw_scsi_model": "virtio-scsi", "os_type": "freebsd"}
    assert hardware_of({**others, "os_secure_boot": "optional"}) == hardware_of({})


@pytest.mark.parametrize(
    ("name", "value", "field", "meant"),
    [
        ("hw_disk_bus", "SCSI", "disk_bus", "scsi"),
        ("hw_vif_model", "e1000", "vif_model", "e1000"),
        ("hw_firmware_type", "uefi", "firmware", "uefi"),
        ("hw_machine_type", "pc-i440fx-6.2", "machine_type", "pc"),
        ("hw_machine_type", "pc-q35-7.2", "machine_type", "q35"),
        ("hw_machine_type", " q35 ", "machine_type", "q35"),
        ("hw_video_model", "qxl", "video_model", "qxl"),
        ("hw_qemu_guest_agent", "no", "guest_agent", False),
        ("hw_qemu_guest_agent", "True", "guest_agent", True),
        ("os_type", "Windows", "os_type", "windows"),
    ],
)
def test_each_property_is_carried_out(name: str, value: str, field: str, meant: object) -> None:
    assert getattr(hardware_of({name: value}), field) == meant


def test_ide_brings_the_machine_that_has_it() -> None:
    assert hardware_of({"hw_disk_bus": "ide"}).machine_type == "pc"
    with pytest.raises(ImageUnusable, match="hw_disk_bus: ide"):
        hardware_of({"hw_disk_bus": "ide", "hw_machine_type": "q35"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hw_disk_bus", "floppy"),
        ("hw_disk_bus", ""),
        ("hw_vif_model", "virtio'/><evil"),
        ("hw_firmware_type", "coreboot"),
        ("hw_machine_type", "microvm"),
        ("hw_video_model", "x" * 5000),
        ("hw_qemu_guest_agent", "perhaps"),
        ("os_secure_boot", "required"),
    ],
)
def test_what_cannot_be_had_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(ImageUnusable, match=name) as caught:
        hardware_of({name: value})
    assert len(caught.value.public) < 200
