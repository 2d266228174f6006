"""A real guest, through the verbs of the libvirt driver: it boots, proves itself, and is gone."""

import base64
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.drivers.conftest import Rig
from tests.drivers.images import serving
from tests.drivers.libvirtd import CONSOLE_BACKUPS, CONSOLE_MAX_BYTES, PrivateHost
from tests.drivers.values import NETWORK, Server, make_first_boot
from workers.hypervisor.libvirt import LibvirtSettings
from workers.hypervisor.names import bridge_name
from workers.hypervisor.port import Observation

pytestmark = [pytest.mark.boots, pytest.mark.lab]

BOOT_LIMIT_S = 120.0

#: Talks as itself and as others, and says on the console who was heard.
PRETENDER = """\
#!/bin/sh
exec >/dev/ttyS0 2>&1
try() { ping -c 2 -W 2 $2 10.177.0.1 >/dev/null && echo "$1: heard" || echo "$1: not heard"; }
try itself ""
ip address add 10.177.0.250/24 dev eth0
try another-address "-I 10.177.0.250"
ip address del 10.177.0.250/24 dev eth0
ip link set eth0 down
ip link set eth0 address 02:11:22:33:44:55
ip link set eth0 up
try another-mac ""
echo pretender: done
"""

#: More than the console's log may hold.
FLOOD = """\
#!/bin/sh
exec >/dev/ttyS0
line=$(printf '%0100d' 0)
for i in $(seq 2500); do echo "$line"; done
echo flood: done
"""


@pytest.fixture
def boot(libvirt_rig: Rig, guest_image: Path) -> Iterator[Callable[[str], Server]]:
    """Return a function that starts a guest with the given user data."""
    with serving(guest_image.read_bytes()) as images:

        def start(script: str) -> Server:
            user_data = base64.b64encode(script.encode()).decode()
            server = Server(
                images.source(), first_boot=make_first_boot(user_data=user_data), memory_mib=256
            )
            libvirt_rig.servers.append(server)
            libvirt_rig.host.define(server.job, server.resources(libvirt_rig.host))
            libvirt_rig.host.start(server.server_id)
            return server

        yield start


def watch(rig: Rig, server: Server, wanted: Callable[[Observation], bool]) -> Observation:
    """Look until what is wanted is seen. Fails with the console after BOOT_LIMIT_S."""
    end = time.monotonic() + BOOT_LIMIT_S
    while True:
        look = rig.host.observe(server.server_id, [server.port])
        if wanted(look):
            return look
        assert time.monotonic() < end, look
        time.sleep(0.2)


def test_a_guest_boots_and_leaves_nothing(libvirt_rig: Rig, boot: Callable[[str], Server]) -> None:
    server = boot("")
    look = watch(
        libvirt_rig,
        server,
        lambda look: bool(look.addresses and look.agent and "login:" in look.console),
    )
    assert (look.state, look.addresses) == ("running", [server.address])
    assert "web-1 login:" in look.console
    assert "lease" in "\n".join(server.traces(libvirt_rig.host))
    server.remove(libvirt_rig.host)
    # The lease too: it is given back, not waited for.
    assert server.traces(libvirt_rig.host) == []


def test_a_guest_is_heard_only_as_itself(libvirt_rig: Rig, boot: Callable[[str], Server]) -> None:
    server = boot(PRETENDER)
    console = watch(libvirt_rig, server, lambda look: "pretender: done" in look.console).console
    assert "itself: heard" in console
    assert "another-address: not heard" in console
    assert "another-mac: not heard" in console


def test_a_guest_cannot_fill_the_disk_by_its_console(
    libvirt_rig: Rig, libvirt_settings: LibvirtSettings, boot: Callable[[str], Server]
) -> None:
    server = boot(FLOOD)
    # What is told is the end of it, across the place where the log rolled over.
    look = watch(libvirt_rig, server, lambda look: "flood: done" in look.console)
    assert len(look.console) > CONSOLE_MAX_BYTES / 2
    logs = list(libvirt_settings.console_dir.glob(f"{server.server_id}*"))
    assert len(logs) == CONSOLE_BACKUPS + 1
    assert sum(log.stat().st_size for log in logs) <= (CONSOLE_BACKUPS + 1) * CONSOLE_MAX_BYTES


def test_a_guest_outlives_its_hosts_daemon(
    libvirt_rig: Rig, private_host: PrivateHost, boot: Callable[[str], Server]
) -> None:
    server = boot("")
    private_host.kill_daemon()
    private_host.start_daemon()
    look = watch(libvirt_rig, server, lambda look: look.agent is True)
    assert look.state == "running"


#: Claims another's address in ARP, after its own, and speaks IPv6, of which its port has none.
LIAR = """\
#!/bin/sh
exec >/dev/ttyS0 2>&1
own=$(ip -4 address show eth0 | sed -n 's/.*inet \\([0-9.]*\\).*/\\1/p')
busybox arping -U -c 2 -w 3 -I eth0 -s "$own" "$own" >/dev/null
ip address add 10.177.0.250/24 dev eth0
busybox arping -U -c 2 -w 3 -I eth0 -s 10.177.0.250 10.177.0.250 >/dev/null
busybox ping -6 -c 2 -W 1 ff02::1%eth0 >/dev/null
echo liar: done
"""


def test_a_guest_claims_only_its_own_addresses(
    libvirt_rig: Rig, boot: Callable[[str], Server]
) -> None:
    first = libvirt_rig.server()
    libvirt_rig.host.ensure_port(NETWORK, first.port, "first")
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as ear:
        ear.bind((bridge_name(NETWORK.network_id), 3))
        ear.settimeout(0)
        server = boot(LIAR)
        watch(libvirt_rig, server, lambda look: "liar: done" in look.console)
        frames = []
        with suppress(BlockingIOError):
            while True:
                frames.append(ear.recv(2048))
    mac = bytes.fromhex(server.port.mac.replace(":", ""))
    by_guest = [frame for frame in frames if frame[6:12] == mac]
    claimed = {socket.inet_ntoa(f[28:32]) for f in by_guest if f[12:14] == b"\x08\x06"}
    assert claimed == {server.address}
    assert not [frame for frame in by_guest if frame[12:14] == b"\x86\xdd"]
