"""Guests without a machine: a network namespace, plugged into a host's bridge as a tap would be.

Effect  a namespace with one interface, `eth0`; its other end is a port of the host's bridge.
Undo    `remove` takes the namespace, and with it both ends.

They start in no time, so what a packet does between hosts can be looked at closely. libvirt's own
filters are not theirs: these belong to the interfaces of domains.
"""

import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from tasks.messages import PortSpec
from tests.drivers.libvirtd import PrivateHost, _set_network

#: Whoever has not answered by now does not: all is on one machine.
PATIENCE_S = 2.0
_BROADCAST = b"\xff" * 6
_COOKIE = bytes((99, 130, 83, 99))
#: All DHCPv6 servers and relays of a link (RFC 8415, section 7.1).
_SERVERS_V6 = "ff02::1:2"


class Plugged:
    """A guest with a port's MAC on a bridge of the host. It takes no address by itself."""

    def __init__(self, host: PrivateHost, bridge: str, port: PortSpec, mtu: int) -> None:
        self.name = f"byg{os.getpid() % 100_000}{port.port_id[:4]}"
        self.port = port
        outer = f"v{port.port_id[:8]}"
        _ip("netns", "add", self.name)
        _ip(
            *("link", "add", outer, "netns", host.name, "type", "veth"),
            *("peer", "name", "eth0", "address", port.mac, "netns", self.name),
        )
        _ip("-n", host.name, "link", "set", outer, "mtu", str(mtu), "master", bridge, "up")
        _ip("-n", self.name, "link", "set", "lo", "up")
        _ip("-n", self.name, "link", "set", "eth0", "mtu", str(mtu), "up")

    def remove(self) -> None:
        """Take it away."""
        subprocess.run(["ip", "netns", "delete", self.name], check=False, capture_output=True)

    def take(self, address: str) -> None:
        """Give it an address, with its prefix."""
        words = ["nodad"] if ":" in address else []
        _ip("-n", self.name, "address", "add", address, "dev", "eth0", *words)

    def route(self, *words: str) -> None:
        """Give it a route."""
        _ip("-n", self.name, "route", "add", *words)

    def reaches(self, address: str, size: int = 56) -> bool:
        """Say whether an address answers a ping with `size` bytes within three seconds."""
        words = ["ping", "-n", "-c", "1", "-i", "0.5", "-w", "3", "-s", str(size), address]
        return self.run(*words).returncode == 0

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a program in it."""
        return subprocess.run(
            ["ip", "netns", "exec", self.name, *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    def neighbour(self, address: str) -> str:
        """Return the MAC that it knows for an address, after asking for it; empty: none."""
        self.reaches(address)
        shown = self.run("ip", "neighbour", "show", address, "dev", "eth0").stdout.split()
        return shown[shown.index("lladdr") + 1] if "lladdr" in shown else ""

    def offers(self) -> list[str]:
        """Ask all DHCP servers for an address, and return what each of them offers."""
        return [str(IPv4Address(frame[58:62])) for frame in self._offered()]

    def options(self) -> dict[int, bytes]:
        """Return what the first of the DHCP servers says beside the address, by option."""
        told, found = self._offered()[0][282:], {}
        while told and told[0] != 255:
            found[told[0]], told = told[2 : 2 + told[1]], told[2 + told[1] :]
        return found

    def _offered(self) -> list[bytes]:
        with self._inside():
            listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        with listener:
            listener.bind(("eth0", 0x0800))
            listener.send(_discover(self.port.mac))
            return [frame for frame in _heard(listener) if _is_offer(frame)]

    def advertised(self) -> list[str]:
        """The same by DHCPv6, from its own link-local address."""
        with self._inside():
            index = socket.if_nametoindex("eth0")
            asking = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        with asking:
            asking.bind(("::", 546))
            asking.sendto(_solicit(self.port.mac), (_SERVERS_V6, 547, 0, index))
            return [found for message in _heard(asking) if (found := _advertised(message))]

    def routers(self) -> list[str]:
        """Ask for routers, and return the addresses of those that answer, once for each answer."""
        with self._inside():
            index = socket.if_nametoindex("eth0")
            asking = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        with asking:
            asking.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
            asking.sendto(bytes((133, 0, 0, 0, 0, 0, 0, 0)), ("ff02::2", 0, 0, index))
            asking.settimeout(PATIENCE_S)
            found, end = [], time.monotonic() + PATIENCE_S
            while (left := end - time.monotonic()) > 0:
                asking.settimeout(left)
                try:
                    message, sender = asking.recvfrom(2048)
                except TimeoutError:
                    break
                found += [sender[0].partition("%")[0]] if message[0] == 134 else []
            return found

    @contextmanager
    def _inside(self) -> Iterator[None]:
        """Sockets that are opened meanwhile are the guest's."""
        own_path = Path(f"/proc/self/task/{threading.get_native_id()}/ns/net")
        with own_path.open("rb") as own, Path(f"/run/netns/{self.name}").open("rb") as theirs:
            _set_network(theirs.fileno())
            try:
                yield
            finally:
                _set_network(own.fileno())


