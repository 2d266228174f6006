"""change a server's addresses, stage rewire. Side: compute.

Effect  the interface's DHCP entries, filter and firewall rules are those of its addresses now, and
        config drive and metadata tell them.
Repeat  what is as it is to be is kept.
Undo    none: the same with other addresses is the way back.
"""

import structlog

from tasks.messages import Job, Wiring
from workers.hypervisor.port import Hypervisor

log = structlog.get_logger(__name__)


def do(job: Job, host: Hypervisor, *, wiring: Wiring) -> None:
    """Have the host's side of the interface as it is to be. Raises HostError, HostFull."""
    port = wiring.port
    networks = {network.network_id: network for network in wiring.networks}
    host.ensure_port(networks[port.network_id], port, wiring.first_boot.hostname)
    host.ensure_firewall(wiring.firewall, [port])
    tell_guest(job, host, wiring)
    log.info("interface.rewired", port=port.port_id)


def tell_guest(job: Job, host: Hypervisor, wiring: Wiring) -> None:
    """Have config drive and metadata say which interfaces there are."""
    there = {port.network_id for port in wiring.ports}
    networks = [network for network in wiring.networks if network.network_id in there]
    host.ensure_config_drive(
        job.server_id, job.project_id, wiring.first_boot, networks, wiring.ports
    )
