"""rescue-server, stage build_rescue. Side: compute.

Effect  the rescue image is in the host's cache; a disk made from it is there, and a config drive
        with the rescue's own password. The server's disks stay as they are.
Repeat  each is found and kept.
Undo    none: `clear_rescue` removes them, before the next rescue at the latest.
"""

import structlog

from tasks.messages import BuildSpec, DomainSpec, Job
from workers.hypervisor.port import Hypervisor

log = structlog.get_logger(__name__)


def do(job: Job, host: Hypervisor, *, build: BuildSpec) -> DomainSpec:
    """Make what the rescue domain will need. Raises DownloadFailed, ImageCorrupt, HostFull."""
    host.ensure_image(build.image)
    rescue = host.ensure_rescue_disks(job.server_id, job.project_id, build)
    own = [disk for disk in host.own_disks(job.server_id) if disk.role == "root"]
    log.info("rescue.built", image=build.image.image_id, own_disks=len(own))
    return DomainSpec(
        machine=build.machine, disks=[*rescue, *own], ports=build.ports, boot=build.boot
    )
