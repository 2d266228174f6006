"""Turns at the kernel's packet filter: libvirt's, for its guests' filters, and ours.

ebtables, with which libvirt sets a guest's filters up rule by rule, gives a change up if any other
transaction of nftables is carried out between its look and its commit: after its second look it
deletes the same rule twice (iptables 1.8.9: "RULE_DELETE failed"). The guest does not start then,
or a change of its filters fails. So ours wait for guests that are starting or ending.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import structlog

from tasks.errors import HostBusy
from workers.hypervisor.locks import Locks

log = structlog.get_logger(__name__)

#: After that long a turn is taken, not waited for: what is to be closed must not stay open because
#: a guest hangs while it starts.
_PATIENCE_S = 10.0
_QUEUE, _FILTER = "queue", "filter"

_Lock = Callable[[str, float], AbstractContextManager[None]]


class Turns:
    """The turns of one host, among threads and processes."""

    def __init__(self, directory: Path) -> None:
        self._locks = Locks(directory, "turns", "The host's packet filter is busy for too long.")

    @contextmanager
    def libvirts(self) -> Iterator[None]:
        """Let libvirt start or end a guest in the block; others may at the same time."""
        with ExitStack() as held:
            # Who waits for a turn of ours goes first: guests may start one after the other.
            with ExitStack() as queue:
                _take(queue, self._locks.exclusive, _QUEUE)
                _take(held, self._locks.shared, _FILTER)
            yield

    @contextmanager
    def ours(self) -> Iterator[None]:
        """Carry a transaction out in the block, or look at what no guest is changing."""
        with ExitStack() as held:
            _take(held, self._locks.exclusive, _QUEUE)
            _take(held, self._locks.exclusive, _FILTER)
            yield


def _take(held: ExitStack, lock: _Lock, name: str) -> None:
    try:
        held.enter_context(lock(name, _PATIENCE_S))
    except HostBusy:
        log.warning("firewall.turn_not_waited_for", lock=name)
