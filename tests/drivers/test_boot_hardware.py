"""Real guests on other hardware than the usual, with limits: what they see, and what libvirt says
that it carries out."""

import base64
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import libvirt
import pytest

from tasks.errors import HostError
from tests.drivers.boot_code import boot_disc, boot_sector
from tests.drivers.conftest import Rig, by_hand
from tests.drivers.images import serving
from tests.drivers.libvirtd import PrivateHost
from tests.drivers.test_boot import watch
from tests.drivers.values import Server, make_first_boot
from workers.hypervisor.libvirt import LibvirtHypervisor, LibvirtSettings
from workers.hypervisor.names import image_file

pytestmark = [pytest.mark.boots, pytest.mark.lab]

#: What the guest sees of its disks, and how long it takes to read 24 MiB of one.
LOOK = """\
#!/bin/sh
exec >/dev/ttyS0 2>&1
name() { ls /sys/bus/scsi/devices/0:0:0:$1/block; }
for lun in 0 1 2 3; do
    disk=/sys/block/$(name $lun)
    echo "LUN $lun: $(cat $disk/size) sectors, read-only $(cat $disk/ro)"
done
[ "$(findfs LABEL=ephemeral0)" = "/dev/$(name 1)" ] && echo "ephemeral0 is LUN 1"
mount -t ext4 "/dev/$(name 1)" /mnt && echo kept >/mnt/file
echo "ephemeral0 has $(cat /mnt/file)"
swapon "/dev/$(name 2)" && grep -q "$(name 2)" /proc/swaps && echo "swap is LUN 2"
start=$(date +%s)
dd if="/dev/$(name 1)" of=/dev/null bs=1M count=24 iflag=direct 2>/dev/null
echo "24 MiB in $(($(date +%s) - start)) s"
echo look: done
"""
READ_LIMIT = 8 * 1024**2
LIMITS = {"disk_read_bytes_s": READ_LIMIT, "disk_write_iops": 400}
BANDWIDTH = {
    "vif_inbound_average": 1000,
    "vif_inbound_peak": 2000,
    "vif_inbound_burst": 64,
    "vif_outbound_average": 500,
}


def start(rig: Rig, server: Server) -> None:
    rig.servers.append(server)
    rig.host.define(server.job, server.resources(rig.host))
    rig.host.start(server.server_id)


def console_of(rig: Rig, server: Server, *texts: str) -> str:
    """Return the console once it has the texts."""
    look = watch(rig, server, lambda look: all(text in look.console for text in texts))
    return look.console


def test_a_guest_has_its_disks_on_virtio_scsi_and_keeps_to_its_limits(
    libvirt_rig: Rig, private_host: PrivateHost, guest_image: Path
) -> None:
    user_data = make_first_boot(user_data=base64.b64encode(LOOK.encode()).decode())
    machine = {
        "ephemeral_gib": 1,
        "swap_mib": 64,
        "hardware": {"disk_bus": "scsi"},
        "limits": LIMITS,
    }
    with serving(guest_image.read_bytes()) as images:
        server = Server(images.source(), first_boot=user_data, memory_mib=256, machine=machine)
        start(libvirt_rig, server)
        console = console_of(libvirt_rig, server, "look: done")
    assert "LUN 0: 2097152 sectors, read-only 0" in console
    assert "LUN 1: 2097152 sectors, read-only 0" in console
    assert "LUN 2: 131072 sectors, read-only 0" in console
    assert re.search(r"LUN 3: \d+ sectors, read-only 1", console)
    assert "ephemeral0 is LUN 1" in console
    assert "ephemeral0 has kept" in console
    assert "swap is LUN 2" in console
    took = re.search(r"24 MiB in (\d+) s", console)
    assert took is not None
    assert int(took[1]) >= 2
    with by_hand(private_host.uri) as handle:
        domain: Any = handle.lookupByUUIDString(server.server_id)
        for disk in ("sda", "sdb", "sdc"):
            rates = domain.blockIoTune(disk)
            assert (rates["read_bytes_sec"], rates["write_iops_sec"]) == (READ_LIMIT, 400)
        assert domain.blockIoTune("sdd")["read_bytes_sec"] == 0


def test_an_interface_keeps_to_its_rates_where_the_kernel_can(
    libvirt_rig: Rig, private_host: PrivateHost
) -> None:
    server = libvirt_rig.server(machine={"limits": BANDWIDTH})
    host = libvirt_rig.host
    host.define(server.job, server.resources(host))
    flag = libvirt.VIR_DOMAIN_AFFECT_CONFIG
    # What the host says of itself is what placement believes: it has to be true, either way.
    if host.inventory().vif_limits:
        host.start(server.server_id)
        flag = libvirt.VIR_DOMAIN_AFFECT_LIVE
    else:
        with pytest.raises(HostError):
            host.start(server.server_id)
    with by_hand(private_host.uri) as handle:
        domain: Any = handle.lookupByUUIDString(server.server_id)
        rates = domain.interfaceParameters(server.port.mac, flag)
    assert (rates["inbound.average"], rates["inbound.peak"]) == (1000, 2000)
    assert (rates["inbound.burst"], rates["outbound.average"]) == (64, 500)


