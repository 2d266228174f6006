"""Tells watchers of domains that begin, stop or vanish, as libvirt's events say.

Effect  one thread, from the first watcher on until `close`.
Why     the callback runs in the thread that turns libvirt's event loop: a libvirt call there would
        wait for an answer that only the same thread can read. So it only notes the domain, and
        another thread looks at it. A watcher is told the state at that look, which may be newer
        than the event: it may be told the same twice, never an old state after a new one.
"""

import threading
from queue import SimpleQueue

import libvirt
import structlog

from workers.hypervisor.libvirt.domains import state_of
from workers.hypervisor.libvirt.errors import has_code
from workers.hypervisor.libvirt.marks import is_ours
from workers.hypervisor.names import domain_name
from workers.hypervisor.port import Watcher

log = structlog.get_logger(__name__)

#: Neither a definition nor a guest that is about to stop changes anything by itself.
_TOLD = {
    libvirt.VIR_DOMAIN_EVENT_STARTED,
    libvirt.VIR_DOMAIN_EVENT_SUSPENDED,
    libvirt.VIR_DOMAIN_EVENT_PMSUSPENDED,
    libvirt.VIR_DOMAIN_EVENT_RESUMED,
    libvirt.VIR_DOMAIN_EVENT_STOPPED,
    libvirt.VIR_DOMAIN_EVENT_CRASHED,
    libvirt.VIR_DOMAIN_EVENT_UNDEFINED,
}


class DomainEvents:
    """The events of one host's domains, and who is told."""

    def __init__(self) -> None:
        self._noted: SimpleQueue[libvirt.virDomain | None] = SimpleQueue()
        self._watchers: list[Watcher] = []
        self._guard = threading.Lock()
        self._teller: threading.Thread | None = None

    def note(
        self,
        _connection: libvirt.virConnect,
        domain: libvirt.virDomain,
        event: int,
        _detail: int,
        _nothing: None,
    ) -> None:
        """Take an event from libvirt; returns at once."""
        if event in _TOLD and self._watchers:
            self._noted.put(domain)

    def watch(self, watcher: Watcher) -> None:
        """See the port."""
        with self._guard:
            self._watchers = [*self._watchers, watcher]
            if self._teller is None:
                self._teller = threading.Thread(
                    target=self._tell_all, name="domain-events", daemon=True
                )
                self._teller.start()

    def close(self) -> None:
        """Tell nobody any more."""
        with self._guard:
            self._watchers = []
            self._noted.put(None)

    def _tell_all(self) -> None:
        while (domain := self._noted.get()) is not None:
            try:
                self._tell(domain)
            except libvirt.libvirtError as error:
                # The connection went, most likely: the next survey tells.
                log.warning("event.lost", libvirt=error.get_error_message())

    def _tell(self, domain: libvirt.virDomain) -> None:
        try:
            told, state = is_ours(domain), state_of(domain)
        except libvirt.libvirtError as error:
            if not has_code(error, libvirt.VIR_ERR_NO_DOMAIN):
                raise
            # Its mark went with it; its name is what is left to know it by.
            told, state = domain.name() == domain_name(domain.UUIDString()), None
        for watcher in self._watchers if told else ():
            try:
                watcher(domain.UUIDString(), state)
            except Exception:
                # One watcher's trouble must not make the others blind.
                log.exception("watcher.failed")
