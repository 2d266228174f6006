"""Where a guest finds the devices that its owner has tagged: `devices` of OpenStack's metadata,
from a domain as libvirt describes it. Pure."""

from lxml import etree

from tasks.messages import PortSpec
from workers.hypervisor.guest_data import Device

#: Nova's word for the address of what is on no PCI bus of its own.
_NO_ADDRESS = "none"


def tagged_devices(description: str, ports: list[PortSpec], root_tag: str) -> list[Device]:
    """Return them: interfaces in the order of the ports, then the root disk. What the domain does
    not have is left out."""
    domain = etree.fromstring(description)
    tags = {port.mac.lower(): port.tag for port in ports if port.tag}
    by_mac = {mac: _nic(element, mac, tags[mac]) for mac, element in _nics(domain) if mac in tags}
    found = [by_mac[port.mac.lower()] for port in ports if port.mac.lower() in by_mac]
    if root_tag:
        found += [_disk(disk, root_tag) for disk in domain.iterfind("devices/disk[serial='root']")]
    return found


def _nics(domain: etree._Element) -> list[tuple[str, etree._Element]]:
    return [
        (str(mac.get("address")).lower(), element)
        for element in domain.iterfind("devices/interface")
        if (mac := element.find("mac")) is not None
    ]


def _nic(element: etree._Element, mac: str, tag: str) -> Device:
    return Device(type="nic", bus="pci", address=_address(element), mac=mac, tags=[tag])


def _disk(element: etree._Element, tag: str) -> Device:
    target = element.find("target")
    bus, name = ("", "") if target is None else (target.get("bus", ""), target.get("dev", ""))
    return Device(
        type="disk",
        bus="pci" if bus == "virtio" else bus,
        address=_address(element),
        path=f"/dev/{name}",
        serial="root",
        tags=[tag],
    )


def _address(element: etree._Element) -> str:
    """Return the PCI address as the guest's kernel writes it."""
    address = element.find("address[@type='pci']")
    if address is None:
        return _NO_ADDRESS
    domain, bus, slot, function = (
        int(address.get(name, "0"), 16) for name in ("domain", "bus", "slot", "function")
    )
    return f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}"
