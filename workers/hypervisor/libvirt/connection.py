"""The one connection of this process to libvirtd, kept alive and opened again when it is lost.

Effect  a thread that turns libvirt's event loop, for as long as the process lives; a connection.
Why     without a turning loop nobody answers libvirtd's keepalive, and the link is cut; without a
        keeper a lost link is used for ever ("client socket is closed").

Not for processes that fork after the first use: a handle of the parent is refused in the child.
"""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import libvirt
import structlog

from tasks.errors import ByreError, HostGone

log = structlog.get_logger(__name__)

#: A libvirtd that says nothing for about 15 s is given up.
_KEEPALIVE_INTERVAL_S = 5
_KEEPALIVE_COUNT = 3
_REOPEN_PAUSE_S = 0.1

#: Connection, domain, event, detail. Called in the event loop's thread, where libvirt must not be
#: called.
Lifecycle = Callable[[libvirt.virConnect, libvirt.virDomain, int, int, None], None]


class _EventLoop:
    """libvirt's event loop, which must run before the first connection is opened."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._pid: int | None = None

    def ensure(self) -> None:
        """Start the loop's thread, once in a process. Raises ByreError after a fork."""
        with self._guard:
            if self._pid is None:
                # What fails is raised, logged and reported; stderr needs no second copy.
                libvirt.registerErrorHandler(_say_nothing, None)
                libvirt.virEventRegisterDefaultImpl()
                threading.Thread(target=self._turn, name="libvirt-events", daemon=True).start()
                self._pid = os.getpid()
            elif self._pid != os.getpid():
                raise ByreError("libvirt was used before this process was forked.")

    def _turn(self) -> None:
        while True:
            try:
                libvirt.virEventRunDefaultImpl()
            except libvirt.libvirtError:
                log.exception("events.failed")
                time.sleep(_REOPEN_PAUSE_S)


_EVENTS = _EventLoop()


class Keeper:
    """Gives a connection that lives, to any number of threads. Domains' lifecycle events of each
    connection go to `on_event`."""

    def __init__(
        self, uri: str, patience_s: float = 5.0, on_event: Lifecycle | None = None
    ) -> None:
        self._uri = uri
        self._patience_s = patience_s
        self._on_event = on_event
        self._event_id: int | None = None
        self._handle: libvirt.virConnect | None = None
        self._lost = threading.Event()
        self._changed = threading.Condition()
        self._opener: threading.Thread | None = None
        self._closed = False

    def connection(self) -> libvirt.virConnect:
        """Return a live connection, opened again if it was lost. Raises HostGone if there is none
        within the keeper's patience."""
        _EVENTS.ensure()
        end = time.monotonic() + self._patience_s
        with self._changed:
            while (handle := self._live()) is None:
                if self._closed:
                    raise HostGone("The connection to the hypervisor was closed.")
                self._start_opener(end)
                if not self._changed.wait(end - time.monotonic()):
                    raise HostGone("The hypervisor's daemon does not answer.", uri=self._uri)
            return handle

    def close(self) -> None:
        """Close the connection; there will be no other."""
        with self._changed:
            self._closed = True
            self._drop()
            self._changed.notify_all()

    def _live(self) -> libvirt.virConnect | None:
        if self._handle is not None and (self._lost.is_set() or not self._handle.isAlive()):
            log.warning("connection.lost", uri=self._uri)
            self._drop()
        return self._handle

    def _drop(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            self._end_events(handle)
            try:
                handle.unregisterCloseCallback()
                handle.close()
            except libvirt.libvirtError as error:
                # It is dead, which is why it is dropped.
                log.debug("connection.close_failed", libvirt=error.get_error_message())

    def _end_events(self, handle: libvirt.virConnect) -> None:
        """A registration would hold the connection open. It ends on our side before libvirtd is
        told of it, so that a dead one's complaint means nothing."""
        event_id, self._event_id = self._event_id, None
        if event_id is not None:
            with suppress(libvirt.libvirtError):
                handle.domainEventDeregisterAny(event_id)

    def _start_opener(self, end: float) -> None:
        """Open in a thread of its own: a libvirtd that accepts and says nothing must not hold the
        caller, and never more than one such thread may hang."""
        if self._opener is None:
            self._opener = threading.Thread(
                target=self._open_until, args=(end,), name="libvirt-opener", daemon=True
            )
            self._opener.start()

    def _open_until(self, end: float) -> None:
        handle, event_id = None, None
        while handle is None and time.monotonic() < end and not self._closed:
            try:
                handle, event_id = self._open()
            except libvirt.libvirtError as error:
                log.debug("connection.refused", libvirt=error.get_error_message())
                time.sleep(_REOPEN_PAUSE_S)
        with self._changed:
            self._opener = None
            if handle is not None:
                self._adopt(handle, event_id)
            self._changed.notify_all()

    def _open(self) -> tuple[libvirt.virConnect, int | None]:
        handle = libvirt.open(self._uri)
        handle.setKeepAlive(_KEEPALIVE_INTERVAL_S, _KEEPALIVE_COUNT)
        if self._on_event is None:
            return handle, None
        kind = libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE
        return handle, handle.domainEventRegisterAny(None, kind, self._on_event, None)

    def _adopt(self, handle: libvirt.virConnect, event_id: int | None) -> None:
        self._event_id = event_id
        if self._closed:
            self._end_events(handle)
            handle.close()
            return
        self._lost = threading.Event()
        handle.registerCloseCallback(_note_lost, self._lost)
        self._handle = handle
        log.info("connection.opened", uri=self._uri)


def _note_lost(_handle: libvirt.virConnect, _reason: int, lost: threading.Event) -> None:
    lost.set()


def _say_nothing(_context: object, _error: list[Any]) -> None:
    """Take the place of libvirt's printing to stderr."""
