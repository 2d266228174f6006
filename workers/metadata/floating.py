"""Guests' floating IPs, as the host carries them out now: what a guest was built with says nothing
of them. Reads the file that the packet filter is kept in.

Cost    one stat at each question; the file is read again only when it is another.
"""

import threading
from pathlib import Path

from pydantic import ValidationError

from workers.hypervisor.firewall_state import STATE_FILE, FirewallState

#: Port's id -> the addresses that stand for one of its own.
Floating = dict[str, list[str]]


class FloatingAddresses:
    """The floating IPs of one host, safe for threads."""

    def __init__(self, state_dir: Path) -> None:
        self._file = state_dir / STATE_FILE
        self._lock = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._known: Floating = {}

    def by_port(self) -> Floating:
        """Return them all."""
        with self._lock:
            stamp = self._read_stamp()
            if stamp != self._stamp:
                self._known, self._stamp = self._read(), stamp
            return self._known

    def _read_stamp(self) -> tuple[int, int, int] | None:
        try:
            stat = self._file.stat()
        except FileNotFoundError:
            return None
        return stat.st_mtime_ns, stat.st_ino, stat.st_size

    def _read(self) -> Floating:
        """Of a file that another version has written, nothing is known."""
        try:
            state = FirewallState.model_validate_json(self._file.read_bytes())
        except (FileNotFoundError, ValidationError):
            return {}
        found: Floating = {}
        for one in state.floating_here():
            found.setdefault(one.port_id, []).append(one.address)
        return found
