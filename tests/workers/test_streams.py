"""The end of streams."""

import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from workers import streams
from workers.gate.certificate import make_context


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """What the peer speaks TLS with; and little patience with it."""
    monkeypatch.setattr(streams, "_GOODBYE_S", 0.1)
    made, _ = make_context(tmp_path)
    return made


async def end_of(context: ssl.SSLContext, *, peer_ends_first: bool) -> int:
    """Close a stream whose peer has spoken TLS, and then says nothing more, or goodbye; return the
    socket's number afterwards."""
    ours, theirs = socket.socketpair()
    client = ssl.create_default_context()
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    wrapping = asyncio.to_thread(context.wrap_socket, theirs, server_side=True)
    accepting = asyncio.create_task(wrapping)
    reader, writer = await asyncio.open_connection(sock=ours, ssl=client, server_hostname="")
    peer = await accepting
    try:
        if peer_ends_first:
            await asyncio.to_thread(peer.unwrap)
            assert await reader.read() == b""
        await streams.close(writer)
        return ours.fileno()
    finally:
        peer.close()


@pytest.mark.parametrize("peer_ends_first", [False, True])
def test_stream_is_closed_however_its_peer_ends(
    context: ssl.SSLContext, *, peer_ends_first: bool
) -> None:
    assert asyncio.run(end_of(context, peer_ends_first=peer_ends_first)) == -1
