"""Cached images under real servers: what libvirt makes of them, and that use is found there."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.errors import ImageUnusable
from tests.drivers.boot_code import boot_disc
from tests.drivers.conftest import CACHE_RULES, Rig, by_hand
from tests.drivers.images import serving
from tests.drivers.libvirtd import PrivateHost
from workers.hypervisor.image_cache import CacheFormat
from workers.hypervisor.libvirt import LibvirtHypervisor, LibvirtSettings

pytestmark = pytest.mark.lab


def info(path: str) -> dict[str, object]:
    words = ["qemu-img", "info", "-U", "-f", "qcow2", "--output=json", path]
    found: dict[str, object] = json.loads(subprocess.check_output(words, timeout=60))
    return found


@pytest.fixture(params=["as_is", "raw", "qcow2"])
def stored(
    request: pytest.FixtureRequest, libvirt_rig: Rig, libvirt_settings: LibvirtSettings
) -> Iterator[tuple[Rig, CacheFormat]]:
    """Give the driver with images stored in each way."""
    rules = replace(CACHE_RULES, stored_as=request.param)
    before = libvirt_rig.host
    libvirt_rig.host = LibvirtHypervisor(replace(libvirt_settings, image_cache=rules))
    yield libvirt_rig, request.param
    libvirt_rig.host.close()
    libvirt_rig.host = before


def test_a_root_disk_names_its_base_and_the_bases_format(
    stored: tuple[Rig, CacheFormat],
) -> None:
    rig, stored_as = stored
    server = rig.server()
    root, _ = server.disks(rig.host)
    found = info(root.path)
    (cached,) = [one for one in rig.host.cached_images() if one.state == "ready"]
    expected = "raw" if stored_as == "raw" else "qcow2"
    assert (cached.disk_format, found["backing-filename-format"]) == (expected, expected)
    assert Path(str(found["backing-filename"])).exists()
    assert rig.host.ensure_root_disk(server.server_id, server.image, 1) == root
    assert rig.host.prune_images() == []
    rig.host.define(server.job, server.resources(rig.host))
    assert rig.host.start(server.server_id).state == "running"


def test_a_disk_made_before_the_format_was_changed_is_kept(
    libvirt_rig: Rig, libvirt_settings: LibvirtSettings
) -> None:
    server = libvirt_rig.server()
    root, _ = server.disks(libvirt_rig.host)
    before = info(root.path)
    rules = replace(CACHE_RULES, stored_as="raw")
    changed = LibvirtHypervisor(replace(libvirt_settings, image_cache=rules))
    try:
        server.disks(changed)
        assert info(root.path)["backing-filename"] == before["backing-filename"]
        # Either file has the digest of an image that is in use.
        assert changed.prune_images() == []
    finally:
        changed.close()


def test_a_disc_is_in_use_while_its_server_has_it(libvirt_rig: Rig) -> None:
    host = libvirt_rig.host
    with serving(boot_disc("hello")) as images:
        server = libvirt_rig.server()
        server.image = images.source(disk_format="iso")
        host.ensure_image(server.image)
        machine = server.spec([]).machine
        root = host.ensure_root_disk(server.server_id, server.image, 1)
        assert info(root.path).get("backing-filename") is None
        host.ensure_extra_disks(server.server_id, server.image, machine)
        assert host.prune_images() == []
        host.remove_disks(server.server_id)
        assert host.prune_images() == [server.image.sha256]


def test_an_operators_domain_with_a_disk_elsewhere_keeps_its_base(
    libvirt_rig: Rig, private_host: PrivateHost, tmp_path: Path
) -> None:
    host, image = libvirt_rig.host, libvirt_rig.images.source()
    host.ensure_image(image)
    base = libvirt_rig.image_dir / f"image-{image.sha256}.qcow2"
    own = tmp_path / "own.qcow2"
    words = ["-q", "-f", "qcow2", "-b", str(base), "-F", "qcow2", str(own)]
    subprocess.run(["qemu-img", "create", *words], check=True, timeout=60)
    with by_hand(private_host.uri) as handle:
        domain = handle.defineXMLFlags(
            "<domain type='qemu'><name>own</name><memory>1024</memory>"
            "<os><type arch='x86_64' machine='q35'>hvm</type></os><devices>"
            f"<disk type='file'><driver name='qemu' type='qcow2'/><source file='{own}'/>"
            "<target dev='vda' bus='virtio'/></disk></devices></domain>"
        )
        try:
            assert host.prune_images() == []
        finally:
            domain.undefineFlags(0)
    assert host.prune_images() == [image.sha256]


def test_a_disk_smaller_than_its_image_is_refused(libvirt_rig: Rig, tmp_path: Path) -> None:
    """A guest would find its file systems cut off."""
    words = ["-q", "-f", "qcow2", str(tmp_path / "large.qcow2"), "3G"]
    subprocess.run(["qemu-img", "create", *words], check=True, timeout=60)
    with serving((tmp_path / "large.qcow2").read_bytes()) as images:
        server = libvirt_rig.server()
        server.image = images.source()
        libvirt_rig.host.ensure_image(server.image)
        with pytest.raises(ImageUnusable, match="larger"):
            libvirt_rig.host.ensure_root_disk(server.server_id, server.image, 2)
