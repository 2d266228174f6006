"""One look at a guest from outside: state, address, agent and console. Changes nothing."""

import ipaddress
import json
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

import libvirt

from tasks.messages import PortSpec
from workers.hypervisor.libvirt.agent import ping
from workers.hypervisor.libvirt.domains import state_of
from workers.hypervisor.libvirt.errors import is_gone
from workers.hypervisor.port import Observation

CONSOLE_TAIL_BYTES = 64 * 1024
_ASKING_LIMIT_S = 2
#: Of this thread's own network namespace, which is the host's. Not asked of libvirt: its 9.0 fails
#: on newer kernels' answers ("wrong nlmsg len").
_ARP_TABLE = Path("/proc/thread-self/net/arp")
_ARP_COMPLETE = 0x2


def observe(handle: libvirt.virDomain, ports: list[PortSpec], console_log: Path) -> Observation:
    """Look once; takes as long as the agent's time limit at most. Raises libvirtError."""
    state = state_of(handle)
    running = state == "running"
    return Observation(
        state=state,
        addresses=_addresses(handle, ports) if running else [],
        agent=ping(handle) if running else None,
        console=console_tail(console_log),
    )


def console_tail(console_log: Path) -> str:
    """Return the end of the console's output, across a log that has just rolled over."""
    older = console_log.with_name(f"{console_log.name}.0")
    tail = _end_of(console_log, CONSOLE_TAIL_BYTES)
    if len(tail) < CONSOLE_TAIL_BYTES:
        tail = _end_of(older, CONSOLE_TAIL_BYTES - len(tail)) + tail
    return tail.decode(errors="replace")


def _end_of(path: Path, length: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - length))
            return file.read(length)
    except FileNotFoundError:
        return b""


def _addresses(handle: libvirt.virDomain, ports: list[PortSpec]) -> list[str]:
    """Return the addresses that are leased, or answered for: a guest that was told its address by
    the config drive never asks for a lease."""
    seen = _leased(handle) | arp_addresses(_ARP_TABLE.read_text())
    wanted = [(port.mac.lower(), fixed.address) for port in ports for fixed in port.addresses]
    unseen = [pair for pair in wanted if pair not in seen and ":" in pair[1]]
    if unseen:
        seen |= _neighbours_v6()
        for _, address in unseen:
            _ask_for(address)
    return [address for mac, address in wanted if (mac, address) in seen]


def arp_addresses(table: str) -> set[tuple[str, str]]:
    """Return MAC and address of every neighbour in the kernel's table that has answered."""
    rows = [line.split() for line in table.splitlines()[1:]]
    return {
        (hardware.lower(), address)
        for address, _, flags, hardware, *_ in rows
        if int(flags, 16) & _ARP_COMPLETE
    }


def neighbour_addresses(table: str) -> set[tuple[str, str]]:
    """Return MAC and address of every neighbour in `ip -json neighbour` that has answered."""
    answered = {"REACHABLE", "STALE", "DELAY", "PROBE"}
    return {
        (row["lladdr"].lower(), str(ipaddress.ip_address(row["dst"])))
        for row in json.loads(table or "[]")
        if "lladdr" in row and answered & set(row.get("state", ()))
    }


def _neighbours_v6() -> set[tuple[str, str]]:
    """The kernel tells its IPv6 neighbours by netlink alone."""
    asked = subprocess.run(
        ["ip", "-6", "-json", "neighbour", "show"],
        capture_output=True,
        text=True,
        timeout=_ASKING_LIMIT_S,
        check=False,
    )
    return neighbour_addresses(asked.stdout if asked.returncode == 0 else "")


def _ask_for(address: str) -> None:
    """Have the kernel look for the neighbour, by a packet that means nothing (RFC 863): a guest
    with a static IPv6 address may never speak to its host by itself."""
    with suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as asking:
        asking.sendto(b"", (address, 9))


def _leased(handle: libvirt.virDomain) -> set[tuple[str, str]]:
    try:
        source = libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE
        interfaces = handle.interfaceAddresses(source, 0)
    except libvirt.libvirtError as error:
        if is_gone(error):
            raise
        # It stopped between two questions: nothing to be seen.
        return set()
    return {
        (interface["hwaddr"].lower(), entry["addr"])
        for interface in interfaces.values()
        for entry in interface["addrs"] or []
    }
