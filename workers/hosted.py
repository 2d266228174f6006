"""What the parts of one hypervisor's worker share."""

from dataclasses import dataclass, field
from functools import cached_property

from celery import Celery

from config.settings import ComputeSettings
from workers.compute_ledger import ComputeLedger
from workers.fabric import FabricKeeper
from workers.gate.gate import Gate
from workers.hypervisor.journal import Journal
from workers.hypervisor.port import Hypervisor
from workers.warming import Warming


@dataclass(frozen=True)
class Hosted:
    """A worker on its hypervisor. `process` names this life of it."""

    celery: Celery
    host: Hypervisor
    journal: Journal
    ledger: ComputeLedger
    fabric: FabricKeeper
    settings: ComputeSettings
    process: str
    warming: Warming = field(default_factory=Warming)

    @cached_property
    def gate(self) -> Gate:
        """The way in to the guests' consoles."""
        return Gate(self.host, self.settings)
