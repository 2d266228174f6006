"""What only a real libvirt can show: its own files, networks and XML, and its daemon's death."""

import os
import subprocess
import threading
import time
import uuid
from pathlib import Path
from xml.etree import ElementTree as ET

import libvirt
import pytest

from tasks.errors import ForeignOwner, HostError, HostFull, HostGone
from tests.drivers.conftest import Rig, by_hand
from tests.drivers.images import serving
from tests.drivers.libvirtd import PrivateHost
from tests.drivers.values import NETWORK, make_first_boot, make_port
from workers.hypervisor.image_cache import ImageCache
from workers.hypervisor.libvirt import LibvirtHypervisor, LibvirtSettings
from workers.hypervisor.libvirt.connection import Keeper
from workers.hypervisor.libvirt.domain_xml import NAMESPACE
from workers.hypervisor.names import domain_name, network_name

pytestmark = pytest.mark.lab

HOSTILE_NAMES = [
    "\"'/><evil/><!--",
    "]]><domain>&amp;&lt;",
    "line\nbreak\r\n\ttab",
    "\u0000\u0001\u001b[31m\ufffe\ud800",
    "emoji \U0001f600 and \u202eright to left",
    "%s ${x} {{ y }} `id`",
]


def dhcp_hosts(handle: libvirt.virConnect) -> list[dict[str, str]]:
    """Return the network's static DHCP entries, as they run."""
    description = handle.networkLookupByName(network_name(NETWORK.network_id)).XMLDesc(0)
    return [host.attrib for host in ET.fromstring(description).iterfind("ip/dhcp/host")]  # noqa: S314


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_name_never_breaks_out_of_its_place(
    libvirt_rig: Rig, private_host: PrivateHost, name: str
) -> None:
    server = libvirt_rig.server(name=name)
    libvirt_rig.host.define(server.job, server.resources(libvirt_rig.host))
    with by_hand(private_host.uri) as handle:
        described = handle.lookupByName(domain_name(server.server_id)).XMLDesc(0)
    domain = ET.fromstring(described)  # noqa: S314
    (mark,) = list(domain.iterfind("metadata/*"))
    fields = {child.tag.removeprefix(f"{{{NAMESPACE}}}"): child.text for child in mark}
    assert fields.keys() == {"id", "project", "run", "attempt", "name"}
    assert fields["id"] == server.server_id
    if name.isprintable():
        assert fields["name"] == name


@pytest.mark.parametrize("hostname", ["web\n52:54:00:00:00:09,10.177.0.9", 'a"/><x y="', "-", ""])
def test_a_host_name_never_reaches_dnsmasq_unchecked(
    libvirt_rig: Rig, private_host: PrivateHost, hostname: str
) -> None:
    server = libvirt_rig.server(first_boot=make_first_boot(hostname=hostname))
    libvirt_rig.host.ensure_port(NETWORK, server.port, hostname)
    with by_hand(private_host.uri) as handle:
        (entry,) = [host for host in dhcp_hosts(handle) if host["ip"] == server.address]
    assert "name" not in entry


def test_two_servers_may_have_one_name(libvirt_rig: Rig, private_host: PrivateHost) -> None:
    servers = [libvirt_rig.server(), libvirt_rig.server()]
    for server in servers:
        libvirt_rig.host.ensure_port(NETWORK, server.port, "twin")
    with by_hand(private_host.uri) as handle:
        entries = {host["ip"]: host.get("name") for host in dhcp_hosts(handle)}
    assert [entries[server.address] for server in servers] == ["twin", None]


def test_an_address_goes_from_one_port_to_the_next(
    libvirt_rig: Rig, private_host: PrivateHost
) -> None:
    old, new = libvirt_rig.server(), libvirt_rig.server()
    libvirt_rig.host.ensure_port(NETWORK, old.port, "web")
    new.port = new.port.model_copy(update={"addresses": old.port.addresses})
    libvirt_rig.host.ensure_port(NETWORK, new.port, "web")
    with by_hand(private_host.uri) as handle:
        owners = [h["mac"] for h in dhcp_hosts(handle) if h["ip"] == old.address]
    assert owners == [new.port.mac]


def test_a_foreign_network_is_refused_and_left_alone(
    libvirt_rig: Rig, private_host: PrivateHost
) -> None:
    spec = NETWORK.model_copy(update={"network_id": str(uuid.uuid4())})
    with by_hand(private_host.uri) as handle:
        foreign = handle.networkDefineXML(
            f"<network><name>by-hand</name><uuid>{spec.network_id}</uuid></network>"
        )
        with pytest.raises(ForeignOwner):
            libvirt_rig.host.ensure_port(spec, make_port(spec), "web")
        assert not foreign.isActive()
        foreign.undefine()


