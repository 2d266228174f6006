"""Locks by name, among threads and among processes of one host.

Each holder opens the lock's file for itself, so that the kernel tells threads apart as well, and
drops the lock of a process that dies. Taking turns is by polling: a wait must have an end.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.errors import HostBusy

_PAUSE_S = 0.05
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class Locks:
    """Locks of one kind, in one directory. `busy` is what who waits for too long is told."""

    def __init__(self, directory: Path, kind: str, busy: str) -> None:
        self._directory = directory
        self._kind = kind
        self._busy = busy

    @contextmanager
    def shared(self, name: str, limit_s: float) -> Iterator[None]:
        """Exclude those who change it. Raises HostBusy after the limit."""
        with self._held(name, fcntl.LOCK_SH, limit_s):
            yield

    @contextmanager
    def exclusive(self, name: str, limit_s: float) -> Iterator[None]:
        """Exclude everybody. Raises HostBusy after the limit."""
        with self._held(name, fcntl.LOCK_EX, limit_s):
            yield

    @contextmanager
    def tried(self, name: str) -> Iterator[bool]:
        """Exclude everybody if that can be had at once; say whether it could."""
        file = self._take(name, fcntl.LOCK_EX)
        try:
            yield file is not None
        finally:
            if file is not None:
                os.close(file)

    def is_taken(self, name: str) -> bool:
        """Say whether somebody excludes everybody now."""
        if not self._path(name).exists():
            return False
        file = self._take(name, fcntl.LOCK_SH)
        if file is not None:
            os.close(file)
        return file is None

    def remove(self, name: str) -> None:
        """Remove the lock's file; only for who excludes everybody."""
        self._path(name).unlink(missing_ok=True)

    @contextmanager
    def _held(self, name: str, kind: int, limit_s: float) -> Iterator[None]:
        end = time.monotonic() + limit_s
        while (file := self._take(name, kind)) is None:
            if time.monotonic() > end:
                raise HostBusy(self._busy, lock=name)
            time.sleep(_PAUSE_S)
        try:
            yield
        finally:
            os.close(file)

    def _take(self, name: str, kind: int) -> int | None:
        """Return the open file if the lock can be had at once."""
        self._directory.mkdir(parents=True, exist_ok=True)
        path = self._path(name)
        file = os.open(path, _FLAGS, 0o600)
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
            # Removed by its last holder meanwhile, it would exclude nobody.
            if path.lstat().st_ino == os.fstat(file).st_ino:
                return file
        except (BlockingIOError, FileNotFoundError):
            pass
        except BaseException:
            os.close(file)
            raise
        os.close(file)
        return None

    def _path(self, name: str) -> Path:
        return self._directory / f"{self._kind}-{name}.lock"
