"""What can be told of a guest from files of the host."""

from pathlib import Path

import pytest

from workers.hypervisor.libvirt.observe import (
    CONSOLE_TAIL_BYTES,
    arp_addresses,
    console_tail,
    neighbour_addresses,
)

ARP_TABLE = """\
IP address       HW type     Flags       HW address            Mask     Device
10.177.0.9       0x1         0x2         FA:16:3e:00:00:09     *        byre01234567
10.177.0.10      0x1         0x0         00:00:00:00:00:00     *        byre01234567
10.177.0.11      0x1         0x6         fa:16:3e:00:00:11     *        byre01234567
"""


def test_only_a_neighbour_that_answered_is_seen() -> None:
    assert arp_addresses(ARP_TABLE) == {
        ("fa:16:3e:00:00:09", "10.177.0.9"),
        ("fa:16:3e:00:00:11", "10.177.0.11"),
    }
    assert arp_addresses(ARP_TABLE.splitlines()[0]) == set()


def test_no_console_is_an_empty_one(tmp_path: Path) -> None:
    assert console_tail(tmp_path / "console.log") == ""


def test_the_console_is_told_across_a_log_that_rolled_over(tmp_path: Path) -> None:
    (tmp_path / "console.log.0").write_bytes(b"Linux version\n")
    (tmp_path / "console.log").write_bytes(b"login: ")
    assert console_tail(tmp_path / "console.log") == "Linux version\nlogin: "


@pytest.mark.parametrize("older", [b"", b"older"])
def test_no_more_than_the_end_of_the_console_is_told(tmp_path: Path, older: bytes) -> None:
    (tmp_path / "console.log.0").write_bytes(older)
    (tmp_path / "console.log").write_bytes(b"x" * CONSOLE_TAIL_BYTES + b"end")
    tail = console_tail(tmp_path / "console.log")
    assert len(tail) == CONSOLE_TAIL_BYTES
    assert tail.endswith("xend")


def test_a_console_in_no_encoding_is_told_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "console.log").write_bytes(b"\xff\xfe login:")
    assert console_tail(tmp_path / "console.log").endswith(" login:")


def test_only_an_ipv6_neighbour_that_answered_is_seen() -> None:
    table = """[
        {"dst":"fd01::5","dev":"byre0","lladdr":"FA:16:3e:00:00:05","state":["STALE"]},
        {"dst":"fd01:0::6","dev":"byre0","lladdr":"fa:16:3e:00:00:06","state":["REACHABLE"]},
        {"dst":"fd01::7","dev":"byre0","state":["FAILED"]},
        {"dst":"fd01::8","dev":"byre0","lladdr":"fa:16:3e:00:00:08","state":["INCOMPLETE"]}]"""
    assert neighbour_addresses(table) == {
        ("fa:16:3e:00:00:05", "fd01::5"),
        ("fa:16:3e:00:00:06", "fd01::6"),
    }
    assert neighbour_addresses("") == set()
