"""change a server's password, stage set_password. Side: compute.

Effect  the guest's user has the password, set by the agent in the guest.
Repeat  it is set again.
Undo    none: the old one is not known.
"""

import structlog

from tasks.messages import Job, Password
from workers.hypervisor.port import Hypervisor

log = structlog.get_logger(__name__)


def do(job: Job, host: Hypervisor, *, password: Password) -> None:
    """Have the password set. Raises Conflict if no agent answers or it refuses, HostError."""
    host.set_password(job.server_id, password)
    log.info("server.password_set", user=password.user)
