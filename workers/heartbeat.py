"""A hypervisor's signs of life: its inventory, sent to the `control` queue every few seconds."""

import threading
import time

import structlog
from kombu.exceptions import OperationalError

from config.queues import compute_worker
from tasks.errors import ByreError
from tasks.messages import Heartbeat
from workers.hosted import Hosted

#: How long the journal remembers a server untouched: far longer than any run may take.
JOURNAL_MEMORY_S = 7 * 86_400.0
PRUNE_EVERY_S = 3600.0

#: Longer than clocks may differ.
_STALE_AFTER_S = 60.0

log = structlog.get_logger(__name__)


class Heart(threading.Thread):
    """Beats until it is stopped. A host whose hypervisor does not answer does not beat: silence
    is what keeps new servers away from it."""

    def __init__(self, worker: Hosted) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._celery, self._host, self._settings = worker.celery, worker.host, worker.settings
        self._ledger, self._process = worker.ledger, worker.process
        self._fabric = worker.fabric
        self._journal, self._pruned_at = worker.journal, 0.0
        self._stopped = threading.Event()

    def run(self) -> None:
        """Beat at once, then at the interval."""
        while True:
            self._turn()
            if self._stopped.wait(self._settings.heartbeat_interval_s):
                return

    def _turn(self) -> None:
        """Whatever goes wrong in one turn, the heart beats on: a silent host is a lost one."""
        try:
            self._beat()
            self._prune()
        except Exception:
            log.exception("heartbeat.failed")

    def stop(self) -> None:
        """Beat no more."""
        self._stopped.set()

    def _prune(self) -> None:
        """Now and then, let the journal forget what no message can outlive."""
        now = time.time()
        if now - self._pruned_at > PRUNE_EVERY_S:
            self._journal.prune(JOURNAL_MEMORY_S, now)
            self._pruned_at = now

    def _beat(self) -> None:
        """A host whose packet filter is gone and cannot be put back does not beat either: nothing
        new is to run there."""
        try:
            if not self._host.firewall_intact():
                self._host.restore_firewall()
            heartbeat = Heartbeat(
                host=self._settings.host,
                host_ip=self._settings.host_ip,
                worker=compute_worker(self._settings.host),
                process=self._process,
                sent_at=time.time(),
                inventory=self._host.inventory(),
                at_work=self._ledger.at_work(),
                fabric=self._fabric.revision(),
                refused_floating_ips=self._host.refused_floating_ips(),
                slots=self._settings.compute_threads,
                busy=self._ledger.busy(),
            )
            # A beat that nobody took in time says nothing of the present.
            self._celery.send_task(
                "heartbeat",
                args=[heartbeat.model_dump()],
                retry=False,
                expires=_STALE_AFTER_S,
            )
        except (ByreError, OperationalError, OSError) as error:
            log.warning("heartbeat.missed", reason=str(error))
