"""What becomes of a shelved server, and of the image that its disk is in."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from app.db.models import Run, Server
from app.db.repo import images, runs, servers
from app.db.session import Sessions, reading
from app.runs.actions import SHELVED
from app.runs.start import Asker, begin_offload
from config.settings import ControlSettings
from tasks.pipelines import SHELVE, UNSHELVE, UNSHELVE_HERE

#: Servers that are let go in one sweep.
BATCH = 200


def shelve(
    session: Session, server: Server, run: Run, settings: ControlSettings, moment: datetime
) -> list[str]:
    """Keep in mind which image a server is in whose shelving has ended, and let it leave its host
    if that is to be at once; or let go of the image of one that is out of it again. Returns the ids
    of runs to be sent now."""
    if run.pipeline == SHELVE:
        server.shelved_image_id, server.shelved_at = run.image_id, moment
        if settings.shelved_offload_s == 0:
            asker = Asker(run.request_id, run.user_id)
            return [begin_offload(session, server, asker, settings).id]
    elif run.pipeline in (UNSHELVE, UNSHELVE_HERE) and server.shelved_image_id is not None:
        images.give_up(session, [server.shelved_image_id], moment)
        server.shelved_image_id = server.shelved_at = None
    return []


def offload_due(sessions: Sessions, settings: ControlSettings, moment: datetime) -> list[str]:
    """Let servers leave their hosts that have been shelved there for long enough. Returns the
    ids of the runs to be sent."""
    if settings.shelved_offload_s <= 0:
        return []
    before = moment - timedelta(seconds=settings.shelved_offload_s)
    with reading(sessions) as session:
        due = servers.shelved_before(session, before, BATCH)
    begun = [_offload(sessions, settings, server_id) for server_id in due]
    return [run_id for run_id in begun if run_id is not None]


def _offload(sessions: Sessions, settings: ControlSettings, server_id: str) -> str | None:
    with sessions.begin() as session:
        asked = servers.lock_runs(session, server_id)
        server = servers.get(session, server_id)
        if server is None or server.task_state is not None or server.vm_state != SHELVED.vm_state:
            return None
        if any(run.state == runs.OPEN for run in asked):
            return None
        shelved = next(run for run in reversed(asked) if run.image_id == server.shelved_image_id)
        asker = Asker(shelved.request_id, shelved.user_id)
        return begin_offload(session, server, asker, settings).id
