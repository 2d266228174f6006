"""resize- and revert-server, and follows a failed resize, stage reshape. Side: compute.

Effect  the server's disks have their new sizes, its ports are there, and its domain is defined with
        the new machine: its next start is with that.
Repeat  each is found as it is to be.
Undo    `restore_disks`, then `reshape` with what the server was before.
"""

import structlog

from tasks.messages import DomainSpec, Job, ShapeSpec
from workers.hypervisor.port import Hypervisor

log = structlog.get_logger(__name__)


def do(job: Job, host: Hypervisor, *, shape: ShapeSpec) -> None:
    """Give the server its shape. Raises HostFull, HostError, ForeignOwner."""
    networks = {network.network_id: network for network in shape.networks}
    for port in shape.ports:
        host.ensure_port(networks[port.network_id], port, shape.first_boot.hostname)
    host.ensure_firewall(shape.firewall, shape.ports)
    disks = host.reshape_disks(job.server_id, shape.machine)
    drive = host.ensure_config_drive(
        job.server_id, job.project_id, shape.first_boot, shape.networks, shape.ports
    )
    host.define(
        job,
        DomainSpec(
            machine=shape.machine, disks=[*disks, drive], ports=shape.ports, boot=shape.boot
        ),
    )
    log.info("server.reshaped", vcpus=shape.machine.vcpus, memory_mib=shape.machine.memory_mib)
