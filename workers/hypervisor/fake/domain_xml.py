"""How the fake describes a domain: what libvirt would be told of it, and no more than that."""

from xml.etree import ElementTree as ET

from tasks.messages import DiskRef, Job, Outline
from workers.hypervisor import names


def fake_xml(job: Job, outline: Outline, disks: list[DiskRef]) -> str:
    """Return the domain's description in libvirt's words."""
    machine = outline.machine
    domain = ET.Element("domain", type="fake")
    ET.SubElement(domain, "name").text = names.domain_name(job.server_id)
    ET.SubElement(domain, "uuid").text = job.server_id
    ET.SubElement(domain, "memory", unit="MiB").text = str(machine.memory_mib)
    ET.SubElement(domain, "vcpu").text = str(machine.vcpus)
    devices = ET.SubElement(domain, "devices")
    for disk in disks:
        if machine.config_drive or disk.role != "config":
            element = ET.SubElement(devices, "disk", type="file")
            ET.SubElement(element, "driver", type=disk.disk_format)
            ET.SubElement(element, "source", file=disk.path)
    for port in outline.ports:
        interface = ET.SubElement(devices, "interface", type="network")
        ET.SubElement(interface, "mac", address=port.mac)
        ET.SubElement(interface, "source", network=names.network_name(port.network_id))
    return ET.tostring(domain, encoding="unicode")
