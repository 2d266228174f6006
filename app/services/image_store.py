"""Where the images' bytes lie: a directory, one file an image, each whole or not there.

Effects  files below the store's directory; nothing else is touched.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from app.db.models.base import new_id
from tasks.errors import NotFound, RequestError, TooLarge

CHUNK = 1024 * 1024

#: How the name of a file ends that is not whole yet.
_PART = ".part"


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


class ImageStore:
    """The directory of a control plane."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory.absolute()

    def path(self, image_id: str) -> Path:
        """Return where the image's bytes are, or will be."""
        return self._directory / image_id

    @contextmanager
    def receive(
        self, image_id: str, source: Readable, *, limit: int, expected: int | None = None
    ) -> Iterator[Received]:
        """Write the source's bytes beside their place, durably; gone again at the end of the
        block unless they were put in place. Sizes in bytes.

        Raises TooLarge, RequestError if the source ends early.
        """
        if expected is not None and expected > limit:
            raise TooLarge(_too_large(limit))
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._directory / f".{image_id}.{new_id()}{_PART}"
        try:
            with path.open("xb") as target:
                # Held until the end, and dropped by the kernel if this process dies.
                fcntl.flock(target, fcntl.LOCK_EX)
                received = _copy(source, target, path, limit)
                target.flush()
                os.fsync(target.fileno())
                if expected is not None and received.size_bytes != expected:
                    raise RequestError(
                        f"The upload ended after {received.size_bytes} of {expected} bytes."
                    )
                yield received
        finally:
            path.unlink(missing_ok=True)

    def remove_abandoned(self) -> set[str]:
        """Remove what uploads have left whose process has died; return the ids of the images that
        somebody is receiving now."""
        receiving = set()
        for path in self._directory.glob(f".*{_PART}"):
            if _is_held(path):
                receiving.add(path.name.split(".")[1])
            else:
                path.unlink(missing_ok=True)
        return receiving

    def open(self, image_id: str) -> BinaryIO:
        """Return the image's bytes to read, from anywhere in them. Raises NotFound."""
        try:
            return self.path(image_id).open("rb")
        except FileNotFoundError:
            raise NotFound(f"The bytes of image {image_id} are not in the store.") from None

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

    def remove(self, image_id: str) -> None:
        """Remove the image's bytes; who is reading them reads on. Absent is done."""
        with suppress(FileNotFoundError):
            self.path(image_id).unlink()


def _is_held(path: Path) -> bool:
    """Say whether the upload that writes the file lives."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        # It has just ended, one way or the other.
        return True
    return False


def _copy(source: Readable, target: BinaryIO, path: Path, limit: int) -> Received:
    md5 = hashlib.md5(usedforsecurity=False)
    sha256, sha512, size = hashlib.sha256(), hashlib.sha512(), 0
    while chunk := _read(source):
        size += len(chunk)
        if size > limit:
            raise TooLarge(_too_large(limit))
        target.write(chunk)
        for digest in (md5, sha256, sha512):
            digest.update(chunk)
    return Received(path, size, md5.hexdigest(), sha256.hexdigest(), sha512.hexdigest())


def _too_large(limit: int) -> str:
    return f"The image is larger than the limit of {limit} bytes."


def _read(source: Readable) -> bytes:
    try:
        return source.read(CHUNK)
    except OSError as error:
        # The other end's fault, unlike an OSError of our own disk.
        raise RequestError(f"The upload broke off: {error}") from error
