"""Tagged devices: where the guest is told that they are."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pycdlib
import pytest
from lxml import etree

from tasks.messages import FirewallSpec
from tests.drivers.conftest import Rig, by_hand
from tests.drivers.libvirtd import PrivateHost
from tests.drivers.values import NETWORK, make_first_boot, make_port
from workers.hypervisor import names
from workers.hypervisor.guest_data import GuestStore
from workers.hypervisor.libvirt import LibvirtSettings
from workers.hypervisor.libvirt.device_tags import tagged_devices

DOMAIN = """
<domain><devices>
  <disk type='file'><target dev='vda' bus='virtio'/><serial>rescue</serial>
    <address type='pci' domain='0x0000' bus='0x02' slot='0x00' function='0x0'/></disk>
  <disk type='file'><target dev='{dev}' bus='{bus}'/><serial>root</serial>{address}</disk>
  <interface type='network'><mac address='fa:16:3e:00:00:0A'/>
    <address type='pci' domain='0x0000' bus='0x01' slot='0x1f' function='0x2'/></interface>
  <interface type='network'><mac address='fa:16:3e:00:00:0b'/>
    <address type='pci' domain='0x0000' bus='0x04' slot='0x00' function='0x0'/></interface>
</devices></domain>
"""
PCI = "<address type='pci' domain='0x0000' bus='0x03' slot='0x00' function='0x0'/>"
DRIVE = "<address type='drive' controller='0' bus='0' target='0' unit='0'/>"


def tagged(mac: str, tag: str) -> Any:
    return make_port().model_copy(update={"mac": mac, "tag": tag})


@pytest.mark.parametrize(
    ("bus", "dev", "address", "told"),
    [
        ("virtio", "vdb", PCI, {"bus": "pci", "address": "0000:03:00.0", "path": "/dev/vdb"}),
        ("scsi", "sdb", DRIVE, {"bus": "scsi", "address": "none", "path": "/dev/sdb"}),
    ],
)
def test_devices_are_told_by_their_tags(bus: str, dev: str, address: str, told: Any) -> None:
    description = DOMAIN.format(bus=bus, dev=dev, address=address)
    ports = [
        tagged("fa:16:3e:00:00:0b", ""),
        tagged("fa:16:3e:00:00:0a", "front"),
        tagged("fa:16:3e:00:00:0c", "not plugged yet"),
    ]
    nic = {"type": "nic", "bus": "pci", "address": "0000:01:1f.2", "mac": "fa:16:3e:00:00:0a"}
    disk = {"type": "disk", "serial": "root", "tags": ["boot"], **told}

    found = tagged_devices(description, ports, "boot")

    assert [one.model_dump(exclude_none=True) for one in found] == [
        {**nic, "tags": ["front"]},
        disk,
    ]
    assert tagged_devices(description, ports[:1], "") == []


def on_drive(settings: LibvirtSettings, server_id: str) -> Any:
    """Return the devices that the config drive tells of."""
    image, found = pycdlib.PyCdlib(), BytesIO()
    image.open(str(settings.storage_dir / names.config_drive_file(server_id)))
    image.get_file_from_iso_fp(found, rr_path="/openstack/latest/meta_data.json")
    image.close()
    return json.loads(found.getvalue())["devices"]


def addresses(host: PrivateHost, server_id: str) -> dict[str, str]:
    """Return the PCI bus of each interface of what runs, by its MAC."""
    with by_hand(host.uri) as handle:
        domain = etree.fromstring(handle.lookupByUUIDString(server_id).XMLDesc())
    found = {}
    for element in domain.iterfind("devices/interface"):
        mac, address = element.find("mac"), element.find("address")
        assert mac is not None
        assert address is not None
        found[str(mac.get("address"))] = f"0000:{int(str(address.get('bus')), 16):02x}:00.0"
    return found


@pytest.mark.lab
def test_the_guest_is_told_before_it_starts_and_when_one_comes(
    libvirt_rig: Rig,
    libvirt_settings: LibvirtSettings,
    private_host: PrivateHost,
    tmp_path: Path,
) -> None:
    host, server = libvirt_rig.host, libvirt_rig.server(first_boot=make_first_boot(root_tag="boot"))
    server.port = server.port.model_copy(update={"tag": "front"})
    host.define(server.job, server.resources(host))
    assert on_drive(libvirt_settings, server.server_id) == []

    host.start(server.server_id)

    there = addresses(private_host, server.server_id)
    nic, disk = on_drive(libvirt_settings, server.server_id)
    assert nic == {
        "type": "nic",
        "bus": "pci",
        "address": there[server.port.mac],
        "mac": server.port.mac,
        "tags": ["front"],
    }
    assert (disk["type"], disk["path"], disk["tags"]) == ("disk", "/dev/vda", ["boot"])

    other = make_port().model_copy(update={"tag": "back"})
    host.ensure_port(NETWORK, other, "web-1")
    host.ensure_firewall(FirewallSpec(), [other])
    try:
        ports = [server.port, other]
        project_id = server.job.project_id
        host.ensure_config_drive(server.server_id, project_id, server.first_boot, [NETWORK], ports)
        assert on_drive(libvirt_settings, server.server_id) == [nic, disk]
        host.attach_port(server.server_id, other, server.machine_spec())
        told = GuestStore(libvirt_settings.state_dir).read(server.server_id)
        assert told is not None
        assert [one.tags for one in told.devices] == [["front"], ["back"], ["boot"]]
        there = addresses(private_host, server.server_id)
        assert told.devices[1].address == there[other.mac]
    finally:
        host.remove_domain(server.server_id)
        host.remove_ports(server.server_id, [other])
