"""create-server, stage schedule. Side: control.

Effect  room claimed on one host, and a port with MAC and address for each network, in one
        transaction.
Repeat  the same run and attempt finds its own claim and its ports.
Undo    `conclude` releases the claim and the ports, once the host is proved clean.
"""

import structlog

from app.services import placement
from tasks.control.store import Store
from tasks.messages import Job, Placement

log = structlog.get_logger(__name__)


def do(job: Job, store: Store) -> Placement:
    """Choose and claim a host. Raises NoValidHost, NoFreeAddress, StaleMessage."""
    placed = placement.place(store.sessions, store.settings, job)
    log.info("server.placed", host=placed.host)
    return placed
