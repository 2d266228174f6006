"""create-server, stage build_resources. Side: compute.

Effect  the image is in the host's cache; the server's disks, config drive, DHCP entries, filters
        and firewall rules are there, all named after ids of the server and its ports.
Repeat  each is found and kept.
Undo    disks, drive, entries, filters and rules are gone; the cached image and the network stay,
        since other servers use them.
"""

import structlog

from tasks.messages import BuildSpec, DomainSpec, Job, PortsRef
from workers.hypervisor.port import Hypervisor

log = structlog.get_logger(__name__)


def do(job: Job, host: Hypervisor, *, build: BuildSpec) -> DomainSpec:
    """Make all that the domain will need. Raises DownloadFailed, ImageCorrupt, HostFull."""
    networks = {network.network_id: network for network in build.networks}
    # Those that only floating IPs are of.
    for network_id in networks.keys() - {port.network_id for port in build.ports}:
        host.ensure_network(networks[network_id])
    for port in build.ports:
        host.ensure_port(networks[port.network_id], port, build.first_boot.hostname)
    host.ensure_firewall(build.firewall, build.ports)
    host.ensure_image(build.image)
    root = host.ensure_root_disk(job.server_id, build.image, build.machine.root_gib)
    extra = host.ensure_extra_disks(job.server_id, build.image, build.machine)
    drive = host.ensure_config_drive(
        job.server_id, job.project_id, build.first_boot, build.networks, build.ports
    )
    log.info("resources.built", image=build.image.image_id, ports=len(build.ports))
    return DomainSpec(
        machine=build.machine, disks=[root, *extra, drive], ports=build.ports, boot=build.boot
    )


def undo(job: Job, host: Hypervisor, ports: PortsRef) -> None:
    """Remove the server's disks, entries, filters and rules. Absent is done."""
    host.remove_ports(job.server_id, ports.ports)
    host.remove_disks(job.server_id)
