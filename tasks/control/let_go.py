"""offload-server, stage let_go. Side: control.

Effect  a shelved server has no host any more, and holds no room on one; its ports, with their
        addresses, stay its own.
Repeat  a server that was let go stays so.
Undo    none: unshelve places it anew.
"""

from app.services import placement
from tasks.control.store import Store
from tasks.messages import Job


def do(job: Job, store: Store) -> None:
    """Let go of the server's host. Raises StaleMessage."""
    placement.offload(store.sessions, job)
