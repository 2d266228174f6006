"""stop- and reboot-server, stage shut_down. Side: compute.

Effect  the domain is off: stopped by its guest, which is asked to as by a power button; after the
        grace its power is cut. Each look is a message of its own, so that a slow guest holds no
        slot of the worker.
Repeat  off is done. A grace that was interrupted begins anew.
Undo    none.
"""

import time

import structlog

from tasks.errors import NotYet
from tasks.messages import Asked, Grace, Job
from workers.hypervisor.port import Hypervisor

log = structlog.get_logger(__name__)

#: A guest that is still booting does not hear the button: it is pressed again, so often in
#: seconds.
ASK_EVERY_S = 10.0


def do(job: Job, host: Hypervisor, *, grace: Grace, asked: Asked | None = None) -> Asked:
    """Have the server off. Raises NotYet while its guest is stopping, HostError."""
    now = time.time()
    if asked is None or now - asked.last_at >= ASK_EVERY_S:
        asked = Asked(first_at=asked.first_at if asked else now, last_at=now)
        host.shut_down(job.server_id)
    domain = host.find(job.server_id)
    if domain is None or domain.state in ("shutoff", "crashed"):
        log.info("server.shut_down", took_s=round(now - asked.first_at, 3))
        return asked
    waited_s = now - asked.first_at
    if waited_s >= grace.seconds:
        log.warning("server.did_not_stop", waited_s=round(waited_s, 3))
        host.cut_power(job.server_id)
        return asked
    again_s = min(2.0, max(0.25, waited_s / 10), grace.seconds - waited_s)
    raise NotYet("The guest is stopping.", again_s=again_s, found={"asked": asked})
