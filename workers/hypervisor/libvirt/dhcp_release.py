"""Gives a DHCP lease back in the guest's name (RFC 2131, DHCPRELEASE), once the guest is gone.

libvirt has no call for it, and dnsmasq keeps an address from every other MAC while it is leased.
Sent from the host itself: it must run in the host's own network namespace.
"""

import ipaddress
import socket
import struct

#: op, htype, hlen, hops, xid, secs, flags, ciaddr, yiaddr, siaddr, giaddr, chaddr, sname, file
_BOOTP = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s")
_BOOT_REQUEST = 1
_ETHERNET = 1
_COOKIE = bytes((99, 130, 83, 99))
_OPTION_MESSAGE_TYPE = 53
_OPTION_SERVER = 54
_OPTION_END = 255
_RELEASE = 7
_SERVER_PORT = 67


def release_message(mac: str, address: str, server: str) -> bytes:
    """Return the message that gives `address`, leased by `server` to `mac`, back."""
    own, leased_by = (ipaddress.IPv4Address(text).packed for text in (address, server))
    hardware = bytes.fromhex(mac.replace(":", ""))
    nobody = bytes(4)
    head = _BOOTP.pack(
        _BOOT_REQUEST, _ETHERNET, len(hardware), 0, 0, 0, 0,
        own, nobody, nobody, nobody, hardware, b"", b"",
    )  # fmt: skip
    options = bytes((_OPTION_MESSAGE_TYPE, 1, _RELEASE, _OPTION_SERVER, 4)) + leased_by
    return head + _COOKIE + options + bytes((_OPTION_END,))


def send_release(bridge: str, mac: str, address: str, server: str) -> None:
    """Send it to the server on this host's `bridge`. No answer is defined. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        # dnsmasq only listens to what comes by its bridge.
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, bridge.encode())
        sender.sendto(release_message(mac, address, server), (server, _SERVER_PORT))
