"""pause-server, stage pause. Side: compute.

Effect  the domain's processors stand still; its memory and its devices stay as they are.
Repeat  a paused domain stays paused.
Undo    none.
"""

import structlog

from tasks.messages import Job
from workers.hypervisor.port import Hypervisor

log = structlog.get_logger(__name__)


def do(job: Job, host: Hypervisor) -> None:
    """Have the server stand still. Raises HostError if it does not run."""
    host.pause(job.server_id)
    log.info("server.paused")
