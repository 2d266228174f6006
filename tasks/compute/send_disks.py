"""resize- and migrate-server to another host, stage send_disks. Side: compute.

Effect  the images of the server's disks have their bytes, and are active; the copies are gone from
        the host.
Repeat  an image that has its bytes is left as it is.
Undo    the images are the control plane's to remove.
"""

import time

import structlog

from tasks.messages import DiskUploads, Job
from tasks.pipelines import DISK_LIMIT_S
from workers.hypervisor.port import Hypervisor

log = structlog.get_logger(__name__)


def do(job: Job, host: Hypervisor, *, uploads: DiskUploads) -> None:
    """Send the copies to the image store. Raises UploadFailed, ImageRefused, HostError."""
    end = time.time() + DISK_LIMIT_S
    for disk in uploads.disks:
        host.send_snapshot(job.server_id, disk.upload, min(end, job.deadline) - time.time())
    log.info("disks.sent", roles=[disk.role for disk in uploads.disks])
