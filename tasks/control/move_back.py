"""revert-server that was moved, stage move_back. Side: control.

Effect  the server is on its former host again, and holds no room on the other one, which has been
        cleaned.
Repeat  the same run and attempt finds it there.
Undo    none: it was to be reverted.
"""

import structlog

from app.services import moving
from tasks.control.store import Store
from tasks.messages import Job, Move

log = structlog.get_logger(__name__)


def do(job: Job, store: Store) -> Move:
    """Have the server on its former host. Raises StaleMessage."""
    moved = moving.move_back(store.sessions, store.settings, job)
    log.info("server.moved_back", host=moved.host)
    return moved
