"""The host's image cache: each image fetched once, whole and verified before it gets its name.

Effect  `image-<sha256>.<format>` in the cache's directory; an empty lock file for each digest.
Repeat  a file of that name is whole, since only a verified one is ever renamed to it.
"""

import errno
import fcntl
import hashlib
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

import requests
import structlog

from tasks.errors import DownloadFailed, HostBusy, HostFull, ImageCorrupt, ImageUnusable
from tasks.messages import ImageSource
from workers.hypervisor.files import replacing
from workers.hypervisor.names import image_file
from workers.hypervisor.qcow2 import read_header

log = structlog.get_logger(__name__)

_CHUNK_BYTES = 1024 * 1024
_CONNECT_LIMIT_S = 5.0
#: Silence of the server for this long ends a download, however much time it has left.
_READ_LIMIT_S = 30.0
_LOCK_PAUSE_S = 0.05


class ImageCache:
    """Images in `directory`, at most one download of each at a time on this host."""

    def __init__(
        self, directory: Path, locks: Path, limit_s: float, ca_file: Path | None = None
    ) -> None:
        self._directory = directory
        self._locks = locks
        self._limit_s = limit_s
        self._session = requests.Session()
        # A ticket is for the API alone: no proxy and no password file of the host's user.
        self._session.trust_env = False
        self._session.verify = str(ca_file) if ca_file else True
        self._session.headers["Accept-Encoding"] = "identity"

    def path(self, image: ImageSource) -> Path:
        """Return where the image lies, or will."""
        return self._directory / image_file(image.sha256, image.disk_format)

    def ensure(self, image: ImageSource) -> Path:
        """Return the image's path once it is there. Raises DownloadFailed, ImageCorrupt,
        ImageUnusable, HostFull, and HostBusy if another download of it takes too long."""
        path = self.path(image)
        if path.exists():
            return path
        with self._locked(image.sha256):
            if not path.exists():
                self._fetch(image, path)
        return path

    def virtual_bytes(self, image: ImageSource) -> int:
        """Return how large a disk the cached image is to a guest. Raises ImageUnusable."""
        return _virtual_bytes(self.path(image), image.disk_format)

    @contextmanager
    def _locked(self, digest: str) -> Iterator[None]:
        """Exclude other threads and other processes: each opens the lock file for itself, and the
        kernel drops the lock of a process that dies."""
        self._locks.mkdir(parents=True, exist_ok=True)
        end = time.monotonic() + self._limit_s
        with (self._locks / f"image-{digest}.lock").open("w") as lock:
            while not _try_lock(lock):
                if time.monotonic() > end:
                    raise HostBusy("Another download of the image takes too long.", digest=digest)
                time.sleep(_LOCK_PAUSE_S)
            yield

    def _fetch(self, image: ImageSource, path: Path) -> None:
        started = time.monotonic()
        self._directory.mkdir(parents=True, exist_ok=True)
        self._remove_remains(path)
        if shutil.disk_usage(self._directory).free < image.size_bytes:
            raise HostFull("The host has no room for the image.", image=image.image_id)
        try:
            with replacing(path, mode=0o644) as (file, temporary):
                self._download(image, file, started + self._limit_s)
                # Refused before it has a name that a tool would open.
                _virtual_bytes(temporary, image.disk_format)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise HostFull("The host's disk is full.", image=image.image_id) from error
            raise
        log.info(
            "image.cached",
            image=image.image_id,
            size_bytes=image.size_bytes,
            seconds=round(time.monotonic() - started, 3),
        )

    def _remove_remains(self, path: Path) -> None:
        """Remove what a killed download left; the lock makes sure that nobody is writing it."""
        for remains in self._directory.glob(f".{path.name}.*"):
            remains.unlink(missing_ok=True)

    def _download(self, image: ImageSource, file: BinaryIO, end: float) -> None:
        digest, length = hashlib.sha256(), 0
        for chunk in self._chunks(image):
            digest.update(chunk)
            length += len(chunk)
            if length > image.size_bytes:
                break
            file.write(chunk)
            if time.monotonic() > end:
                raise DownloadFailed("The image's download took too long.", image=image.image_id)
        file.flush()
        if length != image.size_bytes or digest.hexdigest() != image.sha256:
            raise ImageCorrupt(
                "The image that arrived is not the one that was promised.",
                image=image.image_id,
                length=length,
                expected=image.size_bytes,
            )

    def _chunks(self, image: ImageSource) -> Iterator[bytes]:
        """Yield the body. A connection that ends before the announced length is a failure."""
        limits = (_CONNECT_LIMIT_S, _READ_LIMIT_S)
        try:
            with self._session.get(image.url, stream=True, timeout=limits) as response:
                response.raise_for_status()
                yield from response.iter_content(_CHUNK_BYTES)
        except requests.RequestException as error:
            # The URL carries a ticket, and the library's text the URL: no log may show either, so
            # the cause is cut off.
            status = error.response.status_code if error.response is not None else None
            raise DownloadFailed(
                "The image could not be fetched from the API.",
                image=image.image_id,
                status=status,
                problem=type(error).__name__,
            ) from None


def _try_lock(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _virtual_bytes(path: Path, disk_format: str) -> int:
    if disk_format != "qcow2":
        return path.stat().st_size
    header = read_header(path)
    if header is None:
        raise ImageUnusable("The image is not in the format qcow2.")
    if header.backing is not None or header.has_data_file:
        raise ImageUnusable("The image refers to another file; an image must stand alone.")
    return header.virtual_bytes
