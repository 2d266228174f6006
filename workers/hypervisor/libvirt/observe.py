"""One look at a guest from outside: state, address, agent and console. Changes nothing."""

from pathlib import Path

import libvirt
import libvirt_qemu
from lxml import etree

from tasks.messages import PortSpec
from workers.hypervisor.libvirt.domain_xml import AGENT_CHANNEL
from workers.hypervisor.libvirt.domains import state_of
from workers.hypervisor.libvirt.errors import is_gone
from workers.hypervisor.port import Observation

CONSOLE_TAIL_BYTES = 64 * 1024
_AGENT_LIMIT_S = 2
_PING = '{"execute":"guest-ping"}'
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
        address=_address(handle, ports) if running else None,
        agent=_agent(handle) if running else None,
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


def _address(handle: libvirt.virDomain, ports: list[PortSpec]) -> str | None:
    """Return the first address that is leased, or else answered for: a guest that was told its
    address by the config drive never asks for a lease."""
    leased = _leased(handle)
    for seen in (leased, arp_addresses(_ARP_TABLE.read_text())):
        for port in ports:
            for fixed in port.addresses:
                if (port.mac.lower(), fixed.address) in seen:
                    return fixed.address
    return None


def arp_addresses(table: str) -> set[tuple[str, str]]:
    """Return MAC and address of every neighbour in the kernel's table that has answered."""
    rows = [line.split() for line in table.splitlines()[1:]]
    return {
        (hardware.lower(), address)
        for address, _, flags, hardware, *_ in rows
        if int(flags, 16) & _ARP_COMPLETE
    }


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


def _agent(handle: libvirt.virDomain) -> bool | None:
    """Ping the agent, if anybody in the guest has opened its channel."""
    if not _channel_is_open(handle):
        return None
    try:
        libvirt_qemu.qemuAgentCommand(handle, _PING, _AGENT_LIMIT_S, 0)
    except libvirt.libvirtError as error:
        if is_gone(error):
            raise
        return False
    return True


def _channel_is_open(handle: libvirt.virDomain) -> bool:
    domain = etree.fromstring(handle.XMLDesc(0))
    return any(
        target.get("name") == AGENT_CHANNEL and target.get("state") == "connected"
        for target in domain.iterfind("devices/channel/target")
    )
