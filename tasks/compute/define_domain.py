"""create-server, stage define_domain. Side: compute.

Effect  one libvirt domain, defined and not started: UUID = server id, marked with server,
        project, run and attempt.
Repeat  our own domain is defined again over itself; a foreign one is refused, untouched.
Undo    the domain is gone, with all that hangs on it; the disks belong to build_resources.
"""

import structlog

from tasks.messages import DomainRef, DomainSpec, Job, PortsRef
from workers.hypervisor.port import Hypervisor

log = structlog.get_logger(__name__)


def do(job: Job, host: Hypervisor, *, spec: DomainSpec) -> DomainRef:
    """Define the server's domain. Raises ForeignOwner, HostError."""
    domain = host.define(job, spec)
    log.info("domain.defined", vcpus=spec.machine.vcpus, memory_mib=spec.machine.memory_mib)
    return DomainRef(domain_id=domain.server_id, ports=spec.ports, boot=spec.boot)


def undo(job: Job, host: Hypervisor, ports: PortsRef) -> None:  # noqa: ARG001 - one shape for all
    """Remove the domain. Absent is done; a foreign one is refused."""
    host.remove_domain(job.server_id)