@pytest.mark.parametrize("machine_type", ["q35", "pc"])
def test_uefi_starts_and_its_variables_outlive_the_guest(
    libvirt_rig: Rig, machine_type: str
) -> None:
    hardware = {"firmware": "uefi", "machine_type": machine_type}
    server = libvirt_rig.server(memory_mib=256, machine={"hardware": hardware})
    start(libvirt_rig, server)
    assert "BdsDxe" in console_of(libvirt_rig, server, "BdsDxe")
    variables = Path(server.disks(libvirt_rig.host)[0].path).parent / (
        server.thing(libvirt_rig.host, "nvram").name
    )
    before = variables.stat().st_ino
    libvirt_rig.end_guest(server.server_id)
    written = variables.read_bytes()
    # The firmware has made them its own: they are no longer as the distribution ships them.
    assert written != Path("/usr/share/OVMF/OVMF_VARS_4M.fd").read_bytes()
    libvirt_rig.host.start(server.server_id)
    assert variables.stat().st_ino == before
    server.remove(libvirt_rig.host)
    assert not variables.exists()
    assert server.traces(libvirt_rig.host) == []


@pytest.mark.parametrize("machine_type", ["q35", "pc"])
def test_a_server_is_installed_from_a_disc_and_then_starts_from_its_disk(
    libvirt_rig: Rig, libvirt_settings: LibvirtSettings, machine_type: str
) -> None:
    with serving(boot_disc("the disc says hello")) as images:
        source = images.source(disk_format="iso")
        machine = {"hardware": {"machine_type": machine_type}}
        server = Server(source, memory_mib=128, machine=machine)
        start(libvirt_rig, server)
    console_of(libvirt_rig, server, "the disc says hello")
    # As if the cache had made room: the server's own name of the image stays.
    (libvirt_settings.storage_dir / image_file(source.sha256, "iso")).unlink()
    root, disc = paths_of(libvirt_rig, server)
    libvirt_rig.end_guest(server.server_id)
    install(Path(root), boot_sector("the disk says hello"))
    libvirt_rig.host.start(server.server_id)
    console = console_of(libvirt_rig, server, "the disk says hello")
    assert console.count("the disc says hello") == 1
    server.remove(libvirt_rig.host)
    assert not Path(disc).exists()


def paths_of(rig: Rig, server: Server) -> list[str]:
    """Return where its root disk and its disc are, as traces name them."""
    found = [trace.removeprefix("disk ") for trace in server.traces(rig.host)]
    endings = (".root.qcow2", ".cdrom.iso")
    return [next(path for path in found if path.endswith(ending)) for ending in endings]


def install(root: Path, sector: bytes) -> None:
    """Write the first sector of a disk, as an installer does."""
    source = root.with_suffix(".sector")
    source.write_bytes(sector)
    command = f"write -s {source} 0 512"
    subprocess.run(
        ["qemu-io", "-f", "qcow2", "-c", command, str(root)],
        check=True,
        capture_output=True,
        timeout=60,
    )
    source.unlink()


@pytest.fixture
def limiting_host(
    tmp_path: Path, libvirt_settings: LibvirtSettings
) -> Iterator[tuple[LibvirtHypervisor, str]]:
    """Give a driver of a host with control groups, whose second processor is given away."""
    private = PrivateHost(tmp_path, f"byre-l{os.getpid()}", control_groups=True)
    before = set(Path("/sys/fs/cgroup").glob("*/machine"))
    try:
        private.start()
        settings = replace(
            libvirt_settings,
            uri=private.uri,
            storage_dir=tmp_path / "storage",
            state_dir=tmp_path / "state",
            cpu_dedicated_set=frozenset({1}),
        )
        host = LibvirtHypervisor(settings)
        with private.entered():
            yield host, private.uri
        host.close()
    finally:
        private.stop()
        for left in set(Path("/sys/fs/cgroup").glob("*/machine")) - before:
            left.rmdir()


def test_processors_and_their_time_are_limited(
    limiting_host: tuple[LibvirtHypervisor, str], blank_image: bytes
) -> None:
    host, uri = limiting_host
    limits = {"cpu_shares": 500, "cpu_period_us": 10_000, "cpu_quota_us": 5_000}
    with serving(blank_image) as images:
        own = Server(images.source(), machine={"cpu_policy": "dedicated", "limits": limits})
        shared = Server(images.source(), machine={"vcpus": 2})
        try:
            for server in (own, shared):
                host.define(server.job, server.resources(host))
                host.start(server.server_id)
            with by_hand(uri) as handle:
                domain: Any = handle.lookupByUUIDString(own.server_id)
                found = domain.schedulerParameters()
                assert (found["cpu_shares"], found["vcpu_period"]) == (500, 10_000)
                assert found["vcpu_quota"] == 5_000
                # vCPU by processor, and the emulator's threads: each on its own side.
                assert [row[:2] for row in domain.vcpuPinInfo()] == [(False, True)]
                assert domain.emulatorPinInfo()[:2] == (True, False)
                domain = handle.lookupByUUIDString(shared.server_id)
                assert [row[:2] for row in domain.vcpuPinInfo()] == [(True, False)] * 2
                described = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
                assert "cputune" not in described
        finally:
            for server in (own, shared):
                server.remove(host)


@pytest.mark.parametrize("limit", ["cpu_shares", "cpu_quota_us"])
def test_a_host_without_control_groups_starts_nobody_unlimited(
    libvirt_rig: Rig, limit: str
) -> None:
    server = libvirt_rig.server(machine={"limits": {limit: 5000}})
    libvirt_rig.host.define(server.job, server.resources(libvirt_rig.host))
    with pytest.raises(HostError, match=r"has no control groups|lacks what"):
        libvirt_rig.host.start(server.server_id)
    found = libvirt_rig.host.find(server.server_id)
    assert found is not None
    assert found.state == "shutoff"
