"""The image properties that say what hardware an image needs, by Glance's and Nova's names. Pure.

Properties that nothing here carries out are left alone; values that cannot be had are refused.
"""

from collections.abc import Callable, Mapping

from tasks.errors import ImageUnusable
from tasks.messages import Hardware

FIRMWARE = "hw_firmware_type"
MACHINE = "hw_machine_type"
DISK_BUS = "hw_disk_bus"
SECURE_BOOT = "os_secure_boot"
OS_TYPE = "os_type"

_YES, _NO = {"yes", "true", "1", "on"}, {"no", "false", "0", "off"}


def _agent(value: str) -> bool | None:
    return True if value in _YES else False if value in _NO else None


def _machine(value: str) -> str | None:
    """Images name QEMU's versions of a machine too; which one is the host's choice."""
    kinds = {"q35": "q35", "pc": "pc"}
    families = {"pc-q35-": "q35", "pc-i440fx-": "pc"}
    found = [kind for family, kind in families.items() if value.startswith(family)]
    return kinds.get(value) or next(iter(found), None)


def _one_of(*values: str) -> Callable[[str], str | None]:
    return lambda value: value if value in values else None


#: Property -> the field of Hardware, what a value means (None: nothing), and what can be said.
_FIELDS: dict[str, tuple[str, Callable[[str], str | bool | None], str]] = {
    DISK_BUS: (
        "disk_bus",
        _one_of("virtio", "scsi", "sata", "ide", "usb"),
        "virtio, scsi, sata, ide, usb",
    ),
    "hw_vif_model": (
        "vif_model",
        _one_of("virtio", "e1000", "e1000e", "rtl8139"),
        "virtio, e1000, e1000e, rtl8139",
    ),
    FIRMWARE: ("firmware", _one_of("bios", "uefi"), "bios, uefi"),
    MACHINE: ("machine_type", _machine, "q35, pc"),
    "hw_video_model": (
        "video_model",
        _one_of("none", "virtio", "vga", "cirrus", "qxl"),
        "none, virtio, vga, cirrus, qxl",
    ),
    "hw_qemu_guest_agent": ("guest_agent", _agent, "yes, no"),
}


#: Who is the administrator in a guest made from the image.
ADMIN_USER = "os_admin_user"

#: All that is read here.
NAMES = (*_FIELDS, SECURE_BOOT, OS_TYPE, ADMIN_USER)


def hardware_of(properties: Mapping[str, str]) -> Hardware:
    """Return the hardware. Raises ImageUnusable, naming the property, for what cannot be had."""
    asked: dict[str, str | bool] = {}
    for name, (field, meaning, known) in _FIELDS.items():
        if name in properties:
            value = meaning(properties[name].strip().lower())
            if value is None:
                raise ImageUnusable(f"{name}: {properties[name]!r:.60} is none of {known}.")
            asked[field] = value
    if properties.get(SECURE_BOOT, "").lower() == "required":
        raise ImageUnusable(f"{SECURE_BOOT}: there is no Secure Boot here.")
    if properties.get(OS_TYPE, "").lower() == "windows":
        asked["os_type"] = "windows"
    # Without a card there is nothing for a VNC console to show. The plainest is seen by all.
    asked.setdefault("video_model", "vga")
    if asked.get("disk_bus") == "ide" and asked.setdefault("machine_type", "pc") != "pc":
        raise ImageUnusable(f"{DISK_BUS}: ide is for {MACHINE} pc only.")
    return Hardware.parse(asked)


def admin_user_of(properties: Mapping[str, str]) -> str:
    """Return the name of the guest's administrator."""
    usual = "Administrator" if hardware_of(properties).os_type == "windows" else "root"
    return properties.get(ADMIN_USER) or usual
