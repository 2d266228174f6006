"""What the parts of one hypervisor's worker share."""

from dataclasses import dataclass

from celery import Celery

from config.settings import ComputeSettings
from workers.compute_ledger import ComputeLedger
from workers.hypervisor.journal import Journal
from workers.hypervisor.port import Hypervisor


@dataclass(frozen=True)
class Hosted:
    """A worker on its hypervisor. `process` names this life of it."""

    celery: Celery
    host: Hypervisor
    journal: Journal
    ledger: ComputeLedger
    settings: ComputeSettings
    process: str
