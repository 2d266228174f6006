"""Which cached images are in use, as the headers of the disks on the host say that lie over them.

The control plane's rows may have been lost or restored from yesterday; a disk whose base is gone is
lost for good. So what counts is what is written in the disks themselves, whoever made them.

What cannot be read raises: then nothing goes.
"""

import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from workers.hypervisor.qcow2 import is_qcow2, read_header

_IMAGE = re.compile(r"image-([0-9a-f]{64})\.")
#: Our files that begin with what a guest wrote: a header in them is the guest's, and names nothing.
_RAW = re.compile(r".*\.(?:raw|iso|fd|log)(?:\.[0-9]+)?")
#: Disks over disks, as deep as anybody goes.
_DEEPEST = 64


class Unreadable(Exception):
    """A disk's header cannot be read or followed."""


def digests_in_use(directory: Path, others: Iterable[Path] = ()) -> set[str]:
    """Return digests of images that disks in the directory, or set aside in its quarantine, lie
    over; and the other disks. Raises Unreadable, OSError."""
    found: set[str] = set()
    for path in [*_disks(directory), *_disks(directory / "quarantine"), *others]:
        _follow(path, found)
    return found


def _disks(directory: Path) -> Iterator[Path]:
    try:
        entries = os.scandir(directory)
    except FileNotFoundError:
        return
    with entries:
        for entry in entries:
            is_ours = _IMAGE.match(entry.name.removeprefix(".")) or _RAW.fullmatch(entry.name)
            if not is_ours and entry.is_file(follow_symlinks=False):
                yield Path(entry.path)


def _follow(path: Path, found: set[str]) -> None:
    """Note the images below a disk. The images themselves lie over nothing."""
    for _ in range(_DEEPEST):
        if not _is_file(path):
            return
        backing = _backing(path)
        if backing is None:
            return
        found.update(_IMAGE.findall(backing))
        if ":" in backing.partition("/")[0]:
            # Not a path, but a protocol or JSON; what it names is found in its text or not at all.
            if _IMAGE.search(backing):
                return
            raise Unreadable(f"{path.name} lies over something that is no file")
        path = Path(os.path.realpath(path.parent / backing))
        if image := _IMAGE.match(path.name):
            found.add(image[1])
            return
    raise Unreadable(f"{path.name} lies over too many disks")


def _backing(path: Path) -> str | None:
    try:
        header = read_header(path)
        if header is None and is_qcow2(path):
            raise Unreadable(f"{path.name} has a header of an unknown kind")
    except FileNotFoundError:
        return None
    return None if header is None else header.backing


def _is_file(path: Path) -> bool:
    """Devices and pipes are not opened: that alone can do something."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return False
