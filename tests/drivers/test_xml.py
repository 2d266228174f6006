"""Descriptions for libvirt, as values in and elements out."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tasks.messages import DiskRef
from tests.drivers.images import ImageServer
from tests.drivers.values import NETWORK, Server, make_port
from workers.hypervisor.libvirt.acceleration import probe_xml
from workers.hypervisor.libvirt.domain_xml import domain_xml
from workers.hypervisor.libvirt.machine_xml import DomainType, Ground
from workers.hypervisor.libvirt.network_xml import (
    DhcpEntry,
    dhcp_entries,
    network_xml,
    wanted_entry,
)
from workers.hypervisor.libvirt.tuning_xml import Pins

DISKS = [
    DiskRef(role="root", path="/pool/root.qcow2", disk_format="qcow2"),
    DiskRef(role="config", path="/pool/config.iso", disk_format="raw"),
]


GROUND = Ground(
    domain_type="qemu", cache="none", console_dir=Path("/console"), storage_dir=Path("/pool")
)


def domain(domain_type: DomainType = "qemu") -> ET.Element:
    """Return the parsed description of a server."""
    with ImageServer(b"any") as images:
        server = Server(images.source())
    ground = replace(GROUND, domain_type=domain_type)
    text = domain_xml(server.job, server.spec(DISKS), ground, Pins())
    return ET.fromstring(text)  # noqa: S314


def attributes(element: ET.Element, path: str) -> dict[str, str]:
    """Return the attributes of the one element at the path."""
    (found,) = element.findall(path)
    return found.attrib


def test_a_guest_without_a_config_drive_is_given_none() -> None:
    with ImageServer(b"any") as images:
        server = Server(images.source())
    spec = server.spec(DISKS)
    bare = spec.model_copy(
        update={"machine": spec.machine.model_copy(update={"config_drive": False})}
    )
    [root] = ET.fromstring(domain_xml(server.job, bare, GROUND, Pins())).findall(  # noqa: S314
        "devices/disk"
    )
    assert attributes(root, "source")["file"] == "/pool/root.qcow2"


@pytest.mark.parametrize(("kind", "mode"), [("kvm", "host-model"), ("qemu", "maximum")])
def test_the_processor_is_what_the_domain_type_can_give(kind: DomainType, mode: str) -> None:
    described = domain(kind)
    assert described.get("type") == kind
    assert attributes(described, "cpu")["mode"] == mode
    assert attributes(described, "os/type")["machine"] == "q35"


def test_disks_name_their_format_and_path() -> None:
    root, drive = domain().findall("devices/disk")
    assert root.get("type") == drive.get("type") == "file"
    assert attributes(root, "driver")["type"] == "qcow2"
    assert attributes(drive, "driver")["type"] == "raw"
    assert attributes(root, "source")["file"] == "/pool/root.qcow2"
    assert root.find("readonly") is None
    assert drive.find("readonly") is not None


def test_an_interface_is_filtered_by_its_ports_own_filter() -> None:
    (interface,) = domain().findall("devices/interface")
    assert attributes(interface, "filterref")["filter"].startswith("byre-port-")
    assert attributes(interface, "model")["type"] == "virtio"


def test_a_guest_can_tell_that_it_may_ask_for_metadata() -> None:
    described = domain()
    assert attributes(described, "os/smbios") == {"mode": "sysinfo"}
    entries = {entry.get("name"): entry.text for entry in described.iterfind("sysinfo//entry")}
    assert entries["product"] == "OpenStack Nova"
    assert entries["serial"] == described.findtext("uuid")


def test_the_console_goes_to_a_log() -> None:
    log = attributes(domain(), "devices/serial/log")
    assert log["file"].startswith("/console/")
    assert log["append"] == "on"


def test_a_network_knows_only_whom_it_is_told() -> None:
    described = network_xml(NETWORK)
    network = ET.fromstring(described)  # noqa: S314
    assert attributes(network, "ip")["address"] == "10.177.0.1"
    assert attributes(network, "mtu")["size"] == "1400"
    assert len(attributes(network, "bridge")["name"]) <= 15
    assert network.find("ip/dhcp/range") is None
    assert dhcp_entries(described) == []


def test_a_dns_server_that_is_no_address_is_refused() -> None:
    subnet = NETWORK.subnets[0].model_copy(update={"dns": ["9.9.9.9,evil=1"]})

    with pytest.raises(ValueError, match="does not appear to be"):
        network_xml(NETWORK.model_copy(update={"subnets": [subnet]}))


def test_an_entry_keeps_its_name_when_it_is_repeated() -> None:
    port = make_port()
    address = port.addresses[0].address
    entry = wanted_entry(port, address, "web", [])
    assert entry == DhcpEntry(port.mac, address, "web")
    assert wanted_entry(port, address, "web", [entry]) == entry
    assert wanted_entry(make_port(), address, "web", [entry]).name is None


def test_the_probe_guest_is_a_kernel_under_kvm() -> None:
    described = ET.fromstring(probe_xml(Path("/boot/vmlinuz"), Path("/log")))  # noqa: S314
    assert described.get("type") == "kvm"
    assert described.findtext("os/kernel") == "/boot/vmlinuz"
    assert "panic=-1" in (described.findtext("os/cmdline") or "")
    assert described.findtext("on_reboot") == "destroy"
