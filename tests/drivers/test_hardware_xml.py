"""The hardware, limits and processors of a domain, as values in and elements out."""

import dataclasses
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tasks.errors import ImageUnusable
from tasks.messages import DiskRef, DiskRole
from tests.drivers.images import ImageServer
from tests.drivers.values import Server
from workers.hypervisor.libvirt.domain_xml import domain_xml
from workers.hypervisor.libvirt.machine_xml import Ground
from workers.hypervisor.libvirt.tuning_xml import Pins

EMULATED = Ground("qemu", "none", Path("/console"), Path("/pool"))
KVM = dataclasses.replace(EMULATED, domain_type="kvm")
ROLES: list[DiskRole] = ["config", "swap", "root", "ephemeral"]


def disk(role: DiskRole) -> DiskRef:
    return DiskRef(role=role, path=f"/pool/{role}", disk_format="raw")


def described(
    machine: dict[str, Any],
    *,
    ground: Ground = EMULATED,
    pins: Pins | None = None,
    roles: list[DiskRole] = ROLES,
) -> ET.Element:
    """Return the parsed description of a server with this machine."""
    with ImageServer(b"any") as images:
        server = Server(images.source(), machine=machine)
    spec = server.spec([disk(role) for role in roles])
    return ET.fromstring(domain_xml(server.job, spec, ground, pins or Pins()))  # noqa: S314


def hardware(**asked: object) -> dict[str, Any]:
    return {"hardware": asked}


def layout(domain: ET.Element) -> list[str]:
    """Return role, device, name and bus of each disk, in the guest's order."""
    return [
        f"{Path(one(each, 'source').get('file', '')).name} {each.get('device')}"
        f" {one(each, 'target').get('dev')} {one(each, 'target').get('bus')}"
        for each in domain.findall("devices/disk")
    ]


def one(element: ET.Element, path: str) -> ET.Element:
    (found,) = element.findall(path)
    return found


def controllers(domain: ET.Element) -> list[dict[str, str]]:
    found = [each.attrib for each in domain.findall("devices/controller")]
    return [each for each in found if each["type"] != "pci"]


NO_USB = {"type": "usb", "model": "none"}
VIRTIO_SCSI = {"type": "scsi", "index": "0", "model": "virtio-scsi"}


@pytest.mark.parametrize(
    ("bus", "prefix", "config", "extra"),
    [
        ("virtio", "vd", "disk", [NO_USB]),
        ("scsi", "sd", "disk", [VIRTIO_SCSI, NO_USB]),
        ("sata", "sd", "cdrom", [NO_USB]),
        ("usb", "sd", "disk", [{"type": "usb", "model": "qemu-xhci"}]),
    ],
)
def test_disks_are_on_the_bus_in_an_order_that_stays(
    bus: str, prefix: str, config: str, extra: list[dict[str, str]]
) -> None:
    domain = described(hardware(disk_bus=bus))
    assert layout(domain) == [
        f"root disk {prefix}a {bus}",
        f"ephemeral disk {prefix}b {bus}",
        f"swap disk {prefix}c {bus}",
        f"config {config} {prefix}d {bus}",
    ]
    assert controllers(domain) == extra
    serials = [each.text for each in domain.findall("devices/disk/serial")]
    assert serials == ["root", "ephemeral0", "swap", "config"]


def test_an_old_machine_has_ide() -> None:
    domain = described(hardware(disk_bus="ide", machine_type="pc", vif_model="rtl8139"))
    assert layout(domain)[0] == "root disk hda ide"
    assert layout(domain)[-1] == "config cdrom hdd ide"
    assert one(domain, "os/type").get("machine") == "pc"
    assert one(domain, "devices/interface/model").get("type") == "rtl8139"


@pytest.mark.parametrize(
    ("asked", "roles"),
    [
        ({"disk_bus": "ide"}, ROLES),
        ({"disk_bus": "ide", "machine_type": "pc"}, [*ROLES, "cdrom"]),
    ],
)
def test_disks_that_no_machine_has_are_the_images_fault(
    asked: dict[str, Any], roles: list[DiskRole]
) -> None:
    with pytest.raises(ImageUnusable, match="ide"):
        described(hardware(**asked), roles=roles)


