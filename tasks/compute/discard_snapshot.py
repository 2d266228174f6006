"""Follows a failed create-image and an early end of a move, stage discard_snapshot. Side: compute.

Effect  the copy of the server's disk, whole or not, is gone from the host.
Repeat  absent is done.
Undo    none.
"""

import structlog

from tasks.messages import ImageUpload, Job
from workers.hypervisor.port import Hypervisor

log = structlog.get_logger(__name__)


def do(job: Job, host: Hypervisor, *, upload: ImageUpload) -> None:
    """Remove the copy. Raises HostError."""
    host.remove_snapshot(job.server_id, upload.image_id)
    log.info("snapshot.discarded", image=upload.image_id)
