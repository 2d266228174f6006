"""Follows a failed create, stage conclude. Side: control.

Effect  the claim and the ports of the failed attempt are free again.
Repeat  absent is done.
Undo    none.
"""

from app.services import placement
from tasks.control.store import Store
from tasks.messages import Job


def do(job: Job, store: Store) -> None:
    """Release what the failed attempt held. Raises StaleMessage."""
    placement.release(store.sessions, job)
