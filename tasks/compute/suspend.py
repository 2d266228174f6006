"""suspend-server, stage suspend. Side: compute.

Effect  the domain is off, and its memory is in a file of libvirt's from which it is started next.
Repeat  a saved domain stays saved.
Undo    none: what could not be saved goes on running.
"""

import structlog

from tasks.messages import Job
from workers.hypervisor.port import Hypervisor

log = structlog.get_logger(__name__)


def do(job: Job, host: Hypervisor) -> None:
    """Save the server's memory and turn it off. Raises HostError if it does not run, HostFull."""
    host.suspend(job.server_id)
    log.info("server.suspended")
