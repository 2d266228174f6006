"""resize- and migrate-server to another host, stage fetch_disks. Side: compute.

Effect  the disks that the server brings with it are here, whole and verified.
Repeat  one that is there is whole, for `clear` has let none from before stay.
Undo    `unwind`, and whatever removes the server.
"""

import time

import structlog

from tasks.messages import Job, ShapeSpec
from tasks.pipelines import DISK_LIMIT_S
from workers.hypervisor.port import Hypervisor

log = structlog.get_logger(__name__)


def do(job: Job, host: Hypervisor, *, shape: ShapeSpec) -> None:
    """Fetch the disks. Raises DownloadFailed, ImageCorrupt, ImageUnusable, HostFull, HostError."""
    end = time.time() + DISK_LIMIT_S
    for disk in shape.carried:
        host.fetch_disk(job.server_id, disk, min(end, job.deadline) - time.time())
    log.info("disks.fetched", roles=[disk.role for disk in shape.carried])
