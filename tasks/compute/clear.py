"""rebuild-server, stage clear. Side: compute.

Effect  the server's domain, its interfaces' traces and its disks are gone from the host, but for an
        ephemeral disk that is to be kept: what is made after it proves itself anew.
Repeat  absent is done. Once it has ended it is not run again for the same run (Stage.once): the
        disks that are there then are the new ones.
Undo    none: what it takes away was to go.
"""

import structlog

from tasks.messages import Job, Kept, PortsRef
from workers.hypervisor.port import Hypervisor

log = structlog.get_logger(__name__)


def do(job: Job, host: Hypervisor, *, ports: PortsRef, kept: Kept) -> None:
    """Remove what a rebuild makes anew. Raises ForeignOwner, HostError."""
    host.remove_domain(job.server_id)
    host.remove_ports(job.server_id, ports.ports)
    host.remove_disks(job.server_id, keep_ephemeral=kept.ephemeral)
    log.info("server.cleared", keep_ephemeral=kept.ephemeral)
