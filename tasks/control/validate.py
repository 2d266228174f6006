"""create-server, stage validate. Side: control.

Effect  none: it looks whether what was allowed at the request still is.
Repeat  a look more.
Undo    nothing was made.
"""

from app.services import validation
from tasks.control.store import Store
from tasks.messages import Job


def do(job: Job, store: Store) -> None:
    """Check flavor, image, keypair, networks and quota. Raises RequestError and its kinds."""
    validation.check(store.sessions, job.server_id)
