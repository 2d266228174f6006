"""Fetches an image's bytes into a partial file, and goes on where a connection broke.

Effect  `.image-<sha256>.<format>.part`, which a later download goes on with, by a range of bytes.
Repeat  what is there of it is read again into the digest, so that the whole is what is verified.
Undo    a partial file that cannot become the image is removed; so is one that filled the disk.
"""

import errno
import hashlib
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import requests
import structlog
import urllib3
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_random_exponential

from tasks.errors import DownloadFailed, HostError, HostFull, ImageCorrupt
from tasks.messages import ImageSource
from workers.hypervisor.image_cache.records import Record
from workers.hypervisor.image_cache.sparse import write_sparsely

log = structlog.get_logger(__name__)

_CHUNK_BYTES = 1024 * 1024
_CONNECT_LIMIT_S = 5.0
#: Silence of the server for this long breaks a connection off.
_READ_LIMIT_S = 30.0
#: Tries in a row that bring nothing.
_VAIN_TRIES = 4
_LONGEST_PAUSE_S = 5.0
_NO_SUCH_RANGE = 416
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class _Broken(DownloadFailed):
    """The connection broke, or the server is in trouble: worth another try at once."""


class _Partial:
    """A partial file, how long it is, and the digest of what is in it."""

    def __init__(self, file: int) -> None:
        self.file = file
        self.length = 0
        self.digest = hashlib.sha256()

    def read_back(self, at_most: int) -> None:
        """Take in what is there; more than the image has is none of it."""
        if os.fstat(self.file).st_size > at_most:
            self.begin_anew()
        while data := os.pread(self.file, _CHUNK_BYTES, self.length):
            self.digest.update(data)
            self.length += len(data)

    def begin_anew(self) -> None:
        """Empty it."""
        os.ftruncate(self.file, 0)
        self.length, self.digest = 0, hashlib.sha256()

    def add(self, data: bytes) -> None:
        """Append the data."""
        write_sparsely(self.file, data, self.length)
        self.digest.update(data)
        self.length += len(data)


class Editions(Protocol):
    """Remembers of which edition of an image a partial file is."""

    def get(self, digest: str) -> Record | None:
        """Return what is remembered of the image."""
        ...

    def note(self, image: ImageSource, *, etag: str = "") -> None:
        """Remember it."""
        ...


class NoEditions:
    """Remembers nothing: a partial file of another edition is found out by its digest."""

    def get(self, digest: str) -> None:
        """Return nothing."""

    def note(self, image: ImageSource, *, etag: str = "") -> None:
        """Forget it."""


class Downloader:
    """Fetches with one session; safe for threads, since it keeps no cookies that matter."""

    def __init__(self, records: Editions, ca_file: Path | None, pause_s: float) -> None:
        self._records = records
        self._pause_s = pause_s
        self._session = requests.Session()
        # A ticket is for the API alone: no proxy and no password file of the host's user.
        self._session.trust_env = False
        self._session.verify = str(ca_file) if ca_file else True
        self._session.headers["Accept-Encoding"] = "identity"

    def fetch(self, image: ImageSource, path: Path, end: float) -> None:
        """Have the image's bytes in the file, whole and flushed, before `end` (monotonic).
        Raises DownloadFailed, ImageCorrupt, HostFull."""
        with _opened(path) as file, _tidied(file, path, image):
            partial = _Partial(file)
            partial.read_back(at_most=image.size_bytes)
            resumed = partial.length
            if resumed:
                log.info("image.resumed", image=image.image_id, offset=resumed)
            self._complete(image, partial, end)
            if resumed and partial.digest.hexdigest() != image.sha256:
                # What was there was bad, or of another edition: not the server's fault yet.
                log.warning("image.begun_anew", image=image.image_id)
                partial.begin_anew()
                self._complete(image, partial, end)
            if partial.digest.hexdigest() != image.sha256:
                raise _corrupt(image, partial.length)
            os.fsync(file)

    def _complete(self, image: ImageSource, partial: _Partial, end: float) -> None:
        """Try until all bytes are there, `_VAIN_TRIES` bring nothing in a row, or time is over."""
        vain, reached = 0, partial.length

        def is_over(_: RetryCallState) -> bool:
            nonlocal vain, reached
            vain = 0 if partial.length > reached else vain + 1
            reached = partial.length
            return vain >= _VAIN_TRIES or time.monotonic() > end

        tries = Retrying(
            retry=retry_if_exception_type(_Broken),
            wait=wait_random_exponential(multiplier=self._pause_s, max=_LONGEST_PAUSE_S),
            stop=is_over,
            reraise=True,
        )
        tries(self._try, image, partial, end)

    def _try(self, image: ImageSource, partial: _Partial, end: float) -> None:
        if partial.length == image.size_bytes:
            return
        with self._asked(image, partial.length) as response:
            goes_on = partial.length > 0 and _goes_on(response, partial.length, image.size_bytes)
            if not goes_on:
                partial.begin_anew()
                if response.status_code != requests.codes.ok:
                    raise _failed(image, None, f"status {response.status_code}")
            _refuse_other_length(response, image)
            self._records.note(image, etag=response.headers.get("ETag", ""))
            # What has come is taken at once: a server that trickles must not outlast the limit.
            while data := response.raw.read1(_CHUNK_BYTES, decode_content=False):
                if partial.length + len(data) > image.size_bytes:
                    raise _corrupt(image, partial.length + len(data))
                partial.add(data)
                if time.monotonic() > end:
                    raise DownloadFailed(
                        "The image's download took too long.", image=image.image_id
                    )
        if partial.length < image.size_bytes:
            _refuse_short_end(response, image, partial.length)

    @contextmanager
    def _asked(self, image: ImageSource, offset: int) -> Iterator[requests.Response]:
        """Ask for the bytes from the offset on. A connection that ends before the announced length
        is broken."""
        limits = (_CONNECT_LIMIT_S, _READ_LIMIT_S)
        headers = self._range(image, offset)
        try:
            with self._session.get(
                image.url, stream=True, timeout=limits, headers=headers
            ) as response:
                if not offset or response.status_code != _NO_SUCH_RANGE:
                    response.raise_for_status()
                yield response
        except requests.HTTPError as error:
            raise _failed(image, error.response.status_code, type(error).__name__) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            # The URL carries a ticket, and the library's text the URL: no log may show either, so
            # the cause is cut off.
            raise _failed(image, None, type(error).__name__) from None

    def _range(self, image: ImageSource, offset: int) -> dict[str, str]:
        """Return the headers that ask for a part; of another edition the server sends all."""
        if not offset:
            return {}
        headers = {"Range": f"bytes={offset}-"}
        record = self._records.get(image.sha256)
        # A weak one says nothing of bytes (RFC 9110, 13.1.5).
        if record is not None and record.etag and not record.etag.startswith("W/"):
            headers["If-Range"] = record.etag
        return headers


