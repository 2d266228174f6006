"""Images in one directory of a host: each is fetched once, however many builds ask for it at once,
and gets its name only when it is whole, verified, looked into, and flushed.

Effect  `image-<sha256>.<format>` in the directory; a lock and a record of each digest beside it.
Repeat  a file of that name is whole, since only a verified one is ever renamed to it.
Undo    `prune`, which leaves what is in use. A partial file is kept, to go on with.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from tasks.errors import ByreError, HostError, HostFull
from tasks.messages import CachedImage, ImageSource, StoredFormat
from workers.hypervisor.files import sync_directory
from workers.hypervisor.image_cache import shelf
from workers.hypervisor.image_cache.conversion import bytes_needed, convert
from workers.hypervisor.image_cache.download import Downloader
from workers.hypervisor.image_cache.inspection import check_image, virtual_bytes
from workers.hypervisor.image_cache.pruning import OtherDisks, Pruning
from workers.hypervisor.image_cache.records import Record, Records
from workers.hypervisor.image_cache.rules import CacheRules
from workers.hypervisor.image_cache.shelf import Entry
from workers.hypervisor.image_cache.users import Unreadable
from workers.hypervisor.locks import Locks
from workers.hypervisor.names import image_file

log = structlog.get_logger(__name__)

#: Anybody who may pass through the directory may read: QEMU runs as a user of its own.
_MODE = 0o644
_INTERRUPTED = "The download was interrupted."


class ImageCache:
    """The images in `directory`; locks and records lie in `state`."""

    def __init__(
        self,
        directory: Path,
        state: Path,
        limit_s: float,
        ca_file: Path | None = None,
        *,
        rules: CacheRules | None = None,
        other_disks: OtherDisks = tuple,
    ) -> None:
        self._directory = directory
        self._limit_s = limit_s
        self._rules = rules or CacheRules()
        self._locks = Locks(state, "image", "Other work on the cached image takes too long.")
        self._records = Records(state)
        self._downloader = Downloader(self._records, ca_file, self._rules.retry_pause_s)
        self._pruning = Pruning(directory, self._locks, self._records, self._rules, other_disks)

    def path(self, image: ImageSource) -> Path:
        """Return where the image lies, or will."""
        stored_as = self.disk_format(image)
        return self._directory / image_file(image.sha256, image.disk_format, stored_as)

    def disk_format(self, image: ImageSource) -> StoredFormat:
        """Return the format in which it lies there: a tool must be told, and never guess."""
        if image.disk_format == "iso" or self._rules.stored_as == "as_is":
            return image.disk_format
        return self._rules.stored_as

    def ensure(self, image: ImageSource) -> Path:
        """Return the image's path once it is there. Raises DownloadFailed, ImageCorrupt,
        ImageUnusable, HostFull, HostError, and HostBusy if another's download takes too long."""
        path = self.path(image)
        if shelf.is_plain(path):
            with self._locks.shared(image.sha256, self._limit_s):
                if shelf.touch(path):
                    return path
        with self._locks.exclusive(image.sha256, self._limit_s):
            if not shelf.touch(path):
                self._fetch(image, path)
        return path

    @contextmanager
    def used(self, image: ImageSource) -> Iterator[Path]:
        """Give the cached image's path, which stays while the block lasts, for a disk to be made
        over it. Raises HostError if it is not there."""
        path = self.path(image)
        with self._locks.shared(image.sha256, self._limit_s):
            if not shelf.touch(path):
                raise HostError("The image is not in the host's cache.", image=image.image_id)
            yield path

    def holds(self, path: str, image: ImageSource) -> bool:
        """Say whether the path is one of this image's here, in whatever format it was stored."""
        named = Path(path)
        name = image_file(image.sha256, image.disk_format)
        is_named = named.name == name or named.name.startswith(f"{name}.")
        return named.parent == self._directory and is_named

    def virtual_bytes(self, image: ImageSource) -> int:
        """Return how large a disk the cached image is to a guest. Raises ImageUnusable."""
        return virtual_bytes(self.path(image), self.disk_format(image))

    def allocated_bytes(self) -> int:
        """Return what the cache takes up, unfinished files too."""
        return shelf.allocated_bytes(self._directory)

    def prune(self) -> list[str]:
        """Remove what is too old, or in the way, and not in use; return the digests."""
        return self._pruning.prune()

    def listed(self) -> list[CachedImage]:
        """Return what is there, is on its way, or failed; by name."""
        try:
            used = self._pruning.in_use()
        except (Unreadable, ByreError, OSError) as error:
            log.warning("cache.use_unknown", reason=str(error))
            used = None
        found = shelf.entries(self._directory)
        whole = [self._whole(entry, used) for entry in found if entry.whole]
        there = {entry.digest for entry in found if entry.whole}
        on_their_way = {entry.digest: entry for entry in found if not entry.whole}
        others = sorted((set(self._records.digests()) | on_their_way.keys()) - there)
        unfinished = [self._unfinished(digest, on_their_way.get(digest)) for digest in others]
        return sorted(whole + unfinished, key=lambda one: (one.sha256, one.disk_format))

    # --- inside ----------------------------------------------------------------------------------

    def _fetch(self, image: ImageSource, path: Path) -> None:
        started = time.monotonic()
        self._directory.mkdir(parents=True, exist_ok=True)
        self._clear(path)
        before = self._records.get(image.sha256)
        self._records.note(image, etag=before.etag if before else "")
        try:
            self._bring(image, path, started + self._limit_s)
        except ByreError as error:
            self._records.fail(image, error)
            raise
        log.info(
            "image.cached",
            image=image.image_id,
            size_bytes=image.size_bytes,
            stored_as=self.disk_format(image),
            seconds=round(time.monotonic() - started, 3),
        )

    def _bring(self, image: ImageSource, path: Path, end: float) -> None:
        partial = shelf.partial_path(self._directory / image_file(image.sha256, image.disk_format))
        there = partial.lstat().st_size if shelf.is_plain(partial) else 0
        self._make_room(image, max(0, image.size_bytes - there))
        self._downloader.fetch(image, partial, end)
        try:
            # Refused before it has a name that a tool would open.
            check_image(partial, image.disk_format)
            finished = self._converted(image, path, partial, end)
        except ByreError:
            partial.unlink(missing_ok=True)
            raise
        finished.chmod(_MODE)
        finished.replace(path)
        sync_directory(self._directory)
        if finished != partial:
            partial.unlink(missing_ok=True)

    def _converted(self, image: ImageSource, path: Path, partial: Path, end: float) -> Path:
        """Return the file that is to be the image: the partial one, or another made from it."""
        target_format = self.disk_format(image)
        if target_format == image.disk_format:
            return partial
        left_s = max(1.0, end - time.monotonic())
        needed = bytes_needed(partial, image.disk_format, target_format, left_s)
        self._make_room(image, needed)
        target = path.with_name(f".{path.name}.converting")
        target.unlink(missing_ok=True)
        try:
            convert(
                partial,
                image.disk_format,
                target,
                target_format,
                longest_bytes=virtual_bytes(partial, image.disk_format),
                limit_s=max(1.0, end - time.monotonic()),
            )
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        return target

    def _make_room(self, image: ImageSource, needed: int) -> None:
        """Let unused images go if there would be too little room. Raises HostFull."""
        if shutil.disk_usage(self._directory).free - needed < self._rules.floor_bytes:
            self._pruning.prune(needed)
        if shutil.disk_usage(self._directory).free < needed:
            raise HostFull("The host has no room for the image.", image=image.image_id)

    def _clear(self, path: Path) -> None:
        """Put away what has the image's name and is not an image: a link would be followed. And
        what a killed conversion left; the lock makes sure that nobody is writing it."""
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            log.warning("cache.tampered", path=str(path))
            path.unlink()
        if path.is_dir():
            raise HostError("The image cache's directory is being tampered with.", path=str(path))
        for remains in self._directory.glob(f".{path.name}.*"):
            if remains != shelf.partial_path(path):
                remains.unlink(missing_ok=True)

    def _whole(self, entry: Entry, used: set[str] | None) -> CachedImage:
        record = self._records.get(entry.digest)
        return CachedImage(
            image_id=record.image_id if record else "",
            sha256=entry.digest,
            disk_format=entry.disk_format,
            state="ready",
            size_bytes=entry.size_bytes,
            allocated_bytes=entry.allocated_bytes,
            used_at=entry.touched_at,
            # Not known is as good as used: it stays.
            in_use=used is None or entry.digest in used,
        )

    def _unfinished(self, digest: str, entry: Entry | None) -> CachedImage:
        record = self._records.get(digest) or Record(image_id="", disk_format="raw", size_bytes=0)
        at_work = self._locks.is_taken(digest)
        return CachedImage(
            image_id=record.image_id,
            sha256=digest,
            disk_format=record.disk_format,
            state="downloading" if at_work else "failed",
            reason="" if at_work else record.failure or _INTERRUPTED,
            size_bytes=entry.size_bytes if entry else 0,
            allocated_bytes=entry.allocated_bytes if entry else 0,
            used_at=entry.touched_at if entry else self._records.touched_at(digest),
            in_use=at_work,
        )
