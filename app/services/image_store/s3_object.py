"""An object of S3 as a file: read from anywhere, in pieces, each fetched when it is wanted."""

import io
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog
from botocore.exceptions import BotoCoreError
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter
from urllib3.exceptions import HTTPError

from tasks.errors import StoreUnavailable

MIB = 1024 * 1024

#: A small range fetches little that nobody reads, and a large one needs few requests: each piece
#: is as large again as the one before it.
FIRST_PIECE_BYTES, LARGEST_PIECE_BYTES = MIB, 64 * MIB

#: A connection that breaks while it is read from. Others are the client's own to retry.
_BROKEN = (BotoCoreError, HTTPError, OSError)

log = structlog.get_logger(__name__)


class S3Object(io.RawIOBase):
    """The bytes of one object, whose connection lasts as long as it is read in a row."""

    def __init__(self, get: Callable[[int, int], Any], size: int) -> None:
        """Give how to get the bytes from the first to the last of two places: S3's answer."""
        super().__init__()
        self._get, self._size = get, size
        self._position, self._piece = 0, FIRST_PIECE_BYTES
        self._body: Any = None

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Return where is read next."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Read on elsewhere. Fetches nothing."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError("negative seek position")
        if start + offset != self._position:
            self._position, self._piece = start + offset, FIRST_PIECE_BYTES
            self._drop()
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        """Fill the buffer, or its beginning. Raises StoreUnavailable, NotFound."""
        view = memoryview(buffer).cast("B")
        wanted = min(len(view), self._size - self._position)
        if wanted <= 0:
            return 0
        try:
            data = self._read(wanted)
        except _BROKEN as error:
            text = "The image store has stopped answering."
            raise StoreUnavailable(text, error=str(error)) from error
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        """Close the connection, if any."""
        self._drop()
        super().close()

    @retry(
        retry=retry_if_exception_type(_BROKEN),
        stop=stop_after_attempt(4),
        wait=wait_exponential_jitter(multiplier=0.2, max=5),
        before_sleep=lambda state: log.info(
            "image_store.read_again",
            error=str(state.outcome.exception()) if state.outcome else "",
        ),
        reraise=True,
    )
    def _read(self, wanted: int) -> bytes:
        """Return some of the bytes at the position, at least one."""
        try:
            while True:
                if self._body is None:
                    self._body = self._next_piece()
                if data := self._body.read(wanted):
                    return bytes(data)
                self._drop()
        except _BROKEN:
            self._drop()
            raise

    def _next_piece(self) -> Any:
        last = min(self._position + self._piece, self._size) - 1
        answer = self._get(self._position, last)
        if answer["ContentLength"] != last + 1 - self._position:
            answer["Body"].close()
            raise StoreUnavailable(
                "The image store does not answer as it should: it sends other bytes than it was"
                " asked for.",
                asked=last + 1 - self._position,
                sent=answer["ContentLength"],
            )
        self._piece = min(self._piece * 2, LARGEST_PIECE_BYTES)
        return answer["Body"]

    def _drop(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            with suppress(*_BROKEN):
                body.close()
