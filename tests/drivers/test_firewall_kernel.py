"""The kernel's connections, marked and forgotten by the real tool, in a network namespace."""

import json
import subprocess
import sys
import textwrap

import pytest

from workers.hypervisor.firewall_state import FirewallState
from workers.hypervisor.libvirt.firewall import expressions as nft
from workers.hypervisor.libvirt.firewall.table import CUT, REDIRECT, table

ENDS = (("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2"))
CONNECTIONS = [(protocol, *ends) for protocol in ("6", "17") for ends in ENDS]
#: One connection in each of three zones, as two networks with the same addresses have them.
MADE = """\
import json, subprocess, sys
from workers.hypervisor.libvirt.firewall import connections
protocol, source, destination = sys.argv[1:]

def insert(zone, source, sport, destination, dport):
    state = ["--state", "ESTABLISHED"] if protocol == "6" else []
    words = ["-p", protocol, "-s", source, "-d", destination, "--sport", sport, "--dport", dport]
    words += ["-t", "300", "-m", "3", "--zone", str(zone)]
    subprocess.run(["conntrack", "-I", *words, *state], check=True, capture_output=True)

for zone in (0, 7, 8):
    insert(zone, source, "1000", destination, "80")

def flow(zone):
    return next(one for one in connections.flows() if one.zone == zone)

"""
SHOWN = "print(json.dumps(sorted([one.zone, one.mark] for one in connections.flows())))\n"


def zones_and_marks(connection: tuple[str, ...], program: str) -> list[list[int]]:
    """Run the program beside these connections; return zone and mark of those that are left."""
    whole = MADE + textwrap.dedent(program) + SHOWN
    command = ["unshare", "--net", sys.executable, "-c", whole, *connection]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found: list[list[int]] = json.loads(done.stdout)
    return found


@pytest.mark.boots
@pytest.mark.parametrize("connection", CONNECTIONS)
@pytest.mark.parametrize("zone", [0, 7])
def test_a_connection_is_cut_and_no_other(connection: tuple[str, ...], zone: int) -> None:
    program = f"connections.set_bit([flow({zone})], {CUT}, to=True)\n"
    expected = [[each, CUT | 3 if each == zone else 3] for each in (0, 7, 8)]
    assert zones_and_marks(connection, program) == expected


@pytest.mark.boots
@pytest.mark.parametrize("connection", CONNECTIONS)
def test_one_that_the_other_side_begins_meanwhile_is_cut_too(connection: tuple[str, ...]) -> None:
    program = f"""
    found = flow(7)
    connections.forget([found])
    insert(7, destination, "80", source, "1000")
    connections.set_bit([found], {CUT}, to=True)
    """
    assert zones_and_marks(connection, program) == [[0, 3], [7, CUT | 3], [8, 3]]


@pytest.mark.boots
@pytest.mark.parametrize("connection", CONNECTIONS)
def test_one_that_is_allowed_again_goes_on(connection: tuple[str, ...]) -> None:
    program = f"""
    connections.set_bit([flow(7)], {CUT}, to=True)
    connections.set_bit([flow(7)], {CUT}, to=False)
    """
    assert zones_and_marks(connection, program) == [[0, 3], [7, 3], [8, 3]]


@pytest.mark.boots
@pytest.mark.parametrize("connection", CONNECTIONS)
@pytest.mark.parametrize("zone", [0, 7])
def test_what_is_gone_is_neither_cut_nor_forgotten(connection: tuple[str, ...], zone: int) -> None:
    program = f"""
    found = flow({zone})
    connections.forget([found])
    connections.forget([found])
    connections.set_bit([found], {CUT}, to=True)
    """
    assert zones_and_marks(connection, program) == [[e, 3] for e in (0, 7, 8) if e != zone]


@pytest.mark.boots
@pytest.mark.parametrize("connection", CONNECTIONS)
@pytest.mark.parametrize("end", ["source", "destination"])
@pytest.mark.parametrize("zone", [0, 7])
def test_an_addresss_connections_are_forgotten_in_its_own_zone_alone(
    connection: tuple[str, ...], end: str, zone: int
) -> None:
    program = f"""
    import ipaddress
    connections.forget_of(ipaddress.ip_network({end}), {zone})
    """
    assert zones_and_marks(connection, program) == [[e, 3] for e in (0, 7, 8) if e != zone]


@pytest.mark.parametrize(
    "answer",
    [nft.udp(4, 67, 68), nft.udp(6, 547, 546), [nft.icmp_types(6, [REDIRECT])]],
    ids=["DHCP", "DHCPv6", "redirect"],
)
def test_what_only_routers_say_is_dropped_where_fragments_are_whole(answer: list[nft.Json]) -> None:
    assert [*answer, nft.DROP] in table(FirewallState()).chains["always_egress"].rules
