"""Streams of asyncio, and their end."""

import asyncio
from contextlib import suppress

#: Seconds within which a peer takes what is still to be said, and says goodbye by TLS.
_GOODBYE_S = 2.0


async def close(writer: asyncio.StreamWriter) -> None:
    """Close a stream, and see that its socket is closed: a peer of TLS that does not answer would
    keep it open for half a minute, and longer than the loop."""
    if not writer.is_closing():
        # The peer may have been the first; and Python 3.11.2 cannot end any more what it has closed
        # twice by TLS.
        writer.close()
    try:
        # TimeoutError and the errors of TLS are of OSError.
        with suppress(OSError):
            async with asyncio.timeout(_GOODBYE_S):
                await writer.wait_closed()
    finally:
        writer.transport.abort()
    # What is closed by force is so at the loop's next turn.
    await asyncio.sleep(0)
