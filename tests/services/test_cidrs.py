"""Blocks of addresses: where one is free."""

from ipaddress import IPv4Network, ip_network

import pytest

from app.services.cidrs import first_free

ROOM = IPv4Network("10.0.0.0/22")


@pytest.mark.parametrize(
    ("taken", "found"),
    [
        ([], "10.0.0.0/24"),
        (["192.168.0.0/24", "fd00::/64"], "10.0.0.0/24"),
        (["10.0.0.0/24"], "10.0.1.0/24"),
        # Smaller ones, larger ones, one inside of another, and in any order.
        (["10.0.0.128/30"], "10.0.1.0/24"),
        (["10.0.1.0/24", "10.0.0.0/25"], "10.0.2.0/24"),
        (["10.0.0.0/23", "10.0.0.0/26", "10.0.2.7/32"], "10.0.3.0/24"),
        (["10.0.1.0/24", "10.0.3.0/24"], "10.0.0.0/24"),
        (["10.0.0.0/24", "10.0.2.0/24"], "10.0.1.0/24"),
        (["10.0.0.0/8"], None),
        (["10.0.0.0/23", "10.0.2.0/23"], None),
        (["9.0.0.0/8", "10.0.3.255/32"], "10.0.0.0/24"),
    ],
)
def test_the_first_block_that_is_free(taken: list[str], found: str | None) -> None:
    block = first_free(ROOM, 24, [ip_network(one) for one in taken])
    assert (None if block is None else str(block)) == found


def test_a_room_that_is_too_small_has_none() -> None:
    assert first_free(IPv4Network("10.0.0.0/25"), 24, []) is None
