"""create-server, stage launch. Side: compute.

Effect  the domain runs; libvirt puts its interfaces and their filters in place before the first
        instruction of the guest.
Repeat  a running domain is left running.
Undo    nothing of its own: removing the domain (define_domain) stops it first.
"""

import time

import structlog

from tasks.messages import DomainRef, Job, PortsRef
from workers.hypervisor.port import Hypervisor

log = structlog.get_logger(__name__)


def do(job: Job, host: Hypervisor, *, domain: DomainRef) -> DomainRef:
    """Start the domain. Raises HostError with libvirt's words, HostFull."""
    host.start(job.server_id)
    log.info("domain.started")
    return domain.model_copy(update={"started_at": time.time()})


def undo(job: Job, host: Hypervisor, ports: PortsRef) -> None:
    """Nothing: see the head of this file."""
