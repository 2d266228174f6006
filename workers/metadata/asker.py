"""Who asks: the interface and the address that a connection came from, and whether that really is
the port that has them. Reads the kernel's tables; changes nothing.

A guest's address alone proves little where port security is off. So the bridge that the first
packet came in by must be its network's, the host's neighbour table must have the port's MAC for the
address, and the bridge must have learned that MAC from the port's own tap device, which libvirt
gives the guest's MAC with another first byte.
"""

import socket
import struct
from dataclasses import dataclass
from pathlib import Path

#: Linux's numbers, which Python's socket module does not have (linux/in.h).
_IP_PKTINFO, _IP_PKTOPTIONS = 8, 9
#: struct cmsghdr, then struct in_pktinfo: interface, local address, destination.
_PKTINFO = struct.Struct("@Nii i4s4s")
#: struct __fdb_entry of linux/if_bridge.h: MAC, port (low byte), local, age, port (high byte).
_FDB_ENTRY = struct.Struct("@6sBBIBBH")
#: Of this thread's own network namespace, which is the host's.
_ARP_TABLE = Path("/proc/thread-self/net/arp")
_ARP_COMPLETE = 0x2
_DEVICES = Path("/sys/class/net")
#: A bridge that learned more than so many MACs is one whose guests are flooding it.
_MAX_FDB_BYTES = 4096 * _FDB_ENTRY.size


@dataclass(frozen=True)
class Asker:
    """Where a connection came from."""

    interface: str
    address: str


def asker_of(connection: socket.socket, address: str) -> Asker | None:
    """Return who opened the connection; None if its interface is gone already."""
    try:
        connection.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        raw = connection.getsockopt(socket.IPPROTO_IP, _IP_PKTOPTIONS, 256)
        *_, kind, index, _, _ = _PKTINFO.unpack_from(raw)
        return Asker(socket.if_indextoname(index), address) if kind == _IP_PKTINFO else None
    except (OSError, struct.error):
        return None


def is_port(asker: Asker, mac: str) -> bool:
    """Say whether what asks is the port with that MAC, by the kernel's tables."""
    if _neighbour(asker) != mac.lower():
        return False
    device = _device_behind(asker.interface, mac)
    return device is not None and _same_but_first_byte(_read(device / "address"), mac)


def _neighbour(asker: Asker) -> str | None:
    for line in _ARP_TABLE.read_text().splitlines()[1:]:
        address, _, flags, hardware, *_, device = line.split()
        is_complete = int(flags, 16) & _ARP_COMPLETE
        if (address, device) == (asker.address, asker.interface) and is_complete:
            return hardware.lower()
    return None


def _device_behind(bridge: str, mac: str) -> Path | None:
    """Return the device of the bridge from which the MAC was learned last."""
    port = learned_port(_table(bridge), mac)
    if port is None:
        return None
    for link in (_DEVICES / bridge / "brif").iterdir():
        if int(_read(link / "port_no") or "0", 0) == port:
            return _DEVICES / link.name
    return None


def learned_port(table: bytes, mac: str) -> int | None:
    """Return the number of the bridge's port that the MAC was learned from."""
    wanted = bytes.fromhex(mac.replace(":", ""))
    whole = len(table) - len(table) % _FDB_ENTRY.size
    for hardware, low, is_local, _, high, *_ in _FDB_ENTRY.iter_unpack(table[:whole]):
        if hardware == wanted and not is_local:
            return int(high) << 8 | int(low)
    return None


def _table(bridge: str) -> bytes:
    try:
        with (_DEVICES / bridge / "brforward").open("rb", buffering=0) as file:
            parts = []
            size = 0
            # The kernel gives it in parts, as much as it has room for.
            while size < _MAX_FDB_BYTES and (part := file.read(4096)):
                parts.append(part)
                size += len(part)
            return b"".join(parts)
    except OSError:
        return b""


def _same_but_first_byte(text: str, mac: str) -> bool:
    return text.lower().split(":")[1:] == mac.lower().split(":")[1:]


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
