"""Copies of disks that are to become images, on every implementation of the port."""

import hashlib
import subprocess
import uuid
from pathlib import Path

import pytest

from tasks.errors import HostError, ImageCorrupt
from tasks.messages import CarriedDisk, CarriedRole
from tests.drivers.conftest import Rig
from tests.drivers.values import Server
from workers.hypervisor.names import ephemeral_disk_file, root_disk_file, snapshot_file

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


def travelled(rig: Rig, server: Server, role: CarriedRole) -> CarriedDisk:
    """Copy the server's disk and send it; return it as another host would fetch it."""
    rig.images.upload_status = "queued"
    upload = rig.images.upload()
    rig.host.take_snapshot(server.server_id, upload.image_id, LIMIT_S, role)
    rig.host.send_snapshot(server.server_id, upload, LIMIT_S)
    rig.images.content = rig.images.uploaded
    return CarriedDisk(role=role, source=rig.images.source())


@pytest.mark.parametrize("role", ["root", "ephemeral"])
def test_a_disk_goes_to_another_host(rig: Rig, role: CarriedRole) -> None:
    server, host = rig.server(machine={"ephemeral_gib": 1}), rig.host
    host.define(server.job, server.resources(host))
    disk = travelled(rig, server, role)
    server.remove(host)
    assert host.own_disks(server.server_id) == []

    for _ in range(2):
        host.fetch_disk(server.server_id, disk, LIMIT_S)

    assert [each.role for each in host.own_disks(server.server_id)] == [role]
    assert server.traces(host) != []
    server.remove(host)
    assert server.traces(host) == []


def test_only_the_root_disk_of_a_guest_that_runs_is_copied(rig: Rig) -> None:
    server = rig.server(machine={"ephemeral_gib": 1})
    rig.host.define(server.job, server.resources(rig.host))
    rig.host.start(server.server_id)
    with pytest.raises(HostError, match="not off"):
        rig.host.take_snapshot(server.server_id, str(uuid.uuid4()), LIMIT_S, "ephemeral")
    rig.host.cut_power(server.server_id)
    with pytest.raises(HostError, match="no disk to copy"):
        rig.host.take_snapshot(server.server_id, str(uuid.uuid4()), LIMIT_S, "nvram")


@pytest.mark.lab
def test_disk_that_arrives_is_what_was_sent(libvirt_rig: Rig) -> None:
    rig, host = libvirt_rig, libvirt_rig.host
    server = rig.server(machine={"ephemeral_gib": 1})
    host.define(server.job, server.resources(host))
    path = rig.image_dir / ephemeral_disk_file(server.server_id)
    with path.open("r+b") as file:
        file.seek(512 * 1024**2)
        file.write(b"mine")
    before = digest(path)
    disk = travelled(rig, server, "ephemeral")
    server.remove(host)
    # What a download that broke off has left is gone on with, or begun anew.
    half = path.with_name(f".{path.name}.arrived")
    half.write_bytes(b"half")

    host.fetch_disk(server.server_id, disk, LIMIT_S)

    assert digest(path) == before
    assert path.stat().st_blocks * 512 < 512 * 1024**2
    assert not list(rig.image_dir.glob(f".{path.name}*"))
    bad = disk.model_copy(update={"source": rig.images.source(sha256="0" * 64)})
    path.unlink()
    with pytest.raises(ImageCorrupt):
        host.fetch_disk(server.server_id, bad, LIMIT_S)
    assert not path.exists()


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
