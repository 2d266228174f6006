"""A domain as libvirt wants it described. Pure: values in, XML elements out.

Elements are built, never pasted together, so no name can break out of its place.
"""

import re
from pathlib import Path

from lxml import etree

from tasks.messages import DomainSpec, Job, MachineSpec, PortSpec
from workers.hypervisor import names
from workers.hypervisor.libvirt.disk_xml import add_disks
from workers.hypervisor.libvirt.elements import add
from workers.hypervisor.libvirt.machine_xml import (
    Ground,
    add_clock,
    add_cpu,
    add_features,
    add_firmware,
    add_identity,
    add_video,
)
from workers.hypervisor.libvirt.tuning_xml import Pins, add_bandwidth, add_vcpus

#: Our metadata's namespace. A domain without an element of it is not ours.
NAMESPACE = "urn:byre:domain:1"
METADATA_PREFIX = "byre"
AGENT_CHANNEL = "org.qemu.guest_agent.0"

#: Interfaces for which a domain has room while it runs, on q35; one that is started anew has room
#: for as many again.
_FREE_PLACES = 4
#: At most: agent channel, random numbers, balloon, graphics, controllers of disks and of USB.
_OTHER_DEVICES = 6

#: Characters that no XML document may hold, however they are written.
_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def domain_xml(job: Job, spec: DomainSpec, ground: Ground, pins: Pins) -> str:
    """Return the domain's description: the image's hardware, the flavor's limits, a serial console.
    Raises ImageUnusable for hardware that no machine can have."""
    machine = spec.machine
    domain = etree.Element("domain", type=ground.domain_type)
    add(domain, "name", names.domain_name(job.server_id))
    add(domain, "uuid", names.checked(job.server_id))
    add(domain, "metadata").append(metadata_xml(job, machine.name))
    add(domain, "memory", str(machine.memory_mib), unit="MiB")
    add_vcpus(domain, machine, pins)
    add_firmware(domain, job.server_id, machine, ground)
    add_identity(domain, job.server_id)
    add_features(domain, machine, ground)
    add_cpu(domain, machine, ground)
    add_clock(domain, machine, ground)
    _add_endings(domain)
    devices = add(domain, "devices")
    disks = [disk for disk in spec.disks if machine.config_drive or disk.role != "config"]
    _add_places(devices, machine, len(disks) + len(spec.ports))
    add_disks(devices, machine.hardware, disks, machine.limits, ground.cache)
    for port in spec.ports:
        devices.append(interface_xml(port, machine))
    _add_console(devices, ground.console_dir / names.console_file(job.server_id))
    _add_guest_devices(devices, machine)
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


def _add_endings(domain: etree._Element) -> None:
    add(domain, "on_poweroff", "destroy")
    add(domain, "on_reboot", "restart")
    # The domain stops, and its state says that it crashed.
    add(domain, "on_crash", "destroy")


def interface_xml(port: PortSpec, machine: MachineSpec) -> etree._Element:
    """Return an interface. The network gives the MTU: to the tap device, and to the guest by DHCP
    and config drive."""
    element = etree.Element("interface", type="network")
    add(element, "mac", address=port.mac)
    add(element, "source", network=names.network_name(port.network_id))
    add(element, "model", type=machine.hardware.vif_model)
    # All that it allows is written out in it, so that a change of it reaches a running guest.
    add(element, "filterref", filter=names.filter_name(port.port_id))
    add_bandwidth(element, machine.limits)
    return element


def _add_places(devices: etree._Element, machine: MachineSpec, used: int) -> None:
    """Add what devices are plugged into on q35: libvirt makes as many as a domain has devices, and
    none to which another could come while it runs."""
    if machine.hardware.machine_type == "q35":
        add(devices, "controller", type="pci", index="0", model="pcie-root")
        for index in range(1, used + _OTHER_DEVICES + _FREE_PLACES + 1):
            add(devices, "controller", type="pci", index=str(index), model="pcie-root-port")


def _add_console(devices: etree._Element, log_file: Path) -> None:
    """A terminal to attach to, all of whose output also goes to a log that virtlogd bounds."""
    serial = add(devices, "serial", type="pty")
    add(serial, "log", file=str(log_file), append="on")
    add(serial, "target", type="isa-serial", port="0")


def _add_guest_devices(devices: etree._Element, machine: MachineSpec) -> None:
    if machine.hardware.guest_agent:
        channel = add(devices, "channel", type="unix")
        add(channel, "target", type="virtio", name=AGENT_CHANNEL)
    rng = add(devices, "rng", model="virtio")
    add(rng, "backend", "/dev/urandom", model="random")
    add(devices, "memballoon", model="virtio")
    # A guest kernel that panics says so at once, instead of by silence.
    add(devices, "panic", model="isa")
    add_video(devices, machine)
