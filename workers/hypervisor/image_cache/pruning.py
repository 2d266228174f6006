"""Takes unused images out of the cache: the old ones, and under pressure those used longest ago.

Never one that a disk on the host lies over, or that a server has as a disc, or that was used so
lately that a build may be about to use it; never while somebody holds its lock.

Effect  files of images are unlinked; partial downloads that nobody goes on with are too.
Repeat  each turn looks anew. A death in between leaves whole images or none.
"""

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

from tasks.errors import ByreError
from workers.hypervisor.image_cache import shelf
from workers.hypervisor.image_cache.records import Records
from workers.hypervisor.image_cache.rules import CacheRules
from workers.hypervisor.image_cache.shelf import Entry
from workers.hypervisor.image_cache.users import Unreadable, digests_in_use
from workers.hypervisor.locks import Locks

log = structlog.get_logger(__name__)

_LOCK = "pruning"
#: How long a build in want of room waits for another's pruning.
_TURN_LIMIT_S = 30.0

#: Further disks on the host, outside the cache's directory, that may lie over images.
OtherDisks = Callable[[], Iterable[Path]]


class Pruning:
    """The pruning of one directory's images."""

    def __init__(
        self, directory: Path, locks: Locks, records: Records, rules: CacheRules, others: OtherDisks
    ) -> None:
        self._directory = directory
        self._locks = locks
        self._records = records
        self._rules = rules
        self._others = others

    def in_use(self) -> set[str]:
        """Return digests of the images in use. Raises Unreadable, ByreError, OSError."""
        linked = {entry.digest for entry in shelf.entries(self._directory) if entry.links > 1}
        return linked | digests_in_use(self._directory, self._others())

    def prune(self, wanted_bytes: int = 0) -> list[str]:
        """Remove what may go, also for the sake of room that is wanted now; return the digests."""
        with self._locks.exclusive(_LOCK, _TURN_LIMIT_S):
            self._remove_remains()
            whole = [entry for entry in shelf.entries(self._directory) if entry.whole]
            if not whole:
                return []
            used = self._look()
            if used is None:
                return []
            for entry in whole:
                if entry.digest in used:
                    # Its age counts from when the last disk over it was seen.
                    shelf.touch(entry.path)
            free = shutil.disk_usage(self._directory).free - wanted_bytes
            going = to_go(whole, used, self._rules, free, shelf.now())
            return [entry.digest for entry in going if self._remove(entry)]

    def _look(self) -> set[str] | None:
        """Return what is in use, or None if that cannot be said: then nothing may go."""
        try:
            return self.in_use()
        except (Unreadable, ByreError, OSError) as error:
            log.warning("cache.not_pruned", reason=str(error))
            return None

    def _remove(self, entry: Entry) -> bool:
        """Remove one, unless it is being used or has been since it was looked at."""
        with self._locks.tried(entry.digest) as had:
            found = [one for one in shelf.entries(self._directory) if one.path == entry.path]
            if not had or found != [entry]:
                return False
            entry.path.unlink(missing_ok=True)
            self._forget(entry.digest)
        log.info("image.pruned", digest=entry.digest, size_bytes=entry.allocated_bytes)
        return True

    def _remove_remains(self) -> None:
        """Remove what dead processes left, and what nobody went on with for long."""
        moment = shelf.now()
        for entry in shelf.entries(self._directory):
            if entry.whole or shelf.unused_for(entry, moment) < self._rules.partial_max_age_s:
                continue
            with self._locks.tried(entry.digest) as had:
                if had:
                    entry.path.unlink(missing_ok=True)
                    log.info("partial.pruned", digest=entry.digest, size_bytes=entry.size_bytes)
        self._forget_failures(moment)

    def _forget_failures(self, moment: float) -> None:
        """Records of what was never there are kept as long as a partial file would be."""
        there = {entry.digest for entry in shelf.entries(self._directory)}
        for digest in self._records.digests():
            old = moment - self._records.touched_at(digest) >= self._rules.partial_max_age_s
            if digest not in there and old:
                with self._locks.tried(digest) as had:
                    if had:
                        self._forget(digest)

    def _forget(self, digest: str) -> None:
        """Forget the digest, unless another file of it is there. Its lock is held."""
        if digest not in {entry.digest for entry in shelf.entries(self._directory)}:
            self._records.remove(digest)
            self._locks.remove(digest)


def to_go(
    whole: Iterable[Entry], used: set[str], rules: CacheRules, free_bytes: int, moment: float
) -> list[Entry]:
    """Return which images are to go, the one used longest ago first. Pure."""
    total = sum(entry.allocated_bytes for entry in whole)
    going = []
    for entry in sorted(whole, key=lambda one: (one.touched_at, one.path.name)):
        unused_s = shelf.unused_for(entry, moment)
        if entry.digest in used or unused_s < rules.hold_s:
            continue
        crowded = free_bytes < rules.floor_bytes or 0 < rules.max_bytes < total
        if crowded or unused_s >= rules.max_age_s:
            going.append(entry)
            total -= entry.allocated_bytes
            free_bytes += entry.allocated_bytes
    return going
