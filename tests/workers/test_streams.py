"""The end of streams."""

import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from workers import streams
from workers.gate.certificate import make_context


async def end_of(context: ssl.SSLContext) -> int:
    """Close a stream whose peer has let it in and says nothing more; return the socket's number
    afterwards."""
    ours, theirs = socket.socketpair()
    client = ssl.create_default_context()
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    peer = asyncio.create_task(
        asyncio.to_thread(context.wrap_socket, theirs, server_side=True, suppress_ragged_eofs=True)
    )
    _, writer = await asyncio.open_connection(sock=ours, ssl=client, server_hostname="")
    silent = await peer
    try:
        await streams.close(writer)
        return ours.fileno()
    finally:
        silent.close()


def test_stream_whose_peer_says_no_goodbye_is_closed_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "_GOODBYE_S", 0.1)
    context, _ = make_context(tmp_path)

    assert asyncio.run(end_of(context)) == -1
