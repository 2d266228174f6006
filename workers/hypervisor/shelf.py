"""Servers' files in one directory, and what was set aside of them in its `quarantine/`.

Effect  files are renamed within one file system, or removed. Content is never touched.
Repeat  a file that is not there was moved or removed before.
"""

import errno
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.errors import HostError, HostFull
from tasks.messages import Thing, ThingKind
from workers.hypervisor.files import sync_directory
from workers.hypervisor.things import file_of, file_thing

_QUARANTINE = "quarantine"
_FULL_ERRNO = {errno.ENOSPC, errno.EDQUOT}


class Shelf:
    """The servers' files of some kinds in one directory."""

    def __init__(self, directory: Path, kinds: frozenset[ThingKind]) -> None:
        self._directory = directory
        self._quarantine = directory / _QUARANTINE
        self._kinds = kinds

    def things(self) -> list[Thing]:
        """Return them all, those set aside too. Raises HostError."""
        with _told():
            return [*self._listed(self._directory), *self._listed(self._quarantine, aside=True)]

    def path(self, thing: Thing) -> Path:
        """Return where the thing lies. Raises MalformedMessage."""
        return (self._quarantine if thing.quarantined else self._directory) / file_of(thing)

    def set_aside(self, thing: Thing) -> None:
        """Move it into the quarantine. An older one of its name there gets a number: what was set
        aside is never overwritten. Raises MalformedMessage, HostError, HostFull."""
        path = self.path(thing)
        if thing.quarantined or not _is_file(path):
            return
        with _told():
            self._quarantine.mkdir(mode=0o700, exist_ok=True)
            aside = self._quarantine / path.name
            if aside.exists():
                aside.rename(_numbered(aside))
            path.rename(aside)
            # A power cut in between may show it twice, and never loses it.
            sync_directory(self._quarantine)
            sync_directory(self._directory)

    def remove(self, thing: Thing) -> None:
        """Remove it: only from the quarantine if it was seen there, and else from both places.
        Raises MalformedMessage, HostError."""
        aside = thing.model_copy(update={"quarantined": True})
        with _told():
            for path in {self.path(thing), self.path(aside)}:
                path.unlink(missing_ok=True)

    def _listed(self, directory: Path, *, aside: bool = False) -> Iterator[Thing]:
        try:
            entries = os.scandir(directory)
        except FileNotFoundError:
            return
        with entries:
            for entry in entries:
                thing = file_thing(entry.name, quarantined=aside)
                if thing and thing.kind in self._kinds and entry.is_file(follow_symlinks=False):
                    yield thing


def _numbered(path: Path) -> Path:
    candidates = (path.with_name(f"{path.name}.{number}") for number in itertools.count())
    return next(candidate for candidate in candidates if not candidate.exists())


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


@contextmanager
def _told() -> Iterator[None]:
    """Raise our error for the file system's."""
    try:
        yield
    except OSError as error:
        kind = HostFull if error.errno in _FULL_ERRNO else HostError
        raise kind("The hypervisor's files could not be tidied.", problem=str(error)) from error
