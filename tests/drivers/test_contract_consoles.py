"""The port's contract on consoles that somebody looks at, on every implementation of it."""

import os
import select
import time
import uuid

import pytest

from tasks.errors import ForeignOwner, NoConsole, NotRunning
from tasks.messages import ConsoleKind
from tests.drivers.conftest import Rig
from tests.drivers.values import Server

KINDS: list[ConsoleKind] = ["vnc", "serial"]


def run(rig: Rig, video_model: str = "vga") -> Server:
    """Return a server that runs, with a graphics card."""
    server = rig.server(machine={"hardware": {"video_model": video_model}})
    rig.host.define(server.job, server.resources(rig.host))
    rig.host.start(server.server_id)
    return server


def read(descriptor: int, limit_s: float = 10.0) -> bytes:
    """Return what comes next; nothing at the end, which is an error where it is a terminal's."""
    assert select.select([descriptor], [], [], limit_s)[0], "nothing came"
    try:
        return os.read(descriptor, 65536)
    except OSError:
        return b""


def test_screen_speaks_rfb_until_the_guest_is_off(rig: Rig) -> None:
    server = run(rig)
    descriptor = rig.host.open_console(server.server_id, "vnc")
    try:
        assert read(descriptor) == b"RFB 003.008\n"
        # Nobody is asked for a password: whoever got here was let in.
        os.write(descriptor, b"RFB 003.008\n")
        assert read(descriptor) == b"\x01\x01"
        rig.host.cut_power(server.server_id)
        while read(descriptor):
            pass
    finally:
        os.close(descriptor)


def test_serial_console_ends_with_the_guest(rig: Rig) -> None:
    server = run(rig)
    descriptor = rig.host.open_console(server.server_id, "serial")
    try:
        os.write(descriptor, b"\r")
        rig.end_guest(server.server_id)
        end = time.monotonic() + 10
        while read(descriptor):
            assert time.monotonic() < end
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("kind", KINDS)
def test_console_of_what_does_not_run_is_refused(rig: Rig, kind: ConsoleKind) -> None:
    server = rig.server()
    with pytest.raises(NotRunning):
        rig.host.open_console(server.server_id, kind)
    rig.host.define(server.job, server.resources(rig.host))
    with pytest.raises(NotRunning):
        rig.host.open_console(server.server_id, kind)
    rig.plant_foreign(other := str(uuid.uuid4()))
    with pytest.raises(ForeignOwner):
        rig.host.open_console(other, kind)


def test_server_without_graphics_has_no_screen(rig: Rig) -> None:
    server = run(rig, video_model="none")
    with pytest.raises(NoConsole):
        rig.host.open_console(server.server_id, "vnc")
    os.close(rig.host.open_console(server.server_id, "serial"))


def test_use_is_told_while_the_machine_is_on(rig: Rig) -> None:
    server = run(rig)
    first = rig.host.diagnose(server.server_id)
    assert (first.state, len(first.cpu_times_ns)) == ("running", 1)
    assert first.memory_kib == server.memory_mib * 1024
    assert len(first.disks) == 2
    assert [nic.mac for nic in first.interfaces] == [server.port.mac]
    rig.host.pause(server.server_id)
    later = rig.host.diagnose(server.server_id)
    assert later.state == "paused"
    assert later.cpu_times_ns >= first.cpu_times_ns
    rig.host.cut_power(server.server_id)
    with pytest.raises(NotRunning):
        rig.host.diagnose(server.server_id)
    rig.plant_foreign(other := str(uuid.uuid4()))
    with pytest.raises(ForeignOwner):
        rig.host.diagnose(other)
