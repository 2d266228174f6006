"""Disks that are kept, given back and given other sizes, on every implementation of the port."""

from pathlib import Path

import pytest

from tasks.errors import HostError
from tasks.messages import MachineSpec
from tests.drivers.conftest import Rig
from tests.drivers.values import Server
from workers.hypervisor.qcow2 import read_header

_GIB = 1024**3


def built(rig: Rig) -> tuple[Server, MachineSpec]:
    server = rig.server()
    spec = server.resources(rig.host)
    rig.host.define(server.job, spec)
    return server, spec.machine


def files(rig: Rig, server: Server) -> set[str]:
    return {
        thing.name.removeprefix(f"{server.server_id}.")
        for thing in rig.host.survey()
        if thing.server_id == server.server_id and thing.kind in {"disk", "extra_disk"}
    }


def larger(machine: MachineSpec) -> MachineSpec:
    return machine.model_copy(
        update={"root_gib": machine.root_gib + 1, "ephemeral_gib": 1, "swap_mib": 8}
    )


def test_disks_are_kept_changed_and_given_back(rig: Rig) -> None:
    server, machine = built(rig)
    before = files(rig, server)
    assert not rig.host.keeps_disks(server.server_id)

    for _ in range(2):
        rig.host.keep_disks(server.server_id)
        shaped = rig.host.reshape_disks(server.server_id, larger(machine))
        assert [disk.role for disk in shaped] == ["root", "ephemeral", "swap"]
        assert rig.host.keeps_disks(server.server_id)
    assert files(rig, server) == before | {
        "before-root.qcow2",
        "ephemeral.raw",
        "swap.raw",
    }

    for _ in range(2):
        rig.host.restore_disks(server.server_id)
        assert [d.role for d in rig.host.reshape_disks(server.server_id, machine)] == ["root"]
    assert (files(rig, server), rig.host.keeps_disks(server.server_id)) == (before, False)
    assert rig.host.start(server.server_id).state == "running"


def test_copies_are_dropped(rig: Rig) -> None:
    server, machine = built(rig)
    rig.host.keep_disks(server.server_id)
    rig.host.reshape_disks(server.server_id, larger(machine))
    for _ in range(2):
        rig.host.drop_disks(server.server_id)
    assert files(rig, server) == {"root.qcow2", "ephemeral.raw", "swap.raw"}


def test_removal_takes_the_copies_too(rig: Rig) -> None:
    server, _ = built(rig)
    rig.host.keep_disks(server.server_id)
    server.remove(rig.host)
    assert server.traces(rig.host) == []


def test_disks_in_use_are_neither_kept_nor_given_back(rig: Rig) -> None:
    server, _ = built(rig)
    rig.host.keep_disks(server.server_id)
    rig.host.start(server.server_id)
    with pytest.raises(HostError):
        rig.host.keep_disks(server.server_id)
    with pytest.raises(HostError):
        rig.host.restore_disks(server.server_id)


def test_only_what_is_there_is_kept_or_changed(rig: Rig) -> None:
    server = rig.server()
    machine = MachineSpec(name="m", vcpus=1, memory_mib=64, root_gib=1)
    with pytest.raises(HostError):
        rig.host.keep_disks(server.server_id)
    with pytest.raises(HostError):
        rig.host.reshape_disks(server.server_id, machine)
    rig.host.restore_disks(server.server_id)
    rig.host.drop_disks(server.server_id)


@pytest.mark.lab
def test_content_and_size_are_those_from_before(libvirt_rig: Rig) -> None:
    server, machine = built(libvirt_rig)
    host = libvirt_rig.host
    grown = machine.model_copy(update={"root_gib": 3, "ephemeral_gib": 2})
    small = machine.model_copy(update={"root_gib": 1, "ephemeral_gib": 1})
    root, ephemeral = (Path(d.path) for d in host.reshape_disks(server.server_id, small))
    with ephemeral.open("r+b") as file:
        file.write(b"before")
    before = root.read_bytes()

    host.keep_disks(server.server_id)
    host.reshape_disks(server.server_id, grown)
    header = read_header(root)
    assert header is not None
    assert (header.virtual_bytes, ephemeral.stat().st_size) == (3 * _GIB, 2 * _GIB)
    with ephemeral.open("r+b") as file:
        file.write(b"after!")
    # A copy that is there is the one from before, however often it is asked for.
    host.keep_disks(server.server_id)
    host.restore_disks(server.server_id)

    assert root.read_bytes() == before
    with ephemeral.open("rb") as file:
        assert file.read(6) == b"before"
    assert ephemeral.stat().st_size == _GIB
