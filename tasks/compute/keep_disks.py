"""resize-server, stage keep_disks. Side: compute.

Effect  a copy of each of the server's disks lies beside it: the way back, as the guest left them.
Repeat  a copy that is there is the right one, since nobody has written to the disk since.
Undo    `restore_disks` (the copies take the place of the disks), or `drop_disks`.
"""

import structlog

from tasks.messages import Job
from workers.hypervisor.port import Hypervisor

log = structlog.get_logger(__name__)


def do(job: Job, host: Hypervisor) -> None:
    """Keep the server's disks as they are. Raises HostFull, HostError if the server is not off."""
    host.keep_disks(job.server_id)
    log.info("disks.kept")
