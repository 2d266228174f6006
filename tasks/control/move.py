"""resize- and migrate-server to another host, stage move. Side: control.

Effect  the server is on its new host, where room is claimed for it, and is told of there; its
        former host holds its room until the move is confirmed.
Repeat  the same run and attempt finds the server moved.
Undo    `app.runs.resizes.come_back`, when a later stage fails.
"""

import structlog

from app.services import moving
from tasks.control.store import Store
from tasks.messages import Job, Move

log = structlog.get_logger(__name__)


def do(job: Job, store: Store) -> Move:
    """Have the server on its new host. Raises NoValidHost, ImageUnusable, StaleMessage."""
    moved = moving.move(store.sessions, store.settings, job)
    log.info("server.moved", host=moved.host)
    return moved