def _goes_on(response: requests.Response, offset: int, size: int) -> bool:
    """Say whether the answer begins where the partial file ends. One that sends all, or says that
    there is no such part, does not; nor does one with some other part."""
    said = response.headers.get("Content-Range", "")
    is_part = response.status_code == requests.codes.partial_content
    return is_part and said == f"bytes {offset}-{size - 1}/{size}"


def _refuse_other_length(response: requests.Response, image: ImageSource) -> None:
    """Raise ImageCorrupt before reading what is announced to be of another length."""
    if response.status_code == requests.codes.ok:
        announced = response.headers.get("Content-Length", "")
        if announced.isdigit() and int(announced) > image.size_bytes:
            raise _corrupt(image, int(announced))


def _refuse_short_end(response: requests.Response, image: ImageSource, length: int) -> None:
    """The body ended as announced, or by a closed connection, and is too short: the latter may
    have broken."""
    if response.headers.get("Content-Length"):
        raise _corrupt(image, length)
    raise _failed(image, None, "EarlyEnd")


def _failed(image: ImageSource, status: int | None, problem: str) -> DownloadFailed:
    is_passing = status is None or status == requests.codes.too_many_requests or status >= 500
    kind = _Broken if is_passing else DownloadFailed
    return kind(
        "The image could not be fetched from the API.",
        image=image.image_id,
        status=status,
        problem=problem,
    )


def _corrupt(image: ImageSource, length: int) -> ImageCorrupt:
    return ImageCorrupt(
        "The image that arrived is not the one that was promised.",
        image=image.image_id,
        length=length,
        expected=image.size_bytes,
    )


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """Open the partial file. Whatever else has its name, a link above all, is put away."""
    file = _open(path)
    if file is None:
        path.unlink(missing_ok=True)
        file = _open(path)
    if file is None:
        raise HostError("The image cache's directory is being tampered with.", path=str(path))
    try:
        yield file
    finally:
        os.close(file)


def _open(path: Path) -> int | None:
    try:
        file = os.open(path, _FLAGS, 0o600)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO}:
            return None
        raise
    facts = os.fstat(file)
    if stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1:
        return file
    os.close(file)
    return None


@contextmanager
def _tidied(file: int, path: Path, image: ImageSource) -> Iterator[None]:
    """Keep what a failure left only if it can be gone on with."""
    try:
        yield
    except ImageCorrupt:
        path.unlink(missing_ok=True)
        raise
    except OSError as error:
        if error.errno in _FULL:
            path.unlink(missing_ok=True)
            raise HostFull("The host's disk is full.", image=image.image_id) from error
        raise
    except DownloadFailed:
        if not os.fstat(file).st_size:
            path.unlink(missing_ok=True)
        raise
