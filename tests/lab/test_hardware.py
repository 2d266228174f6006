"""What a user gets by an image's properties and a flavor's extra specs: asked for with OpenStack's
own clients, carried out by real libvirt, gone when the server is."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.lab.conftest import Lab
from tests.lab.test_two_hosts import delete, wait_active
from tests.processes import wait_until

pytestmark = [pytest.mark.lab, pytest.mark.boots, pytest.mark.timeout(600)]

READ_LIMIT = 20 * 1024**2


@pytest.fixture(scope="module")
def scsi_image(lab: Lab, guest_image: Path) -> str:
    """The small image, that says that its disks are to be on virtio-scsi."""
    image = lab.admin.image.create_image(
        "small-scsi",
        data=guest_image.read_bytes(),
        disk_format="qcow2",
        container_format="bare",
        visibility="public",
        byre_boot_proof="console",
        byre_boot_text="login:",
        byre_boot_limit="120",
        hw_disk_bus="scsi",
    )
    return str(image.id)


@pytest.fixture
def flavor(lab: Lab) -> Iterator[str]:
    """A flavor with extra disks and limits, made by the command that operators use."""
    openstack(
        lab,
        *("flavor", "create", "m1.limited", "--ram", "256", "--disk", "1", "--vcpus", "1"),
        *("--ephemeral", "1", "--swap", "64"),
        *("--property", f"quota:disk_read_bytes_sec={READ_LIMIT}"),
        *("--property", "quota:disk_write_iops_sec=500"),
    )
    shown = openstack(lab, "flavor", "show", "m1.limited")
    assert (shown["OS-FLV-EXT-DATA:ephemeral"], shown["swap"]) == (1, 64)
    assert shown["properties"]["quota:disk_write_iops_sec"] == "500"
    yield str(shown["id"])
    openstack(lab, "flavor", "delete", "m1.limited")


def openstack(lab: Lab, *words: str) -> Any:
    """Run OpenStack's command as the operator; return what it shows, if it shows something."""
    program = Path(sys.executable).with_name("openstack")
    environment = {
        **os.environ,
        "OS_CLIENT_CONFIG_FILE": str(lab.byre.directory / "clouds.yaml"),
        "OS_CLOUD": "byre-admin",
    }
    form = ["-f", "json"] if words[1] in {"create", "show"} else []
    done = subprocess.run(
        [program, *words, *form],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if form else None


def ask(lab: Lab, image_id: str, flavor_id: str) -> str:
    network = lab.user.network.find_network("private", ignore_missing=False)
    server = lab.user.compute.create_server(
        name="hardware", image_id=image_id, flavor_id=flavor_id, networks=[{"uuid": network.id}]
    )
    return str(server.id)


def described(lab: Lab, server_id: str) -> ET.Element:
    """Return the running domain, as the host's own tool shows it."""
    host = lab.hosts[lab.run_of(server_id)["host"]]
    command = ["virsh", "-c", host.uri, "dumpxml", server_id]
    text = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    return ET.fromstring(text)  # noqa: S314


def test_image_and_flavor_are_carried_out_and_nothing_is_left(
    lab: Lab, scsi_image: str, flavor: str
) -> None:
    server_id = ask(lab, scsi_image, flavor)
    # What becomes of the flavor now does not reach the server.
    openstack(lab, "flavor", "unset", "m1.limited", "--property", "quota:disk_write_iops_sec")
    wait_active(lab, server_id)

    disks = described(lab, server_id).findall("devices/disk")
    buses = [target.get("bus") for disk in disks for target in disk.findall("target")]
    assert buses == ["scsi"] * 4
    assert [disk.findtext("serial") for disk in disks] == ["root", "ephemeral0", "swap", "config"]
    limits = [disk.findtext("iotune/read_bytes_sec") for disk in disks]
    assert limits == [str(READ_LIMIT)] * 3 + [None]
    assert disks[0].findtext("iotune/write_iops_sec") == "500"
    found = "\n".join(lab.traces(server_id))
    assert "volume" in found
    assert "files" in found

    delete(lab, server_id)
    assert lab.traces(server_id) == []


def test_processors_that_no_host_gives_away_are_told_in_the_fault(lab: Lab, flavor: str) -> None:
    openstack(lab, "flavor", "set", "m1.limited", "--property", "hw:cpu_policy=dedicated")
    server_id = ask(lab, lab.image_id, flavor)
    wait_until(
        lambda: lab.user.compute.get_server(server_id).status == "ERROR", "the server's fault", 60
    )
    fault = lab.user.compute.get_server(server_id).fault["message"]
    assert "2 without 1 processors to give away" in fault
    delete(lab, server_id)
