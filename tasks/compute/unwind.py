"""Follows a failed create, stage unwind. Side: compute.

Effect  what this attempt made on the host is gone: each stage's undo, in reverse order.
Repeat  absent is done.
Undo    none.
"""

import structlog

from tasks.compute import build_resources, define_domain, launch, poll_boot
from tasks.errors import HostBusy
from tasks.messages import Job, PortsRef
from workers.hypervisor.port import Hypervisor

log = structlog.get_logger(__name__)

#: The compute stages of the create pipeline, last first.
UNDOS = (poll_boot.undo, launch.undo, define_domain.undo, build_resources.undo)


def do(job: Job, host: Hypervisor, *, ports: PortsRef) -> None:
    """Undo this attempt. Raises HostBusy if something of it is still there."""
    for undo in UNDOS:
        undo(job, host, ports)
    left = host.traces(job.server_id, ports.ports)
    if left:
        raise HostBusy("Not everything of the attempt could be removed yet.", left=left)
    log.info("attempt.unwound")
