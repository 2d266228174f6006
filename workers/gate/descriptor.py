"""Reading and writing a descriptor from an event loop, be it a socket or a terminal."""

import asyncio
import os
from collections.abc import Callable
from typing import Any

_CHUNK = 65536


class Descriptor:
    """Owns the descriptor. One task may read and another one write at the same time."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._loop = asyncio.get_running_loop()
        self._waiting: set[asyncio.Future[None]] = set()
        os.set_blocking(number, False)

    async def read(self) -> bytes:
        """Return what there is as soon as there is something; nothing at the end."""
        while True:
            try:
                return os.read(self._number, _CHUNK)
            except BlockingIOError:
                await self._ready(self._loop.add_reader, self._loop.remove_reader)
            except OSError:
                # A terminal whose other side was closed does not end but fails.
                return b""

    async def write(self, data: bytes) -> None:
        """Write all of it. Raises OSError."""
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._number, left) :]
            except BlockingIOError:
                await self._ready(self._loop.add_writer, self._loop.remove_writer)

    def close(self) -> None:
        """Close it. Whoever waits for it must have been cancelled before."""
        os.close(self._number)

    async def _ready(self, add: Callable[..., Any], remove: Callable[[int], Any]) -> None:
        ready = asyncio.Event()
        add(self._number, ready.set)
        try:
            await ready.wait()
        finally:
            remove(self._number)
