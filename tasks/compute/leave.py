"""resize- and migrate-server to another host, stage leave. Side: compute.

Effect  nothing on this host answers for the server's interfaces any more: their DHCP entries,
        filters, firewall rules and floating IPs are gone. Its domain, which is off, and its disks
        stay for a way back.
Repeat  absent is done.
Undo    `reshape`.
"""

import structlog

from tasks.messages import Job, PortsRef
from workers.hypervisor.port import Hypervisor

log = structlog.get_logger(__name__)


def do(job: Job, host: Hypervisor, *, ports: PortsRef) -> None:
    """Let another host answer for the server. Raises HostError."""
    host.remove_ports(job.server_id, ports.ports)
    log.info("server.left")
