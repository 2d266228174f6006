"""resize- and migrate-server to another host, stage pack_disks. Side: compute.

Effect  a flat copy of each disk that the server takes with it lies on its host, named after server
        and image.
Repeat  a whole copy is kept, a half one made anew: nobody writes to the disks.
Undo    `discard_snapshot` if the run fails, and whatever removes the server.
"""

import time

import structlog

from tasks.messages import DiskUploads, Job
from tasks.pipelines import DISK_LIMIT_S
from workers.hypervisor.port import Hypervisor

log = structlog.get_logger(__name__)


def do(job: Job, host: Hypervisor, *, uploads: DiskUploads) -> None:
    """Have the copies. Raises HostError, HostFull, HostBusy."""
    end = time.time() + DISK_LIMIT_S
    for disk in uploads.disks:
        limit_s = min(end, job.deadline) - time.time()
        host.take_snapshot(job.server_id, disk.upload.image_id, limit_s, disk.role)
    log.info("disks.packed", roles=[disk.role for disk in uploads.disks])
