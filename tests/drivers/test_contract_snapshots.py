"""Copies of disks that are to become images, on every implementation of the port."""

import subprocess
import uuid
from pathlib import Path

import pytest

from tasks.errors import HostError
from tests.drivers.conftest import Rig
from tests.drivers.values import Server
from workers.hypervisor.names import root_disk_file, snapshot_file

LIMIT_S = 60.0


def built(rig: Rig) -> Server:
    server = rig.server()
    rig.host.define(server.job, server.resources(rig.host))
    return server


def has_copy(rig: Rig, server: Server) -> bool:
    return "snapshot" in [thing.kind for thing in server.things(rig.host)]


def test_a_disk_becomes_an_image_whatever_its_server_does(rig: Rig) -> None:
    server, host = built(rig), rig.host
    for lead in (lambda _: None, host.start, host.pause, host.suspend):
        lead(server.server_id)
        before, upload = host.find(server.server_id), rig.images.upload()
        for _ in range(2):
            host.take_snapshot(server.server_id, upload.image_id, LIMIT_S)
        assert has_copy(rig, server)
        for _ in range(2):
            host.send_snapshot(server.server_id, upload, LIMIT_S)

        # A qcow2 file with nothing below it: no name of another in its header.
        assert rig.images.uploaded[:4] == b"QFI\xfb"
        assert rig.images.uploaded[8:20] == bytes(12)
        assert not has_copy(rig, server)
        assert host.find(server.server_id) == before


def test_a_copy_is_of_one_image_and_goes_with_its_server(rig: Rig) -> None:
    server, upload, image_id = built(rig), rig.images.upload(), str(uuid.uuid4())
    rig.host.take_snapshot(server.server_id, image_id, LIMIT_S)
    with pytest.raises(HostError, match="snapshot to send is not there"):
        rig.host.send_snapshot(server.server_id, upload, LIMIT_S)
    for _ in range(2):
        rig.host.remove_snapshot(server.server_id, upload.image_id)
    assert has_copy(rig, server)
    for _ in range(2):
        rig.host.remove_snapshot(server.server_id, image_id)
    assert not has_copy(rig, server)

    rig.host.take_snapshot(server.server_id, image_id, LIMIT_S)
    server.remove(rig.host)
    assert server.traces(rig.host) == []
    with pytest.raises(HostError, match=r"no disk to copy|not defined"):
        rig.host.take_snapshot(server.server_id, image_id, LIMIT_S)


@pytest.mark.lab
def test_copy_of_a_running_guests_disk_is_whole(libvirt_rig: Rig) -> None:
    rig, server, image_id = libvirt_rig, built(libvirt_rig), str(uuid.uuid4())
    rig.host.start(server.server_id)
    # A copy that a worker had begun which then died is begun anew.
    half = rig.image_dir / f".{snapshot_file(server.server_id, image_id)}.part"
    half.write_bytes(b"half")

    rig.host.take_snapshot(server.server_id, image_id, LIMIT_S)

    assert not half.exists()
    copy = rig.image_dir / snapshot_file(server.server_id, image_id)
    root = rig.image_dir / root_disk_file(server.server_id)
    assert compared(root, copy) == "Images are identical."


def compared(one: Path, other: Path) -> str:
    words = ["qemu-img", "compare", "-U", "-f", "qcow2", "-F", "qcow2", str(one), str(other)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    return (done.stdout + done.stderr).strip()
