"""What a store of images can do, whatever it keeps them on."""

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol


class Readable(Protocol):
    """Whatever the bytes come from."""

    def read(self, size: int, /) -> bytes:
        """Return at most so many bytes; none at the end."""
        ...


@dataclass(frozen=True)
class Received:
    """A file that has arrived and is not yet in its place."""

    path: Path
    size_bytes: int
    md5: str
    sha256: str
    sha512: str


class ImageStore(Protocol):
    """Images' bytes, each whole or not there. Every verb can be repeated."""

    #: An upload that gives no sign for so long has died. 0: `remove_abandoned` sees every one.
    lease_s: float

    def receive(
        self, image_id: str, source: Readable, *, limit: int, expected: int | None = None
    ) -> AbstractContextManager[Received]:
        """Write the source's bytes to a local file, durably; gone again at the end of the block.
        Sizes in bytes.

        Raises TooLarge, RequestError if the source ends early.
        """
        ...

    def put(self, image_id: str, received: Received) -> None:
        """Put what was received in its place, checked. Raises StoreUnavailable."""
        ...

    def open(self, image_id: str) -> BinaryIO:
        """Return the image's bytes to read, from anywhere in them. Raises NotFound,
        StoreUnavailable."""
        ...

    def remove(self, image_id: str) -> None:
        """Remove the image's bytes. Absent is done. Raises StoreUnavailable."""
        ...

    def remove_abandoned(self) -> set[str]:
        """Remove the files of uploads whose process has died; return the ids of the images that
        processes are receiving now whose files can be seen from here."""
        ...

    def stop_unfinished(self, saving: Callable[[], Collection[str]]) -> None:
        """End what uploads have begun in the store and will not finish: those of images other
        than `saving` names, which is asked after looking. Raises StoreUnavailable."""
        ...