class Tap:
    """All frames that go out of a device and come in by it, from now on."""

    def __init__(self, device: str) -> None:
        everything = socket.htons(0x0003)
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, everything)
        self._socket.bind((device, 0x0003))
        self._socket.setblocking(False)

    def __enter__(self) -> "Tap":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def seen(self) -> list[bytes]:
        """Return them, and begin anew."""
        frames = []
        with suppress(BlockingIOError):
            while True:
                frames.append(self._socket.recv(4096))
        return frames


def link_local(mac: str) -> str:
    """Return the link-local address that is made of a MAC (RFC 4291, appendix A)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    half = bytes((octets[0] ^ 2, *octets[1:3], 0xFF, 0xFE, *octets[3:]))
    return str(IPv6Address(bytes((0xFE, 0x80, 0, 0, 0, 0, 0, 0)) + half))


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def _heard(listener: socket.socket) -> Iterator[bytes]:
    end = time.monotonic() + PATIENCE_S
    while (left := end - time.monotonic()) > 0:
        listener.settimeout(left)
        try:
            yield listener.recv(2048)
        except TimeoutError:
            return


def _discover(mac: str) -> bytes:
    """Return a DHCPDISCOVER in UDP, IPv4 and Ethernet (RFC 2131)."""
    hardware = bytes.fromhex(mac.replace(":", ""))
    asked = struct.pack("!BBBBIHH16x16s192x", 1, 1, 6, 0, 0x62797265, 0, 0x8000, hardware)
    # Message type; option 55 asks for routes and the MTU too.
    told = _COOKIE + bytes((53, 1, 1, 55, 5, 1, 3, 6, 121, 26, 255))
    datagram = struct.pack("!HHHH", 68, 67, 8 + len(asked) + len(told), 0) + asked + told
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(datagram), 0, 0, 64, 17, 0,
                       bytes(4), b"\xff" * 4)  # fmt: skip
    total = sum(struct.unpack("!10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    head = head[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + head[12:]
    return _BROADCAST + hardware + b"\x08\x00" + head + datagram


def _is_offer(frame: bytes) -> bool:
    is_answer = len(frame) > 282 and frame[23] == 17 and frame[34:38] == bytes((0, 67, 0, 68))
    return is_answer and bytes((53, 1, 2)) in frame[278:]


def _solicit(mac: str) -> bytes:
    """Return a Solicit for one address, by a client that names itself by its MAC (RFC 8415)."""
    duid = struct.pack("!HH", 3, 1) + bytes.fromhex(mac.replace(":", ""))
    client = struct.pack("!HH", 1, len(duid)) + duid
    wanted = struct.pack("!HHIII", 3, 12, 1, 0, 0)
    return bytes((1, 0x62, 0x79, 0x72)) + client + wanted


def _advertised(message: bytes) -> str:
    """Return the address that a message advertises; empty if it is none."""
    if not message or message[0] != 2:
        return ""
    at = message.find(struct.pack("!HH", 5, 24))
    return str(IPv6Address(message[at + 4 : at + 20])) if at >= 0 else ""
