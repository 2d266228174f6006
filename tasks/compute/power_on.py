"""start-, reboot-, unpause- and resume-server, stage power_on. Side: compute.

Effect  the domain runs: started anew, gone on with if it was paused, restored if it was saved.
Repeat  a running domain is left running.
Undo    none: what could not be started stays as it is, and is shown so.
"""

import structlog

from tasks.messages import Job
from workers.hypervisor.port import Hypervisor

log = structlog.get_logger(__name__)


def do(job: Job, host: Hypervisor) -> None:
    """Have the server run. Raises HostError with libvirt's words, HostFull."""
    host.start(job.server_id)
    log.info("server.powered_on")