def test_the_root_disk_names_both_formats_and_its_size(libvirt_rig: Rig) -> None:
    server = libvirt_rig.server()
    root, drive = server.disks(libvirt_rig.host)
    told = subprocess.run(
        ["qemu-img", "info", root.path], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    assert "virtual size: 1 GiB" in told
    assert "backing file format: qcow2" in told
    assert server.image.sha256 in told
    assert Path(drive.path).stat().st_mode & 0o077 == 0


def test_size_zero_is_the_size_of_the_image(libvirt_rig: Rig) -> None:
    server = libvirt_rig.server()
    libvirt_rig.host.ensure_image(server.image)
    root = libvirt_rig.host.ensure_root_disk(server.server_id, server.image, 0)
    told = subprocess.run(
        ["qemu-img", "info", root.path], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    assert "virtual size: 64 MiB" in told


@pytest.mark.parametrize("remains", [b"", b"QFI\xfb\x00\x00", b"\x00" * 4096])
def test_a_half_written_disk_is_made_anew(libvirt_rig: Rig, remains: bytes) -> None:
    server = libvirt_rig.server()
    root, _ = server.disks(libvirt_rig.host)
    Path(root.path).write_bytes(remains)
    assert libvirt_rig.host.ensure_root_disk(server.server_id, server.image, 1) == root
    assert Path(root.path).read_bytes()[:4] == b"QFI\xfb"


def test_a_disk_over_another_image_is_not_taken_for_ours(
    libvirt_rig: Rig, blank_image: bytes
) -> None:
    server = libvirt_rig.server()
    server.disks(libvirt_rig.host)
    with serving(blank_image + b"\0" * 512) as others:
        other = others.source()
        libvirt_rig.host.ensure_image(other)
    with pytest.raises(HostError):
        libvirt_rig.host.ensure_root_disk(server.server_id, other, 1)


def test_a_disk_that_was_removed_by_hand_is_made_again(libvirt_rig: Rig) -> None:
    server = libvirt_rig.server()
    root, _ = server.disks(libvirt_rig.host)
    Path(root.path).unlink()
    libvirt_rig.host.ensure_root_disk(server.server_id, server.image, 1)
    assert Path(root.path).exists()


def test_a_full_disk_is_told_as_such(tmp_path: Path, blank_image: bytes) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(small)], check=True)
    try:
        with serving(blank_image) as images, pytest.raises(HostFull):
            ImageCache(small, tmp_path / "locks", 30).ensure(images.source())
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_what_is_asked_of_a_restarted_daemon_is_answered(
    libvirt_rig: Rig, private_host: PrivateHost
) -> None:
    server = libvirt_rig.server()
    libvirt_rig.host.define(server.job, server.resources(libvirt_rig.host))
    libvirt_rig.host.start(server.server_id)
    for _ in range(2):
        private_host.kill_daemon()
        private_host.start_daemon()
        found = libvirt_rig.host.find(server.server_id)
        assert found is not None
        assert found.state == "running"


def test_a_call_that_the_daemons_death_cuts_off_is_gone(
    libvirt_rig: Rig, private_host: PrivateHost
) -> None:
    server = libvirt_rig.server()
    stop = threading.Event()
    failures: list[Exception] = []

    def ask() -> None:
        while not stop.is_set():
            try:
                libvirt_rig.host.define(server.job, spec)
                libvirt_rig.host.observe(server.server_id, [server.port])
                libvirt_rig.host.remove_domain(server.server_id)
            except HostGone:
                continue
            except Exception as error:  # noqa: BLE001 - whatever else it is, it is the finding
                failures.append(error)

    spec = server.resources(libvirt_rig.host)
    asking = threading.Thread(target=ask)
    asking.start()
    for _ in range(5):
        time.sleep(0.2)
        private_host.kill_daemon()
        private_host.start_daemon()
    stop.set()
    asking.join()
    assert failures == []
    libvirt_rig.host.remove_domain(server.server_id)


def test_a_daemon_that_is_down_is_gone_within_the_patience(
    private_host: PrivateHost, libvirt_settings: LibvirtSettings
) -> None:
    keeper = Keeper(libvirt_settings.uri, patience_s=0.5)
    assert keeper.connection().isAlive()
    private_host.kill_daemon()
    try:
        for _ in range(2):
            started = time.monotonic()
            with pytest.raises(HostGone):
                keeper.connection()
            assert time.monotonic() - started < 1.5
    finally:
        private_host.start_daemon()
    assert keeper.connection().isAlive()
    keeper.close()
    with pytest.raises(HostGone):
        keeper.connection()


def test_a_daemon_that_accepts_and_says_nothing_holds_nobody(
    private_host: PrivateHost, libvirt_settings: LibvirtSettings
) -> None:
    keeper = Keeper(libvirt_settings.uri, patience_s=0.5)
    private_host.freeze_daemon()
    try:
        with pytest.raises(HostGone):
            keeper.connection()
    finally:
        private_host.thaw_daemon()
    assert keeper.connection().isAlive()
    keeper.close()


def test_kvm_that_is_not_proved_is_not_used(
    libvirt_settings: LibvirtSettings, private_host: PrivateHost, tmp_path: Path
) -> None:
    no_kernel = tmp_path / "vmlinuz"
    no_kernel.write_bytes(os.urandom(64 * 1024))
    settings = LibvirtSettings(
        uri=private_host.uri,
        storage_dir=libvirt_settings.storage_dir,
        state_dir=tmp_path / "state",
        console_dir=libvirt_settings.console_dir,
        acceleration="auto",
        kvm_probe_kernel=no_kernel,
        kvm_probe_limit_s=2.0,
    )
    host = LibvirtHypervisor(settings)
    assert host.inventory().domain_type == "qemu"
    assert host.inventory().running_domains == 0
    host.close()
    assert list(libvirt_settings.console_dir.glob("byre-kvm-probe*")) == []
