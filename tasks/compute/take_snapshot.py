"""create-image, stage take_snapshot. Side: compute.

Effect  a flat copy of the server's root disk lies on its host, named after server and image; the
        server goes on as it was.
Repeat  a whole copy is kept, a half one made anew.
Undo    discard_snapshot, and whatever removes the server.
"""

import time

import structlog

from tasks.messages import ImageUpload, Job
from tasks.pipelines import DISK_LIMIT_S
from workers.hypervisor.port import Hypervisor

log = structlog.get_logger(__name__)


def do(job: Job, host: Hypervisor, *, upload: ImageUpload) -> None:
    """Have the copy. Raises HostError, HostFull, HostBusy."""
    limit_s = min(DISK_LIMIT_S, job.deadline - time.time())
    host.take_snapshot(job.server_id, upload.image_id, limit_s)
    log.info("snapshot.taken", image=upload.image_id)
