"""attach an interface to a server, stage plug. Side: compute.

Effect  the interface is the domain's, in its guest at once if it runs, with DHCP entry, filter and
        firewall rules; config drive and metadata tell of it.
Repeat  what is there is kept.
Undo    by itself, when it fails: interface, entry, filter and rules are gone.
"""

from contextlib import suppress

import structlog

from tasks.compute import rewire
from tasks.errors import ByreError, TransientError
from tasks.messages import Job, Wiring
from workers.hypervisor.port import Hypervisor

log = structlog.get_logger(__name__)


def do(job: Job, host: Hypervisor, *, wiring: Wiring) -> None:
    """Have the interface. Raises ForeignOwner, HostError, HostFull."""
    try:
        rewire.do(job, host, wiring=wiring)
        host.attach_port(job.server_id, wiring.port, wiring.machine)
    except TransientError:
        # It is tried again.
        raise
    except ByreError:
        _undo(job, host, wiring)
        raise
    log.info("interface.plugged", port=wiring.port.port_id)


def _undo(job: Job, host: Hypervisor, wiring: Wiring) -> None:
    """What cannot be undone is nobody's, and the survey's to find."""
    port = wiring.port
    others = [other for other in wiring.ports if other.port_id != port.port_id]
    with suppress(ByreError):
        host.detach_port(job.server_id, port)
        host.remove_ports(job.server_id, [port])
        rewire.tell_guest(job, host, wiring.model_copy(update={"ports": others}))
