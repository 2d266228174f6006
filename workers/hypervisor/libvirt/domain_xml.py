"""A domain as libvirt wants it described. Pure: values in, XML elements out.

Elements are built, never pasted together, so no name can break out of its place.
"""

import re
from pathlib import Path
from typing import Literal

from lxml import etree

from tasks.messages import DiskRef, DomainSpec, Job, PortSpec
from workers.hypervisor import names

DomainType = Literal["kvm", "qemu"]
DiskCache = Literal["none", "writeback"]

#: Our metadata's namespace. A domain without an element of it is not ours.
NAMESPACE = "urn:byre:domain:1"
METADATA_PREFIX = "byre"
#: Only a label to libvirt; the guest numbers its disks in this order.
_TARGETS = {"root": "vda", "config": "vdb"}
AGENT_CHANNEL = "org.qemu.guest_agent.0"

#: Characters that no XML document may hold, however they are written.
_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def domain_xml(
    job: Job, spec: DomainSpec, *, domain_type: DomainType, cache: DiskCache, console_dir: Path
) -> str:
    """Return the domain's description: a q35 machine with virtio devices and a serial console."""
    domain = etree.Element("domain", type=domain_type)
    _add(domain, "name", names.domain_name(job.server_id))
    _add(domain, "uuid", names.checked(job.server_id))
    _add(domain, "metadata").append(metadata_xml(job, spec.machine.name))
    _add(domain, "memory", str(spec.machine.memory_mib), unit="MiB")
    _add(domain, "vcpu", str(spec.machine.vcpus))
    _add_machine(domain, domain_type)
    devices = _add(domain, "devices")
    for disk in spec.disks:
        _add_disk(devices, disk, cache)
    for port in spec.ports:
        _add_interface(devices, port)
    _add_console(devices, console_dir / names.console_file(job.server_id))
    _add_guest_devices(devices)
    return as_text(domain)


def metadata_xml(job: Job, name: str, *, qualified: bool = True) -> etree._Element:
    """Return our mark: who made the domain, for whom. Unqualified where libvirt itself puts the
    namespace in, and refuses one that is there."""
    namespace = f"{{{NAMESPACE}}}" if qualified else ""
    nsmap = {METADATA_PREFIX: NAMESPACE} if qualified else None
    mark = etree.Element(f"{namespace}server", nsmap=nsmap)
    fields = {
        "id": job.server_id,
        "project": job.project_id,
        "run": job.run_id,
        "attempt": str(job.attempt),
        "name": name,
    }
    for key, value in fields.items():
        etree.SubElement(mark, f"{namespace}{key}").text = _NOT_XML.sub("\ufffd", value)
    return mark


def as_text(element: etree._Element) -> str:
    """Return the element as libvirt takes it."""
    return etree.tostring(element, encoding="unicode")


def _add(
    parent: etree._Element, tag: str, text: str | None = None, **attributes: str
) -> etree._Element:
    element = etree.SubElement(parent, tag, attributes)
    element.text = text
    return element


def _add_machine(domain: etree._Element, domain_type: DomainType) -> None:
    system = _add(domain, "os")
    _add(system, "type", "hvm", arch="x86_64", machine="q35")
    _add(system, "boot", dev="hd")
    features = _add(domain, "features")
    _add(features, "acpi")
    _add(features, "apic")
    # Emulation has no host model to copy; `maximum` is all that the emulator can do, so that
    # images built for newer processor levels boot as well.
    _add(domain, "cpu", mode="host-model" if domain_type == "kvm" else "maximum")
    clock = _add(domain, "clock", offset="utc")
    if domain_type == "kvm":
        # A guest that missed ticks catches up, as every KVM guide asks for.
        _add(clock, "timer", name="rtc", tickpolicy="catchup")
        _add(clock, "timer", name="pit", tickpolicy="delay")
        _add(clock, "timer", name="hpet", present="no")
    _add(domain, "on_poweroff", "destroy")
    _add(domain, "on_reboot", "restart")
    # The domain stops, and its state says that it crashed.
    _add(domain, "on_crash", "destroy")


def _add_disk(devices: etree._Element, disk: DiskRef, cache: DiskCache) -> None:
    """The config drive is a virtio disk too: whatever boots from one can read it, whereas Debian's
    cloud kernel, for one, has no driver for q35's SATA and would never see a CD-ROM there."""
    element = _add(devices, "disk", type="file", device="disk")
    driver = {"name": "qemu", "type": disk.disk_format}
    if disk.role == "root":
        # Space that the guest frees goes back to the host.
        driver |= {"cache": cache, "discard": "unmap"}
    _add(element, "driver", **driver)
    _add(element, "source", file=disk.path)
    _add(element, "target", dev=_TARGETS[disk.role], bus="virtio")
    if disk.role == "config":
        _add(element, "readonly")


def _add_interface(devices: etree._Element, port: PortSpec) -> None:
    """The network gives the MTU: to the tap device, and to the guest by DHCP and config drive."""
    element = _add(devices, "interface", type="network")
    _add(element, "mac", address=port.mac)
    _add(element, "source", network=names.network_name(port.network_id))
    _add(element, "model", type="virtio")
    reference = _add(element, "filterref", filter=names.filter_name(port.port_id))
    # Told, not learned: a filter that learns believes the first address that the guest claims.
    _add(reference, "parameter", name="IP", value=port.addresses[0].address)
    _add(reference, "parameter", name="MAC", value=port.mac)


def _add_console(devices: etree._Element, log_file: Path) -> None:
    """A terminal to attach to, all of whose output also goes to a log that virtlogd bounds."""
    serial = _add(devices, "serial", type="pty")
    _add(serial, "log", file=str(log_file), append="on")
    _add(serial, "target", type="isa-serial", port="0")


def _add_guest_devices(devices: etree._Element) -> None:
    channel = _add(devices, "channel", type="unix")
    _add(channel, "target", type="virtio", name=AGENT_CHANNEL)
    rng = _add(devices, "rng", model="virtio")
    _add(rng, "backend", "/dev/urandom", model="random")
    _add(devices, "memballoon", model="virtio")
    # A guest kernel that panics says so at once, instead of by silence.
    _add(devices, "panic", model="isa")
    # Servers have a serial console; what nobody looks at only takes time to set up.
    _add(devices, "controller", type="usb", model="none")
    _add(_add(devices, "video"), "model", type="none")
