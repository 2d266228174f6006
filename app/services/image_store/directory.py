"""Images' bytes in a directory, one file an image; all API processes share it.

Effects  files below the directory; nothing else is touched.
"""

import os
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import BinaryIO

from app.services.image_store.interface import Readable, Received
from app.services.image_store.spool import remove_unlocked, spooled
from tasks.errors import NotFound


class DirectoryStore:
    """The directory, in which uploads arrive too."""

    #: Every upload's file can be seen here, and whether its process lives.
    lease_s = 0.0

    def __init__(self, directory: Path) -> None:
        self._directory = directory.absolute()

    def path(self, image_id: str) -> Path:
        """Return where the image's bytes are, or will be."""
        return self._directory / image_id

    def receive(
        self, image_id: str, source: Readable, *, limit: int, expected: int | None = None
    ) -> AbstractContextManager[Received]:
        """Write the source's bytes beside their place."""
        return spooled(self._directory, image_id, source, limit=limit, expected=expected)

    def put(self, image_id: str, received: Received) -> None:
        """Put what was received in its place. It keeps its first name too until `receive` ends, by
        which others see that its process lives."""
        self.path(image_id).unlink(missing_ok=True)
        self.path(image_id).hardlink_to(received.path)
        directory = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def open(self, image_id: str) -> BinaryIO:
        """Return the file. Raises NotFound."""
        try:
            return self.path(image_id).open("rb")
        except FileNotFoundError:
            raise NotFound(f"The bytes of image {image_id} are not in the store.") from None

    def remove(self, image_id: str) -> None:
        """Remove the file; who is reading it reads on."""
        with suppress(FileNotFoundError):
            self.path(image_id).unlink()

    def remove_abandoned(self) -> set[str]:
        """Remove what uploads have left; return the ids of the images that anybody receives."""
        return remove_unlocked(self._directory)

    def stop_unfinished(self, saving: Callable[[], Collection[str]]) -> None:
        """Nothing: there is nothing of an upload here but its file."""
