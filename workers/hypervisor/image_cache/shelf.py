"""What lies in the cache's directory: finished images, and what is unfinished."""

import os
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from tasks.messages import StoredFormat

_BLOCK_BYTES = 512
_IMAGE = re.compile(r"image-([0-9a-f]{64})\.(?:qcow2|raw|iso)(?:\.(?:qcow2|raw))?")
#: Downloads and conversions that are under way, or were when their process died.
_UNFINISHED = re.compile(r"\.image-([0-9a-f]{64})\..*")
_PARTIAL = ".part"


@dataclass(frozen=True)
class Entry:
    """One file of the cache."""

    path: Path
    digest: str
    #: Finished, verified and in place.
    whole: bool
    size_bytes: int
    #: What it takes up: holes do not.
    allocated_bytes: int
    #: Unix seconds: of a whole one when it was used last, else when something was written.
    touched_at: float
    #: Names that the file has; a server's disc is a second one.
    links: int

    @property
    def disk_format(self) -> StoredFormat:
        """The format of a finished image, as it lies there."""
        return cast("StoredFormat", self.path.name.rpartition(".")[2])


def entries(directory: Path) -> list[Entry]:
    """Return everything of the cache in its directory. Links, and what else is no plain file, are
    not of the cache."""
    return list(_entries(directory))


def partial_path(path: Path) -> Path:
    """Return where an image is gathered that is to lie at the path."""
    return path.with_name(f".{path.name}{_PARTIAL}")


def touch(path: Path) -> bool:
    """Note that the image is used now; False if there is no such file, or another kind of thing."""
    if not is_plain(path):
        return False
    try:
        os.utime(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def is_plain(path: Path) -> bool:
    """Say whether a plain file is there, and not a link to one."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def allocated_bytes(directory: Path) -> int:
    """Return what the cache takes up in all."""
    return sum(entry.allocated_bytes for entry in _entries(directory))


def unused_for(entry: Entry, moment: float) -> float:
    """Return for how many seconds the file was not touched; a clock that was set back is no age."""
    return max(0.0, moment - entry.touched_at)


def now() -> float:
    """Return the present by the clock that files' times are of."""
    return time.time()


def _entries(directory: Path) -> Iterator[Entry]:
    try:
        listed = os.scandir(directory)
    except FileNotFoundError:
        return
    with listed:
        for each in listed:
            found = _IMAGE.fullmatch(each.name) or _UNFINISHED.fullmatch(each.name)
            if found is None or not each.is_file(follow_symlinks=False):
                continue
            try:
                facts = each.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            yield Entry(
                path=Path(each.path),
                digest=found[1],
                whole=not each.name.startswith("."),
                size_bytes=facts.st_size,
                allocated_bytes=facts.st_blocks * _BLOCK_BYTES,
                touched_at=facts.st_mtime,
                links=facts.st_nlink,
            )
