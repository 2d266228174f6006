"""What becomes of the images that a run makes of a server's disks, when the run ends."""

from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from app.db.models import Run
from app.db.repo import images, migrations
from tasks.pipelines import CREATE_BACKUP, MOVES

log = structlog.get_logger(__name__)


def give_images_up(session: Session, run: Run, moment: datetime) -> None:
    """Let go of the image of a run that ends without having made it, and of those in which a server
    has moved. Their bytes, and what is just arriving of them, are the API's to remove
    (app.services.uploads.finish_deletions)."""
    if found := images_of(session, run):
        images.give_up(session, found, moment)


def images_of(session: Session, run: Run) -> list[str]:
    """Return the ids of the images that the run makes of its server's disks."""
    found = [run.image_id] if run.image_id is not None else []
    if run.pipeline in MOVES and (migration := migrations.of_run(session, run.id)) is not None:
        found += [disk["image_id"] for disk in migration.carried]
    return found


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
