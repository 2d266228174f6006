"""Ends a resize that was confirmed, reverted or undone, stage settle. Side: control.

Effect  the server has the flavor that it stays with, and holds room for that and no more; there is
        no other way any more. What a server that has moved has left on its former host is owed.
Repeat  what is settled stays so.
Undo    none: either it was confirmed, or it is the undo.
"""

from app.services import resizing
from tasks.control.store import Store
from tasks.messages import Job


def do(job: Job, store: Store) -> None:
    """Settle the server's resize. Raises StaleMessage."""
    for run_id in resizing.settle(store.sessions, store.settings, job):
        store.publisher.publish(run_id)
