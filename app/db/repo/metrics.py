"""Counts over whole tables, for monitoring."""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db.models import Hypervisor, Run, Server, Stage
from app.db.repo.runs import OPEN


def ping(session: Session) -> None:
    """Ask the database anything."""
    session.execute(select(1))


def servers_by_status(session: Session) -> dict[str, int]:
    """Return how many live servers have each status."""
    query = select(Server.status, func.count()).where(Server.deleted_at.is_(None))
    return {status: int(count) for status, count in session.execute(query.group_by(Server.status))}


def runs_by_state(session: Session) -> dict[tuple[str, str], int]:
    """Return how many runs there are of each pipeline and state."""
    query = select(Run.pipeline, Run.state, func.count()).group_by(Run.pipeline, Run.state)
    return {(pipeline, state): count for pipeline, state, count in session.execute(query)}


def hosts_by_life(session: Session, since: datetime) -> tuple[int, int]:
    """Return how many hosts have been heard of since a moment, and how many have not."""
    total = session.scalar(select(func.count()).select_from(Hypervisor)) or 0
    alive = session.scalar(select(func.count()).where(Hypervisor.last_seen_at >= since)) or 0
    return alive, total - alive


def oldest_queued(session: Session) -> datetime | None:
    """Return since when the stage that has waited longest for a worker waits, or None."""
    query = (
        select(func.min(Stage.queued_at))
        .join(Run, (Run.id == Stage.run_id) & (Run.attempt == Stage.attempt))
        .where(Run.state == OPEN, Stage.state == "queued")
    )
    return session.scalar(query)
