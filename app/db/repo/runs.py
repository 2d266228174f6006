"""Queries on runs, attempts and stages. Every write names what it expects to find."""

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.db.models import Attempt, Run, Stage

#: A run in one of these states has work before it.
OPEN = ("running", "unwinding")


def get(session: Session, run_id: str) -> Run | None:
    """Return the run, or None."""
    return session.get(Run, run_id)


def lock(session: Session, run_id: str) -> Run | None:
    """Return the run, locked until the transaction ends, or None."""
    query = select(Run).where(Run.id == run_id).with_for_update()
    return session.scalars(query.execution_options(populate_existing=True)).one_or_none()


def open_of_server(session: Session, server_id: str) -> list[Run]:
    """Return the server's runs that have work before them, locked, oldest first."""
    query = select(Run).where(Run.server_id == server_id, Run.state.in_(OPEN))
    return list(session.scalars(query.order_by(Run.created_at).with_for_update()))


def stages_of(session: Session, run: Run) -> list[Stage]:
    """Return the stages of the run's present attempt, in order."""
    query = select(Stage).where(Stage.run_id == run.id, Stage.attempt == run.attempt)
    return list(session.scalars(query.order_by(Stage.position)))


def get_stage(session: Session, run: Run, name: str) -> Stage | None:
    """Return one stage of the run's present attempt."""
    return session.get(Stage, (run.id, run.attempt, name))


def get_attempt(session: Session, run: Run) -> Attempt:
    """Return the run's present attempt. Raises LookupError if it has none."""
    attempt = session.get(Attempt, (run.id, run.attempt))
    if attempt is None:
        raise LookupError(f"run {run.id} has no attempt {run.attempt}")
    return attempt


def mark_published(session: Session, sent: Run, moment: datetime) -> None:
    """Note that the run's chain, as it was read, has been handed to the broker. A run that has
    moved on since then is still to be sent."""
    session.execute(
        update(Run)
        .where(Run.id == sent.id, Run.state == sent.state, Run.attempt == sent.attempt)
        .values(published_at=moment)
    )


def unpublished(session: Session, before: datetime, limit: int) -> list[str]:
    """Return ids of open runs, made before a moment, whose chain was never handed over."""
    query = select(Run.id).where(
        Run.state.in_(OPEN), Run.published_at.is_(None), Run.created_at < before
    )
    return list(session.scalars(query.order_by(Run.created_at).limit(limit)))


def overdue_runs(session: Session, now: datetime, limit: int) -> list[str]:
    """Return ids of open runs whose deadline has passed."""
    query = select(Run.id).where(Run.state.in_(OPEN), Run.deadline < now)
    return list(session.scalars(query.order_by(Run.deadline).limit(limit)))


def overdue_stages(session: Session, now: datetime, limit: int) -> list[tuple[str, int, str]]:
    """Return (run id, attempt, stage name) of stages at work past their deadline."""
    query = (
        select(Stage.run_id, Stage.attempt, Stage.name)
        .join(Run, (Run.id == Stage.run_id) & (Run.attempt == Stage.attempt))
        .where(Run.state.in_(OPEN), Stage.state == "running", Stage.deadline < now)
        .limit(limit)
    )
    return [(run_id, attempt, name) for run_id, attempt, name in session.execute(query)]


def cancel_open_stages(session: Session, run: Run, moment: datetime) -> None:
    """End the stages of the present attempt that have not ended."""
    session.execute(
        update(Stage)
        .where(
            Stage.run_id == run.id,
            Stage.attempt == run.attempt,
            Stage.state.in_(("waiting", "queued", "running")),
        )
        .values(state="cancelled", finished_at=moment)
    )
