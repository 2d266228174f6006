"""delete-server, stage forget. Side: control.

Effect  claim and ports are free, the request's secrets are gone, the server is DELETED.
Repeat  a deleted server stays deleted.
Undo    none: a delete is never taken back.
"""

from app.services import placement
from tasks.control.store import Store
from tasks.messages import Job


def do(job: Job, store: Store) -> None:
    """Let go of the server. Raises StaleMessage."""
    placement.forget(store.sessions, job)
