"""delete-server, stage teardown. Side: compute.

Effect  nothing of the server is left on the host, whichever run made it, and that is looked up.
Repeat  absent is done.
Undo    none: a delete is never taken back.
"""

import structlog

from tasks.errors import HostBusy
from tasks.messages import Job, PortsRef
from workers.hypervisor.port import Hypervisor

log = structlog.get_logger(__name__)


def do(job: Job, host: Hypervisor, *, ports: PortsRef) -> None:
    """Remove the server from this host. Raises HostBusy if something of it is still there."""
    host.remove_domain(job.server_id)
    host.remove_ports(job.server_id, ports.ports)
    host.remove_disks(job.server_id)
    left = host.traces(job.server_id, ports.ports)
    if left:
        raise HostBusy("Not everything of the server could be removed yet.", left=left)
    log.info("server.torn_down")
