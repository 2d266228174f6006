"""The machine of a domain: firmware, features, processor, clock, video. Pure.

What the image says (`hw_` and `os_` properties, by tasks.messages.Hardware) meets what the host
can give (`Ground`).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lxml import etree

from tasks.messages import MachineSpec
from workers.hypervisor import names
from workers.hypervisor.libvirt.elements import add

DomainType = Literal["kvm", "qemu"]
DiskCache = Literal["none", "writeback"]

#: Modes of libvirt's; whatever else is asked for is the name of a model.
_MODES = {"host-model", "host-passthrough", "maximum"}
#: What lets Windows know that it is a guest, without which it waits busily and loses time.
_HYPERV = ("relaxed", "vapic", "vpindex", "runtime", "synic", "stimer", "reset", "frequencies")
#: As often as Windows is told to try for a lock before it lets others run; everybody's value.
_SPINLOCK_RETRIES = "8191"


@dataclass(frozen=True)
class Ground:
    """What a host brings to each of its domains."""

    domain_type: DomainType
    cache: DiskCache
    console_dir: Path
    #: Where disks lie, and the firmware's variables beside them.
    storage_dir: Path
    cpu_model: str = "host-model"
    #: `pcid` or `+pcid` is to be there, `-vmx` not.
    cpu_features: tuple[str, ...] = ()


def add_firmware(
    domain: etree._Element, server_id: str, machine: MachineSpec, ground: Ground
) -> None:
    """Add the machine's type and its firmware. libvirt finds the UEFI firmware by the descriptions
    that distributions install with it, and copies its variables to our path at the first start;
    with one path for each server, none ever meets another's."""
    is_uefi = machine.hardware.firmware == "uefi"
    system = add(domain, "os", **({"firmware": "efi"} if is_uefi else {}))
    add(system, "type", "hvm", arch="x86_64", machine=machine.hardware.machine_type)
    if is_uefi:
        # Whoever wants it must say so: with it, an image that nobody signed does not boot.
        add(add(system, "firmware"), "feature", enabled="no", name="secure-boot")
        add(system, "nvram", str(ground.storage_dir / names.nvram_file(server_id)))
    add(system, "smbios", mode="sysinfo")


def add_identity(domain: etree._Element, server_id: str) -> None:
    """Say by SMBIOS on what the guest runs. cloud-init looks for this product name before it asks
    the metadata service (tools/ds-identify, `dscheck_OpenStack`); with any other, an image that
    does not read config drives would not configure itself."""
    system = add(add(domain, "sysinfo", type="smbios"), "system")
    entries = {"manufacturer": "Byre", "product": "OpenStack Nova", "serial": server_id}
    for name, value in entries.items():
        add(system, "entry", value, name=name)


def add_features(domain: etree._Element, machine: MachineSpec, ground: Ground) -> None:
    """Add what the machine can do."""
    features = add(domain, "features")
    add(features, "acpi")
    add(features, "apic")
    if machine.hardware.os_type == "windows" and ground.domain_type == "kvm":
        hyperv = add(features, "hyperv", mode="custom")
        for name in _HYPERV:
            add(hyperv, name, state="on")
        add(hyperv, "spinlocks", state="on", retries=_SPINLOCK_RETRIES)


def add_cpu(domain: etree._Element, machine: MachineSpec, ground: Ground) -> None:
    """Add the processor."""
    if ground.domain_type == "kvm":
        cpu = _kvm_cpu(domain, ground)
    else:
        # Emulation has no host model to copy; `maximum` is all that the emulator can do, so that
        # images built for newer processor levels boot as well.
        cpu = add(domain, "cpu", mode="maximum")
    if machine.hardware.os_type == "windows":
        # Most Windows editions use two sockets at most, and as many cores as there are in them.
        add(cpu, "topology", sockets="1", dies="1", cores=str(machine.vcpus), threads="1")
    if ground.domain_type == "kvm":
        for feature in ground.cpu_features:
            policy = "disable" if feature.startswith("-") else "require"
            add(cpu, "feature", policy=policy, name=feature.lstrip("+-"))


def _kvm_cpu(domain: etree._Element, ground: Ground) -> etree._Element:
    if ground.cpu_model in _MODES:
        return add(domain, "cpu", mode=ground.cpu_model)
    cpu = add(domain, "cpu", mode="custom", match="exact")
    add(cpu, "model", ground.cpu_model, fallback="forbid")
    return cpu


def add_clock(domain: etree._Element, machine: MachineSpec, ground: Ground) -> None:
    """Add the clock. Windows believes that the hardware's is local time."""
    is_windows = machine.hardware.os_type == "windows"
    clock = add(domain, "clock", offset="localtime" if is_windows else "utc")
    if ground.domain_type == "kvm":
        # A guest that missed ticks catches up, as every KVM guide asks for.
        add(clock, "timer", name="rtc", tickpolicy="catchup")
        add(clock, "timer", name="pit", tickpolicy="delay")
        add(clock, "timer", name="hpet", present="no")
        if is_windows:
            add(clock, "timer", name="hypervclock", present="yes")


def add_video(devices: etree._Element, machine: MachineSpec) -> None:
    """Add the graphics card, and a VNC server that shows it. That listens nowhere: libvirt hands it
    connections of whom our gate lets in."""
    model = machine.hardware.video_model
    add(add(devices, "video"), "model", type=model)
    if model != "none":
        add(add(devices, "graphics", type="vnc"), "listen", type="none")
        # It points where the viewer's mouse is, which a mouse of the guest's own does not.
        bus = "usb" if machine.hardware.os_type == "windows" else "virtio"
        add(devices, "input", type="tablet", bus=bus)
