"""hard-reboot-server, stage cut_power. Side: compute.

Effect  the domain is off at once, and memory that was saved of it is gone.
Repeat  off is done.
Undo    none.
"""

import structlog

from tasks.messages import Job
from workers.hypervisor.port import Hypervisor

log = structlog.get_logger(__name__)


def do(job: Job, host: Hypervisor) -> None:
    """Have the server off, whatever it is doing. Raises ForeignOwner."""
    host.cut_power(job.server_id)
    log.info("server.power_cut")
