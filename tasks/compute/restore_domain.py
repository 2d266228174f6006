"""unrescue-server, stage restore_domain. Side: compute.

Effect  none: it looks which disks of the server's own are there.
Repeat  a look more.
Undo    nothing was made.
"""

from tasks.messages import DomainSpec, Job, Outline
from workers.hypervisor.port import Hypervisor


def do(job: Job, host: Hypervisor, *, outline: Outline) -> DomainSpec:
    """Return the server's domain as it is without a rescue. Raises HostError."""
    return DomainSpec(
        machine=outline.machine,
        disks=host.own_disks(job.server_id),
        ports=outline.ports,
        boot=outline.boot,
    )
