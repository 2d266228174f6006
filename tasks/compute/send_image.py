"""create-image, stage send_image. Side: compute.

Effect  the image has the copy's bytes, and is active; the copy is gone from the host.
Repeat  an image that has its bytes is left as it is.
Undo    discard_snapshot on the host; the image is the control plane's to remove.
"""

import time

import structlog

from tasks.messages import ImageUpload, Job
from tasks.pipelines import DISK_LIMIT_S
from workers.hypervisor.port import Hypervisor

log = structlog.get_logger(__name__)


def do(job: Job, host: Hypervisor, *, upload: ImageUpload) -> None:
    """Send the copy to the image store. Raises UploadFailed, ImageRefused, HostError."""
    limit_s = min(DISK_LIMIT_S, job.deadline - time.time())
    host.send_snapshot(job.server_id, upload, limit_s)
    log.info("snapshot.sent", image=upload.image_id)
