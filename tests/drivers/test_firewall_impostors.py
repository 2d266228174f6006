"""Guests that speak for others: as neighbours, as DHCP servers and as routers, by real packets."""

import socket

import pytest

from tests.drivers.namespaces import NamespaceGuest, heard, run
from tests.drivers.sites import OPEN_IN, OPEN_OUT, Site, group

pytestmark = pytest.mark.lab


def test_neighbours_are_claimed_only_by_whoever_has_them(site: Site) -> None:
    network = site.network()
    liar, victim = site.guest(network, group(*OPEN_OUT)), site.guest(network, group(*OPEN_OUT))
    target = "fd00:178::dead"
    run("ip", "-n", victim.name, "neigh", "replace", target, "lladdr", "02:00:00:00:00:01",
        "dev", "eth0", "nud", "stale")  # fmt: skip
    for claimed, believed in ((target, False), (liar.addresses[1], True)):
        run("ip", "-n", victim.name, "neigh", "replace", claimed, "lladdr", "02:00:00:00:00:01",
            "dev", "eth0", "nud", "stale")  # fmt: skip
        advertise(liar, claimed, victim.addresses[1], site.ports[liar.name].mac)
        told = run("ip", "-n", victim.name, "neigh", "show", claimed)
        assert (site.ports[liar.name].mac in told) is believed, told


def advertise(guest: NamespaceGuest, target: str, to: str, mac: str) -> None:
    """Send a neighbour advertisement from the guest's address about another one."""
    script = (
        "import socket,sys\n"
        "target,to,mac=sys.argv[1:]\n"
        "s=socket.socket(socket.AF_INET6,socket.SOCK_RAW,socket.IPPROTO_ICMPV6)\n"
        "s.setsockopt(socket.IPPROTO_IPV6,socket.IPV6_UNICAST_HOPS,255)\n"
        "s.sendto(bytes([136,0,0,0,0x60,0,0,0])+socket.inet_pton(socket.AF_INET6,target)"
        "+bytes([2,1])+bytes.fromhex(mac.replace(':','')),(to,0))\n"
    )
    run("ip", "netns", "exec", guest.name, "python3", "-c", script, target, to, mac)


def from_port(guest: NamespaceGuest, port: int, address: str, word: bytes) -> None:
    """Send a datagram from this port to the DHCP client's at the address."""
    version, client = (6, 546) if ":" in address else (4, 68)
    sender = guest.open(socket.SOCK_DGRAM, version)
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sender.bind(("::" if version == 6 else "", port))
    sender.sendto(word, (address, client))


@pytest.mark.parametrize(("server", "client", "which"), [(67, 68, 0), (547, 546, 1)])
def test_no_guest_answers_for_the_dhcp_server(
    site: Site, server: int, client: int, which: int
) -> None:
    network = site.network()
    rogue = site.guest(network, group(*OPEN_OUT, *OPEN_IN))
    victim = site.guest(network, group(*OPEN_OUT, *OPEN_IN))
    asking = victim.serve(client, socket.SOCK_DGRAM)
    for port, word in ((server, b"of a server"), (server + 1000, b"of nobody")):
        from_port(rogue, port, victim.addresses[which], word)
    assert heard(asking, b"of a server", b"of nobody") == [b"of nobody"]


@pytest.mark.parametrize("fragmented", [False, True])
def test_no_guest_speaks_as_a_router(site: Site, fragmented: bool) -> None:
    """A router's advertisement or redirect, also in fragments, in which no type is seen."""
    network = site.network()
    rogue = site.guest(network, group(*OPEN_OUT, *OPEN_IN))
    victim = site.guest(network, group(*OPEN_OUT, *OPEN_IN))
    listener = victim.open(socket.SOCK_RAW, 6, socket.IPPROTO_ICMPV6)
    speaker = rogue.open(socket.SOCK_RAW, 6, socket.IPPROTO_ICMPV6)
    # The router's words have to come with this hop limit (RFC 4861, section 6.1.2).
    speaker.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 255)
    run("ip", "-n", rogue.name, "link", "set", "eth0", "mtu", str(network.mtu))
    filling = bytes(3000 if fragmented else 0)
    words = {134: b"advertisement", 137: b"redirect", 128: b"echo"}
    for kind, word in words.items():
        message = bytes([kind, 0, 0, 0]) + bytes(4) + word + filling
        speaker.sendto(message, (victim.addresses[1], 0))
    assert heard(listener, *words.values()) == [b"echo"]
