"""What becomes of the image that a run makes of a server's disk, when the run ends."""

from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from app.db.models import Run
from app.db.repo import images
from tasks.pipelines import CREATE_BACKUP

log = structlog.get_logger(__name__)


def give_image_up(session: Session, run: Run, moment: datetime) -> None:
    """Let go of the image of a run that ends without having made it. Its bytes, and what is just
    arriving of them, are the API's to remove (app.services.uploads.finish_deletions)."""
    if run.image_id is not None:
        images.give_up(session, [run.image_id], moment)


def rotate(session: Session, run: Run, moment: datetime) -> None:
    """Let go of a server's oldest backups of the run's kind beyond as many as were asked for; of
    the new one too if that is none, as Nova does."""
    if run.pipeline != CREATE_BACKUP or run.parameters is None:
        return
    kept = int(run.parameters["rotation"])
    old = images.backups(session, run.server_id, str(run.parameters["backup_type"]))[kept:]
    images.give_up(session, old, moment)
    if old:
        log.info("backups.rotated", server=run.server_id, images=old)
