"""Where uploads arrive: files of this machine, locked by the process that writes them."""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from app.db.models.base import new_id
from app.services.image_store.interface import Readable, Received
from tasks.errors import RequestError, TooLarge

CHUNK = 1024 * 1024

#: How the name of a file ends that is not whole yet.
_PART = ".part"


@contextmanager
def spooled(
    directory: Path, image_id: str, source: Readable, *, limit: int, expected: int | None
) -> Iterator[Received]:
    """Write the source's bytes to a file of the directory, durably; gone again at the end of the
    block. Sizes in bytes. Raises TooLarge, RequestError if the source ends early."""
    if expected is not None and expected > limit:
        raise TooLarge(_too_large(limit))
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = directory / f".{image_id}.{new_id()}{_PART}"
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


def remove_unlocked(directory: Path) -> set[str]:
    """Remove the files whose process has died; return the ids of the images whose lives."""
    receiving = set()
    for path in directory.glob(f".*{_PART}"):
        if _is_held(path):
            receiving.add(path.name.split(".")[1])
        else:
            path.unlink(missing_ok=True)
    return receiving


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