@pytest.mark.parametrize(
    ("machine_type", "disc"), [("q35", "cdrom cdrom sda sata"), ("pc", "cdrom cdrom hda ide")]
)
def test_the_installer_boots_after_a_disk_that_is_empty(machine_type: str, disc: str) -> None:
    domain = described(hardware(machine_type=machine_type), roles=["root", "cdrom", "config"])
    assert layout(domain) == ["root disk vda virtio", disc, "config disk vdb virtio"]
    boots = [each.find("boot") for each in domain.findall("devices/disk")]
    assert [boot.get("order") if boot is not None else None for boot in boots] == ["1", "2", None]
    assert domain.find("os/boot") is None
    readonly = [each.find("readonly") is not None for each in domain.findall("devices/disk")]
    assert readonly == [False, True, True]


def test_a_rescue_starts_from_its_own_disk_with_the_servers_beside_it() -> None:
    domain = described({}, roles=["config", "root", "rescue"])
    assert layout(domain) == ["rescue disk vda virtio", "root disk vdb virtio",
                              "config disk vdc virtio"]  # fmt: skip
    boots = [each.find("boot") is not None for each in domain.findall("devices/disk")]
    assert boots == [True, False, False]


@pytest.mark.parametrize(("machine_type", "places"), [("q35", 4 + 1 + 6 + 4), ("pc", 0)])
def test_interfaces_can_come_to_a_machine_that_runs(machine_type: str, places: int) -> None:
    domain = described(hardware(machine_type=machine_type))
    assert len(domain.findall("devices/controller[@model='pcie-root-port']")) == places


def test_bios_is_what_there_is_without_a_word() -> None:
    system = one(described({}), "os")
    assert "firmware" not in system.attrib
    assert system.find("nvram") is None


@pytest.mark.parametrize("machine_type", ["q35", "pc"])
def test_uefi_has_variables_of_each_servers_own(machine_type: str) -> None:
    domain = described(hardware(firmware="uefi", machine_type=machine_type))
    assert one(domain, "os").get("firmware") == "efi"
    assert one(domain, "os/nvram").text == f"/pool/{domain.findtext('uuid')}.nvram.fd"
    assert one(domain, "os/firmware/feature").attrib == {"enabled": "no", "name": "secure-boot"}


def test_video_and_agent_are_as_the_image_says() -> None:
    plain, odd = described({}), described(hardware(video_model="qxl", guest_agent=False))
    assert one(plain, "devices/video/model").get("type") == "none"
    assert one(odd, "devices/video/model").get("type") == "qxl"
    assert len(plain.findall("devices/channel")) == 1
    assert odd.find("devices/channel") is None


@pytest.mark.parametrize(("os_type", "bus"), [("linux", "virtio"), ("windows", "usb")])
def test_screen_is_shown_by_a_server_that_listens_nowhere(os_type: str, bus: str) -> None:
    plain = described({})
    shown = described(hardware(video_model="vga", os_type=os_type))
    assert one(shown, "devices/graphics").attrib == {"type": "vnc"}
    assert [each.attrib for each in one(shown, "devices/graphics")] == [{"type": "none"}]
    assert one(shown, "devices/input").attrib == {"type": "tablet", "bus": bus}
    assert plain.find("devices/graphics") is None
    assert plain.find("devices/input") is None


@pytest.mark.parametrize(("ground", "enlightened"), [(EMULATED, False), (KVM, True)])
def test_windows_has_its_clock_cores_and_enlightenments(ground: Ground, enlightened: bool) -> None:
    domain = described({"vcpus": 4, **hardware(os_type="windows")}, ground=ground)
    assert one(domain, "clock").get("offset") == "localtime"
    assert one(domain, "cpu/topology").get("cores") == "4"
    assert (domain.find("features/hyperv/spinlocks") is not None) == enlightened
    timers = [timer.get("name") for timer in domain.findall("clock/timer")]
    assert ("hypervclock" in timers) == enlightened
    linux = described({"vcpus": 4}, ground=ground)
    assert linux.find("cpu/topology") is None
    assert linux.find("features/hyperv") is None
    assert one(linux, "clock").get("offset") == "utc"


