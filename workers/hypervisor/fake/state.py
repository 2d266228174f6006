"""What a fake host has: in memory, and in a file as well if it is to outlive its process.

Effect  with a path, one SQLite file, written through at each change: what was changed before the
        process was killed is there for the next one. One process at a time has a file.
Repeat  a file that is there is read once, at the start.
"""

import sqlite3
from collections import UserDict
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import TypeVar

from tasks.errors import HostGone
from tasks.messages import (
    CachedImage,
    DomainSpec,
    DomainState,
    Job,
    NetworkSpec,
    PortSpec,
    Thing,
    Value,
)
from workers.hypervisor.firewall_state import FirewallState

_T = TypeVar("_T", bound=Value)


class Guest(Value):
    """A domain as the fake keeps it."""

    owner: Job
    spec: DomainSpec
    state: DomainState = "shutoff"
    #: Unix seconds; a guest goes on booting while nobody's process looks.
    started_at: float = 0.0
    console: str = ""
    quarantined: bool = False
    #: Its memory was saved when it was turned off.
    saved: bool = False


class There(Value):
    """Something of which no more is known than that it is there."""


class Base(Value):
    """The image that a disk lies over."""

    sha256: str


class FakeState:
    """Everything on one fake host, by name or id."""

    def __init__(self, path: Path | None = None) -> None:
        """Raises sqlite3.Error and pydantic's ValidationError for a file that is none of ours."""
        self._file = None if path is None else _opened(path)
        #: By digest.
        self.images = self._kept("image", CachedImage)
        #: By the name of a disk: the image that it was made from.
        self.bases = self._kept("base", Base)
        #: By server: our domains, and those that are not ours.
        self.guests = self._kept("guest", Guest)
        self.foreign = self._kept("foreign", There)
        #: By name; what was set aside has the name that it had.
        self.files = self._kept("file", Thing)
        self.set_aside = self._kept("set_aside", Thing)
        #: By server: guests that are asked to say when their first boot is done.
        self.asked = self._kept("asked", There)
        #: By port: those with a DHCP entry, and those with a filter.
        self.entries = self._kept("entry", PortSpec)
        self.filters = self._kept("filter", PortSpec)
        #: By id.
        self.networks = self._kept("network", NetworkSpec)
        #: Under one key, if any port has rules.
        self.firewall = self._kept("firewall", FirewallState)

    def close(self) -> None:
        """Let go of the file; nothing can be changed any more if there is one."""
        if self._file is not None:
            self._file.close()

    def _kept(self, kind: str, value: type[_T]) -> MutableMapping[str, _T]:
        return {} if self._file is None else _Kept(self._file, kind, value.model_validate_json)


class _Kept(UserDict[str, _T]):
    """A dictionary whose changes are also written to the file, under its kind. Not safe for
    threads by itself: the host's lock is held at each change."""

    def __init__(self, file: sqlite3.Connection, kind: str, parse: Callable[[str], _T]) -> None:
        super().__init__()
        self._file = file
        self._kind = kind
        rows = file.execute("SELECT key, value FROM kept WHERE kind = ? ORDER BY rowid", (kind,))
        self.data = {key: parse(value) for key, value in rows}

    def __setitem__(self, key: str, item: _T) -> None:
        self._write(
            "INSERT INTO kept (kind, key, value) VALUES (?, ?, ?)"
            " ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value",
            (self._kind, key, item.model_dump_json()),
        )
        self.data[key] = item

    def __delitem__(self, key: str) -> None:
        if key not in self.data:
            raise KeyError(key)
        self._write("DELETE FROM kept WHERE kind = ? AND key = ?", (self._kind, key))
        del self.data[key]

    def _write(self, statement: str, values: tuple[str, ...]) -> None:
        """Raises HostGone: a host whose file is closed or broken does nothing more."""
        try:
            self._file.execute(statement, values)
        except sqlite3.Error as error:
            raise HostGone("The fake host's file cannot be written.", problem=str(error)) from error


def _opened(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Each statement is a transaction of its own; threads take turns under the host's lock.
    file = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    # It outlives the process, which can be killed, and not a power cut, which a fake has none of.
    file.execute("PRAGMA synchronous = OFF")
    file.execute("PRAGMA journal_mode = WAL")
    file.execute(
        "CREATE TABLE IF NOT EXISTS kept"
        " (kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (kind, key))"
    )
    return file
