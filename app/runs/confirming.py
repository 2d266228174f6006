"""Confirm resizes that have waited for their owners' word for as long as they may."""

import uuid
from datetime import datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from app.db.models import Run, Server
from app.db.repo import migrations, servers
from app.db.session import Sessions, reading
from app.runs import resizes
from app.runs.publish import Publisher
from app.runs.start import Asker, start_run
from config.settings import ControlSettings
from tasks.pipelines import CONFIRM_RESIZE

log = structlog.get_logger(__name__)

#: Resizes that one sweep confirms; the next one goes on.
BATCH = 100


def confirm_overdue(
    sessions: Sessions, publisher: Publisher, settings: ControlSettings, moment: datetime
) -> None:
    """Confirm what has waited for its owner's word for as long as it may."""
    if not settings.resize_confirm_window_s:
        return
    before = moment - timedelta(seconds=settings.resize_confirm_window_s)
    with reading(sessions) as session:
        overdue = migrations.waiting_since(session, before, BATCH)
    for server_id in overdue:
        with sessions.begin() as session:
            run = _confirm(session, settings, server_id, moment)
        if run is not None:
            log.info("resize.confirmed_by_itself", server=server_id)
            publisher.publish(run.id)


def _confirm(
    session: Session, settings: ControlSettings, server_id: str, moment: datetime
) -> Run | None:
    servers.lock_runs(session, server_id)
    migration = migrations.unsettled(session, server_id)
    server = session.get_one(Server, server_id)
    if migration is None or migration.waits_since is None or server.task_state is not None:
        return None
    # If it fails, it is tried again after the same time.
    migration.waits_since = moment
    return start_run(
        session,
        server,
        CONFIRM_RESIZE,
        asker=Asker(f"req-{uuid.uuid4()}", migration.user_id),
        settings=settings,
        hypervisor_id=server.hypervisor_id,
        without=resizes.unneeded(CONFIRM_RESIZE, migration),
    )
