"""From the proxy to the gate of a host, by TLS. The gate is known by its certificate's digest,
which the host told through the broker; it knows us by the word."""

import asyncio
import hashlib
import hmac
import ssl

from app.services.remote_consoles import Visit

#: Seconds for connecting and being let in.
_LIMIT_S = 10.0
_LET_IN = b"\x01"


class NotLetIn(Exception):
    """There is no way to the console: the text says what was found instead."""


async def enter(visit: Visit, word: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return the streams of a console. Raises NotLetIn."""
    try:
        async with asyncio.timeout(_LIMIT_S):
            reader, writer = await asyncio.open_connection(
                visit.address, visit.port, ssl=_context()
            )
            try:
                await _introduce(visit, word, reader, writer)
            except BaseException:
                writer.transport.abort()
                raise
    except TimeoutError as error:
        raise NotLetIn("the host's gate did not answer in time") from error
    except (OSError, asyncio.IncompleteReadError) as error:
        raise NotLetIn(f"the host's gate: {error}") from error
    return reader, writer


async def _introduce(
    visit: Visit, word: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
    certificate = tls.getpeercert(binary_form=True) or b""
    if not hmac.compare_digest(hashlib.sha256(certificate).hexdigest(), visit.certificate):
        raise NotLetIn("the host's gate has another certificate than its worker told")
    writer.write(word)
    if await reader.readexactly(len(_LET_IN)) != _LET_IN:
        raise NotLetIn("the host's gate answered something else")


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # No authority has signed it: its digest is compared before anything is said.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
