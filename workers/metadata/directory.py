"""Which guest has which address on which bridge, kept as the files are. Reads files only.

Cost    one listing of the directory at each question; a file is read again only when it is another.
"""

import os
import threading
import time
from dataclasses import dataclass

from workers.hypervisor import names
from workers.hypervisor.guest_data import GuestData, GuestStore
from workers.metadata.asker import Asker

_SETTLED_NS = 1_000_000_000


@dataclass(frozen=True)
class Place:
    """A port of a guest that may ask."""

    server_id: str
    mac: str


@dataclass(frozen=True)
class _Known:
    stamp: tuple[int, int, int]
    places: dict[Asker, Place]


class Directory:
    """The guests of one host, safe for threads."""

    def __init__(self, store: GuestStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}
        self._by_asker: dict[Asker, list[Place]] = {}
        self._seen_at: tuple[int, int] | None = None

    def place_of(self, asker: Asker) -> Place | None:
        """Return whose the address is there. None if it is nobody's, or that of two at once, which
        happens while an address passes from one server to the next: then nobody is told."""
        with self._lock:
            self._refresh()
            found = self._by_asker.get(asker, [])
        return found[0] if len(found) == 1 else None

    def _refresh(self) -> None:
        """Files come and go by renames, so the directory's own time tells whether any did."""
        stamp = self._stamp()
        if stamp is not None and stamp == self._seen_at:
            return
        # File times are coarse: a change just now may be followed by one of the same time.
        is_settled = stamp is not None and time.time_ns() - stamp[0] > _SETTLED_NS
        self._seen_at = stamp if is_settled else None
        there = self._store.server_ids()
        known = {
            server_id: self._known_of(server_id, _stamp_of(stat))
            for server_id, stat in there.items()
        }
        self._known = {server_id: each for server_id, each in known.items() if each is not None}
        self._by_asker = {}
        for each in self._known.values():
            for asker, place in each.places.items():
                self._by_asker.setdefault(asker, []).append(place)

    def _stamp(self) -> tuple[int, int] | None:
        try:
            stat = self._store.directory.stat()
        except FileNotFoundError:
            return None
        return stat.st_mtime_ns, stat.st_ino

    def _known_of(self, server_id: str, stamp: tuple[int, int, int]) -> _Known | None:
        known = self._known.get(server_id)
        if known is not None and known.stamp == stamp:
            return known
        data = self._store.read(server_id)
        return None if data is None else _Known(stamp, places_of(data))


def places_of(data: GuestData) -> dict[Asker, Place]:
    """Return from where the guest may ask. On networks where the host has no address of its own
    (`provider`) nobody is told anything: who has which address there, the host cannot know."""
    networks = {network.network_id: network for network in data.networks}
    return {
        Asker(names.bridge_name(port.network_id), fixed.address): Place(data.server_id, port.mac)
        for port in data.ports
        for fixed in port.addresses
        if port.network_id in networks and networks[port.network_id].kind != "provider"
    }


def _stamp_of(stat: os.stat_result) -> tuple[int, int, int]:
    return stat.st_mtime_ns, stat.st_ino, stat.st_size
