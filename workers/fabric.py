"""Carries out what the control plane says of this host's networks and security groups.

Effect  networks with their tunnels, and the packet filter, as the newest order says them; a file
        that names its revision and its networks, and the boot of the machine in which it was
        carried out: tunnels and filters do not outlive that. Once one of the networks is down,
        nothing was carried out, and the control plane tells all of it again.
Repeat  an order that is older than what was carried out is dropped; the same one is carried out
        again, which changes nothing. One at a time is carried out.
Undo    none: the next order is the undo. What an order does not name is left as it is, until
        nothing on the host uses it.
"""

import json
import threading
from pathlib import Path

import structlog

from tasks.errors import ByreError
from tasks.messages import Fabric, NetworkSpec
from workers.hypervisor.files import replacing
from workers.hypervisor.port import Hypervisor

log = structlog.get_logger(__name__)

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class FabricKeeper:
    """The orders of one host."""

    def __init__(self, host: Hypervisor, state_dir: Path) -> None:
        self._host = host
        self._file = state_dir / "fabric.json"
        #: Held for moments only.
        self._lock = threading.Lock()
        self._next: Fabric | None = None
        self._is_busy = False
        self._revision, self._networks = self._read()

    def revision(self) -> int:
        """Return the newest revision that was carried out since the machine's start, and of which
        all networks are still up; 0: none. Raises ByreError."""
        if self._host.networks_intact(self._networks):
            return self._revision
        log.warning("fabric.lost", revision=self._revision)
        return 0

    def carry_out(self, order: Fabric) -> None:
        """Carry the order out, if it is none of the past. What fails is told in the log, and asked
        for again by the control plane, which sees that this revision was not reached. While another
        one is being carried out, only the newest is kept for after it: no thread waits."""
        with self._lock:
            if self._next is None or order.revision >= self._next.revision:
                self._next = order
            if self._is_busy:
                return
            self._is_busy = True
        try:
            while (following := self._take()) is not None:
                self._carry_out(following)
        except BaseException:
            self._is_busy = False
            raise

    def _take(self) -> Fabric | None:
        with self._lock:
            order, self._next = self._next, None
            self._is_busy = order is not None
            return order

    def _carry_out(self, order: Fabric) -> None:
        if order.revision < self._revision:
            log.info("fabric.late", revision=order.revision, carried_out=self._revision)
            return
        failed = [network for network in order.networks if not self._network(network)]
        # Also if a network failed: what the groups forbid must not wait for it.
        if self._firewall(order) and not failed:
            self._tidy(order)
            self._keep(order.revision, {network.network_id for network in order.networks})
            log.info("fabric.carried_out", revision=order.revision)

    def _network(self, network: NetworkSpec) -> bool:
        try:
            self._host.ensure_network(network)
        except ByreError as error:
            log.warning("fabric.network", network=network.network_id, reason=error.public)
            return False
        return True

    def _firewall(self, order: Fabric) -> bool:
        try:
            self._host.update_firewall(order.firewall, order.ports)
        except ByreError as error:
            log.warning("fabric.firewall", reason=error.public)
            return False
        return True

    def _tidy(self, order: Fabric) -> None:
        """What is left over disturbs nobody, so failing to remove it is no failure."""
        try:
            self._host.remove_idle_networks({network.network_id for network in order.networks})
        except ByreError as error:
            log.warning("fabric.tidy", reason=error.public)

    def _keep(self, revision: int, networks: set[str]) -> None:
        if (revision, networks) == (self._revision, self._networks) and self._file.exists():
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        kept = {"boot": _boot(), "revision": revision, "networks": sorted(networks)}
        with replacing(self._file) as (file, _):
            file.write(json.dumps(kept).encode())
        self._revision, self._networks = revision, networks

    def _read(self) -> tuple[int, set[str]]:
        """A file that is not there, not readable or of another boot says nothing."""
        try:
            kept = json.loads(self._file.read_text())
            if kept["boot"] == _boot():
                return int(kept["revision"]), set(kept["networks"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return 0, set()


def _boot() -> str:
    return _BOOT_ID.read_text().strip()