@pytest.mark.parametrize("mode", ["host-model", "host-passthrough", "maximum"])
def test_a_kvm_guests_processor_is_the_operators_choice(mode: str) -> None:
    ground = dataclasses.replace(KVM, cpu_model=mode, cpu_features=("pcid", "+ssbd", "-vmx"))
    cpu = one(described({}, ground=ground), "cpu")
    assert cpu.get("mode") == mode
    features = [(each.get("policy"), each.get("name")) for each in cpu.findall("feature")]
    assert features == [("require", "pcid"), ("require", "ssbd"), ("disable", "vmx")]


def test_a_kvm_guests_processor_can_be_a_named_model() -> None:
    cpu = one(described({}, ground=dataclasses.replace(KVM, cpu_model="Nehalem")), "cpu")
    assert cpu.attrib == {"mode": "custom", "match": "exact"}
    assert (one(cpu, "model").text, one(cpu, "model").get("fallback")) == ("Nehalem", "forbid")


def test_an_emulated_guest_has_all_that_the_emulator_can_do() -> None:
    ground = dataclasses.replace(EMULATED, cpu_model="host-passthrough", cpu_features=("pcid",))
    cpu = one(described({}, ground=ground), "cpu")
    assert cpu.attrib == {"mode": "maximum"}
    assert len(cpu) == 0


def test_no_limit_adds_nothing() -> None:
    domain = described({})
    for path in ("cputune", "devices/disk/iotune", "devices/interface/bandwidth"):
        assert domain.find(path) is None
    assert "cpuset" not in one(domain, "vcpu").attrib


def test_limits_are_carried_out_where_they_belong() -> None:
    limits = {
        "disk_read_bytes_s": 1_000_000,
        "disk_write_iops": 200,
        "vif_inbound_average": 1000,
        "vif_inbound_peak": 2000,
        "vif_outbound_average": 500,
        "vif_outbound_burst": 64,
        "cpu_shares": 512,
        "cpu_period_us": 10_000,
        "cpu_quota_us": 5_000,
    }
    domain = described({"limits": limits})
    rates = {"read_bytes_sec": "1000000", "write_iops_sec": "200"}
    for each in domain.findall("devices/disk"):
        tuning = each.find("iotune")
        found = None if tuning is None else {rate.tag: rate.text for rate in tuning}
        is_config = one(each, "source").get("file") == "/pool/config"
        assert found == (None if is_config else rates)
    bandwidth = one(domain, "devices/interface/bandwidth")
    assert one(bandwidth, "inbound").attrib == {"average": "1000", "peak": "2000"}
    assert one(bandwidth, "outbound").attrib == {"average": "500", "burst": "64"}
    cputune = {each.tag: each.text for each in one(domain, "cputune")}
    assert cputune == {"shares": "512", "period": "10000", "quota": "5000"}


def test_each_vcpu_has_its_own_processor_and_the_emulator_none_of_them() -> None:
    machine = {"vcpus": 2, "cpu_policy": "dedicated"}
    domain = described(machine, pins=Pins(own=(3, 10), shared=frozenset({0, 1})))
    assert [each.attrib for each in domain.findall("cputune/vcpupin")] == [
        {"vcpu": "0", "cpuset": "3"},
        {"vcpu": "1", "cpuset": "10"},
    ]
    assert one(domain, "cputune/emulatorpin").get("cpuset") == "0,1"
    assert "cpuset" not in one(domain, "vcpu").attrib


def test_who_shares_stays_out_of_what_others_have() -> None:
    domain = described({"vcpus": 2}, pins=Pins(shared=frozenset({1, 0})))
    assert one(domain, "vcpu").get("cpuset") == "0,1"
    assert domain.find("cputune") is None
