"""evacuate-server, stage rehost. Side: control.

Effect  the server is on its new host, where room is claimed for it, and is told of there; its
        former host, which does not answer, holds its room until the server is up.
Repeat  the same run and attempt finds the server there.
Undo    `app.runs.resizes.come_back`, when a later stage fails.
"""

import structlog

from app.services import evacuating
from tasks.control.store import Store
from tasks.messages import Job, Placement

log = structlog.get_logger(__name__)


def do(job: Job, store: Store) -> Placement:
    """Have the server on its new host. Raises NoValidHost, ImageUnusable, StaleMessage."""
    placed = evacuating.rehost(store.sessions, store.settings, job)
    log.info("server.rehosted", host=placed.host)
    return placed
