"""rescue- and unrescue-server, stage clear_rescue. Side: compute.

Effect  the rescue disk and the rescue's config drive are gone: those of a rescue that failed,
        before the next one makes its own; those of the rescue that is over.
Repeat  absent is done. Once it has ended it is not run again for the same run (Stage.once): the
        disks that are there then are the rescue's own.
Undo    none: what it takes away was to go.
"""

import structlog

from tasks.messages import Job
from workers.hypervisor.port import Hypervisor

log = structlog.get_logger(__name__)


def do(job: Job, host: Hypervisor) -> None:
    """Remove what a rescue has made. Raises HostError."""
    host.remove_rescue_disks(job.server_id)
    log.info("rescue.cleared")
