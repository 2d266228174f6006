"""dump a crashed server's memory, stage crash_dump. Side: compute.

Effect  the guest gets an NMI; what its kernel does then is its own: it writes its memory to its
        disk and reboots if it was set up so (kdump), or panics, or does nothing.
Repeat  the guest gets another NMI, which may disturb a kernel that is at it already: only of a
        worker that ended before its journal had that it was done.
Undo    none: the guest has felt it.
"""

import structlog

from tasks.messages import Job
from workers.hypervisor.port import Hypervisor

log = structlog.get_logger(__name__)


def do(job: Job, host: Hypervisor) -> None:
    """Interrupt the guest. Raises HostError if it is off."""
    host.inject_nmi(job.server_id)
    log.info("server.nmi_injected")
