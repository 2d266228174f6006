"""The kernel's connections, marked and forgotten by the real tool, in a network
namespace of each test's own."""

import ctypes
import ipaddress
import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from workers.hypervisor.firewall_state import FirewallState
from workers.hypervisor.libvirt.firewall import connections
from workers.hypervisor.libvirt.firewall import expressions as nft
from workers.hypervisor.libvirt.firewall.table import CUT, REDIRECT, table

_CLONE_NEWNET = 0x40000000


@dataclass(frozen=True)
class Kind:
    """One kind of connection: in each of three zones there is one, as two networks with the same
    addresses have them."""

    protocol: str
    source: str
    destination: str

    def insert(self, zone: int, *, answered: bool = False) -> None:
        """Have it in a zone; `answered`: as the other side begins it."""
        ends = [("-s", self.source, "--sport", "1000"), ("-d", self.destination, "--dport", "80")]
        if answered:
            ends = [
                ("-s", self.destination, "--sport", "80"),
                ("-d", self.source, "--dport", "1000"),
            ]
        state = ["--state", "ESTABLISHED"] if self.protocol == "6" else []
        words = ["-p", self.protocol, *ends[0], *ends[1], "-t", "300", "-m", "3"]
        command = ["conntrack", "-I", *words, "--zone", str(zone), *state]
        subprocess.run(command, check=True, capture_output=True)


ENDS = (("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2"))
KINDS = [Kind(protocol, *ends) for protocol in ("6", "17") for ends in ENDS]


def flow(zone: int) -> connections.Flow:
    """Return the connection of a zone, as the kernel knows it."""
    return next(one for one in connections.flows() if one.zone == zone)


def zones_and_marks(kind: Kind, act: Callable[[], None]) -> list[tuple[int, int]]:
    """Act beside these connections, in a thread with a network of its own that goes with it;
    return zone and mark of those that are left."""

    def alone() -> list[tuple[int, int]]:
        if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        for zone in (0, 7, 8):
            kind.insert(zone)
        act()
        return sorted((one.zone, one.mark) for one in connections.flows())

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(alone).result(60)


@pytest.mark.boots
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.protocol}-{kind.source}")
@pytest.mark.parametrize("zone", [0, 7])
def test_a_connection_is_cut_and_no_other(kind: Kind, zone: int) -> None:
    found = zones_and_marks(kind, lambda: connections.set_bit([flow(zone)], CUT, to=True))
    assert found == [(each, CUT | 3 if each == zone else 3) for each in (0, 7, 8)]


@pytest.mark.boots
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.protocol}-{kind.source}")
def test_one_that_the_other_side_begins_meanwhile_is_cut_too(kind: Kind) -> None:
    def act() -> None:
        found = flow(7)
        connections.forget([found])
        kind.insert(7, answered=True)
        connections.set_bit([found], CUT, to=True)

    assert zones_and_marks(kind, act) == [(0, 3), (7, CUT | 3), (8, 3)]


@pytest.mark.boots
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.protocol}-{kind.source}")
def test_one_that_is_allowed_again_goes_on(kind: Kind) -> None:
    def act() -> None:
        connections.set_bit([flow(7)], CUT, to=True)
        connections.set_bit([flow(7)], CUT, to=False)

    assert zones_and_marks(kind, act) == [(0, 3), (7, 3), (8, 3)]


@pytest.mark.boots
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.protocol}-{kind.source}")
@pytest.mark.parametrize("zone", [0, 7])
def test_what_is_gone_is_neither_cut_nor_forgotten(kind: Kind, zone: int) -> None:
    def act() -> None:
        found = flow(zone)
        connections.forget([found])
        connections.forget([found])
        connections.set_bit([found], CUT, to=True)

    assert zones_and_marks(kind, act) == [(e, 3) for e in (0, 7, 8) if e != zone]


@pytest.mark.boots
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.protocol}-{kind.source}")
@pytest.mark.parametrize("end", ["source", "destination"])
@pytest.mark.parametrize("zone", [0, 7])
def test_an_addresss_connections_are_forgotten_in_its_own_zone_alone(
    kind: Kind, end: str, zone: int
) -> None:
    address = ipaddress.ip_network(getattr(kind, end))
    found = zones_and_marks(kind, lambda: connections.forget_of(address, zone))
    assert found == [(e, 3) for e in (0, 7, 8) if e != zone]


@pytest.mark.parametrize(
    "answer",
    [nft.udp(4, 67, 68), nft.udp(6, 547, 546), [nft.icmp_types(6, [REDIRECT])]],
    ids=["DHCP", "DHCPv6", "redirect"],
)
def test_what_only_routers_say_is_dropped_where_fragments_are_whole(answer: list[nft.Json]) -> None:
    assert [*answer, nft.DROP] in table(FirewallState()).chains["always_egress"].rules
