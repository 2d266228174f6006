"""Who asks, by the kernel's tables."""

import socket

from workers.metadata.asker import Asker, asker_of, learned_port


def test_the_interface_is_that_of_the_first_packet() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()),
    ):
        accepted, (address, _) = listening.accept()
        with accepted:
            assert asker_of(accepted, address) == Asker("lo", "127.0.0.1")
        assert asker_of(accepted, address) is None


def entry(mac: str, port: int, *, local: int = 0) -> bytes:
    """Return one entry as the kernel gives it."""
    low, high = (port & 0xFF).to_bytes(1, "little"), (port >> 8).to_bytes(1, "little")
    return bytes.fromhex(mac.replace(":", "")) + low + bytes([local]) + bytes(4) + high + bytes(3)


def test_a_mac_is_where_it_was_learned() -> None:
    table = (
        entry("fa:16:3e:00:00:01", 1, local=1)
        + entry("fa:16:3e:00:00:02", 2)
        + entry("fa:16:3e:00:00:03", 0x0102)
    )
    assert learned_port(table, "fa:16:3e:00:00:01") is None
    assert learned_port(table, "FA:16:3E:00:00:02") == 2
    assert learned_port(table + b"half", "fa:16:3e:00:00:03") == 0x0102
    assert learned_port(table, "fa:16:3e:00:00:04") is None
    assert learned_port(b"", "fa:16:3e:00:00:04") is None
