"""A Debian cloud image with unmodified cloud-init: what it is told at its first boot is what one
finds by SSH in the guest. `make test-slow`, which builds the image first; a boot takes minutes
where there is no KVM."""

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from openstack.compute.v2.server import Server

from tests.guest.machine import make_key
from tests.lab.conftest import Lab
from tests.lab.guests import Guest, let_in
from tests.processes import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.lab, pytest.mark.boots, pytest.mark.timeout(1800)]

#: Where `make debian-image` puts it.
BUILT = Path(__file__).parents[2] / ".byre" / "images" / "debian-12.qcow2"
BOOT_LIMIT_S = 900
USER_DATA = """\
#cloud-config
write_files:
  - path: /etc/byre-was-here
    content: "from user data"
runcmd:
  - [sh, -c, "echo ran > /etc/byre-ran"]
"""


@pytest.fixture(scope="module")
def debian(lab: Lab) -> str:
    """The id of the Debian image, which is up when cloud-init says so."""
    path = Path(os.environ.get("BYRE_TEST_DEBIAN_IMAGE", BUILT))
    assert path.exists(), f"{path} is missing: make debian-image"
    # The SDK leaves a file open that it is only given the name of. It takes an open one as well,
    # which its types do not say.
    with path.open("rb") as file:
        image = lab.admin.image.create_image(
            name="debian-12",
            data=file,  # type: ignore[arg-type]
            disk_format="qcow2",
            container_format="bare",
            visibility="public",
            byre_boot_proof="first_boot",
            byre_boot_limit=str(BOOT_LIMIT_S),
        )
    image_id: str = image.id
    return image_id


@pytest.fixture(scope="module")
def flavor(lab: Lab) -> str:
    """A flavor whose disk is larger than the image, so that the guest has to grow its own."""
    made = lab.admin.compute.create_flavor(name="debian", ram=768, vcpus=1, disk=5)
    flavor_id: str = made.id
    return flavor_id


def boot(lab: Lab, image_id: str, flavor_id: str, key: Path, name: str) -> Guest:
    """Boot a server and return it once its first boot is proved."""
    lab.user.compute.create_keypair(name=name, public_key=key.with_suffix(".pub").read_text())
    network = lab.user.network.find_network("private", ignore_missing=False)
    wanted = Server.new(
        name=name,
        image_id=image_id,
        flavor_id=flavor_id,
        key_name=name,
        networks=[{"uuid": network.id}],
        user_data=base64.b64encode(USER_DATA.encode()).decode(),
        personality=[{"path": "/etc/byre-file", "contents": base64.b64encode(b"file").decode()}],
    )
    # The last version that has files.
    server = wanted.create(lab.user.compute, microversion="2.56")
    wait_until(
        lambda: lab.user.compute.get_server(server.id).status != "BUILD",
        "the Debian guest's word that its first boot is done",
        BOOT_LIMIT_S + 120,
    )
    server = lab.user.compute.get_server(server.id)
    assert server.status == "ACTIVE", server.fault
    guest = Guest.of(lab, server.id, key, user="debian")
    wait_until(guest.answers, "SSH", 60)
    return guest


def gone(lab: Lab, guest: Guest) -> None:
    """Delete the server and see that nothing of it is left."""
    server = lab.user.compute.get_server(guest.server_id)
    lab.user.compute.delete_server(server)
    lab.user.compute.wait_for_delete(server, interval=0.5, wait=120)
    assert lab.traces(guest.server_id) == []


@pytest.fixture
def key(lab: Lab, tmp_path: Path) -> Iterator[Path]:
    """An SSH key pair, and a rule that lets SSH in."""
    rule = let_in(lab, "tcp", 22)
    yield make_key(tmp_path)
    lab.user.network.delete_security_group_rule(rule.id)


def test_cloud_init_applies_all_that_the_server_was_created_with(
    lab: Lab, debian: str, flavor: str, key: Path
) -> None:
    guest = boot(lab, debian, flavor, key, "bookworm")
    try:
        assert guest.run("hostname") == "bookworm"
        assert guest.run("id -un") == "debian"
        assert guest.run("cat /etc/byre-was-here") == "from user data"
        assert guest.run("cat /etc/byre-ran") == "ran"
        assert guest.run("sudo cat /etc/byre-file") == "file"
        result = json.loads(guest.run("cat /run/cloud-init/result.json"))["v1"]
        assert "ConfigDrive" in result["datasource"]
        assert result["errors"] == []

        (address,) = lab.user.compute.get_server(guest.server_id).addresses["private"]
        link = json.loads(guest.run("ip -json -4 address show scope global"))[0]
        assert [found["local"] for found in link["addr_info"]] == [address["addr"]]
        assert link["mtu"] == lab.user.network.find_network("private", ignore_missing=False).mtu

        assert guest.run("systemctl is-active qemu-guest-agent") == "active"
        assert int(guest.run("df --output=size -BM / | tail -1").rstrip("M")) > 4000
        assert guest.run("[ -d /sys/firmware/efi ] && echo uefi || echo bios") == "bios"
        # The same server is found at the metadata service, which answers for this port alone.
        metadata = "http://169.254.169.254/openstack/latest/meta_data.json"
        assert json.loads(guest.run(f"curl -sf {metadata}"))["uuid"] == guest.server_id
    finally:
        gone(lab, guest)


def test_image_with_uefi_boots_under_ovmf(lab: Lab, debian: str, flavor: str, key: Path) -> None:
    lab.admin.image.update_image(debian, hw_firmware_type="uefi")
    guest = boot(lab, debian, flavor, key, "with-uefi")
    try:
        assert guest.run("[ -d /sys/firmware/efi ] && echo uefi || echo bios") == "uefi"
        assert guest.run("cat /etc/byre-was-here") == "from user data"
    finally:
        gone(lab, guest)
