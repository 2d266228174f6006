"""detach an interface from a server, stage unplug. Side: compute.

Effect  the interface is no longer the domain's, and its DHCP entry, filter and rules are gone;
        config drive and metadata tell of the others only. A guest that runs has to let go of it:
        each look is a message of its own, so that a slow guest holds no slot of the worker.
Repeat  gone is done.
Undo    none: until the guest lets go, nothing has changed.
"""

import time

import structlog

from tasks.compute.rewire import tell_guest
from tasks.errors import Conflict, NotYet
from tasks.messages import Asked, Job, Wiring
from workers.hypervisor.port import Hypervisor

log = structlog.get_logger(__name__)

#: Seconds that a guest has for it, and between two looks.
LIMIT_S, LOOK_EVERY_S = 60.0, 2.0


def do(job: Job, host: Hypervisor, *, wiring: Wiring, asked: Asked | None = None) -> Asked:
    """Have the interface gone. Raises NotYet while the guest holds it, Conflict if it does not let
    go, ForeignOwner, HostError."""
    now = time.time()
    asked = Asked(first_at=asked.first_at if asked else now, last_at=now)
    if not host.detach_port(job.server_id, wiring.port):
        if now - asked.first_at > LIMIT_S:
            raise Conflict(f"The guest did not let go of the interface within {LIMIT_S:.0f} s.")
        raise NotYet("The guest holds it.", again_s=LOOK_EVERY_S, found={"asked": asked})
    host.remove_ports(job.server_id, [wiring.port])
    tell_guest(job, host, wiring)
    log.info("interface.unplugged", port=wiring.port.port_id)
    return asked
