"""confirm-resize, stage drop_disks. Side: compute.

Effect  what `keep_disks` kept is gone: there is no way back any more.
Repeat  absent is done.
Undo    none: it was confirmed.
"""

import structlog

from tasks.messages import Job
from workers.hypervisor.port import Hypervisor

log = structlog.get_logger(__name__)


def do(job: Job, host: Hypervisor) -> None:
    """Remove the copies. Raises HostError."""
    host.drop_disks(job.server_id)
    log.info("disks.dropped")
