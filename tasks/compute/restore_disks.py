"""revert-server, and follows a failed resize, stage restore_disks. Side: compute.

Effect  the server's disks are those that `keep_disks` kept; what its guest wrote since is gone, as
        the owner was told. A guest that runs on them loses its power first.
Repeat  nothing kept is done: all was restored before, or nothing had been changed.
Undo    none.
"""

import structlog

from tasks.messages import Job
from workers.hypervisor.port import Hypervisor

log = structlog.get_logger(__name__)


def do(job: Job, host: Hypervisor) -> None:
    """Have the disks as they were. Raises ForeignOwner, HostError."""
    if not host.keeps_disks(job.server_id):
        log.info("disks.none_kept")
        return
    host.cut_power(job.server_id)
    host.restore_disks(job.server_id)
    log.info("disks.restored")
