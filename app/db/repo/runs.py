"""Queries on runs, attempts and stages. Every write names what it expects to find."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, and_, case, func, or_, select, tuple_, update
from sqlalchemy.orm import Session

from app.db.models import Attempt, Hypervisor, Run, Stage
from tasks.messages import AttemptRef
from tasks.pipelines import COMPUTE_STAGES, REMOVALS

#: The state of a run that has work before it.
OPEN = "running"

#: States of a stage that has not ended.
OPEN_STAGE = ("waiting", "queued", "running")

_PRESENT = (Run.id == Stage.run_id) & (Run.attempt == Stage.attempt)


def get(session: Session, run_id: str) -> Run | None:
    """Return the run, or None."""
    return session.get(Run, run_id)


def lock(session: Session, run_id: str) -> Run | None:
    """Return the run, locked until the transaction ends, or None."""
    query = select(Run).where(Run.id == run_id).with_for_update()
    return session.scalars(query.execution_options(populate_existing=True)).one_or_none()


def open_of_server(session: Session, server_id: str) -> list[Run]:
    """Return the server's runs that have work before them, locked, oldest first."""
    query = select(Run).where(Run.server_id == server_id, Run.state == OPEN)
    return list(session.scalars(query.order_by(Run.created_at).with_for_update()))


def under_way(session: Session, server_id: str, pipelines: Collection[str]) -> bool:
    """Say whether a run of these pipelines has work before it on the server. Locks nothing."""
    query = select(Run.id).where(
        Run.server_id == server_id, Run.state == OPEN, Run.pipeline.in_(pipelines)
    )
    return session.scalar(query.limit(1)) is not None


def others_open(session: Session, run: Run) -> bool:
    """Say whether another run of the same server has work before it."""
    query = select(Run.id).where(
        Run.server_id == run.server_id, Run.state == OPEN, Run.id != run.id
    )
    return session.scalar(query.limit(1)) is not None


def hosts_owing(session: Session, server_id: str) -> list[str]:
    """Return names of the hosts on which something of the server is still to be removed."""
    query = select(Hypervisor.name).join(Run, Run.hypervisor_id == Hypervisor.id)
    query = query.where(Run.server_id == server_id, Run.state == OPEN, Run.pipeline.in_(REMOVALS))
    return list(session.scalars(query.distinct()))


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


def attempts_of(session: Session, run: Run) -> list[Attempt]:
    """Return all of the run's attempts, in order."""
    query = select(Attempt).where(Attempt.run_id == run.id).order_by(Attempt.number)
    return list(session.scalars(query))


def unfinished_begins(session: Session, run: Run, name: str) -> int:
    """Count how often the stage was begun in an attempt of this run, on its present host, that
    ended without the stage's end."""
    moved_at = select(func.max(Attempt.number)).where(
        Attempt.run_id == run.id, Attempt.state == "failed"
    )
    query = select(func.count()).where(
        Stage.run_id == run.id,
        Stage.name == name,
        Stage.attempt > func.coalesce(moved_at.scalar_subquery(), 0),
        Stage.started_at.is_not(None),
        Stage.state.in_(("running", "cancelled")),
    )
    return session.scalar(query) or 0


def cancel_open_stages(session: Session, run: Run, moment: datetime) -> None:
    """End the stages of the present attempt that have not ended."""
    session.execute(
        update(Stage)
        .where(
            Stage.run_id == run.id,
            Stage.attempt == run.attempt,
            Stage.state.in_(OPEN_STAGE),
        )
        .values(state="cancelled", finished_at=moment)
    )


# --- who has a run in hand ---------------------------------------------------------------------


def mark_published(session: Session, sent: Run, moment: datetime, lease_until: datetime) -> None:
    """Note that the run's chain, as it was read, has been handed to the broker. A run that has
    moved on since then is still to be sent; a worker that was quicker keeps its longer lease."""
    longer = case((Run.lease_until > lease_until, Run.lease_until), else_=lease_until)
    session.execute(
        update(Run)
        .where(Run.id == sent.id, Run.state == OPEN, Run.attempt == sent.attempt)
        .values(published_at=moment, lease_until=longer)
        .execution_options(synchronize_session=False)
    )


def renew_leases(session: Session, at_work: Collection[AttemptRef], lease_until: datetime) -> None:
    """Prolong the leases of these attempts, as far as they are still the present ones. A run that
    is just being written is left to its writer: nobody waits here for many locks at once."""
    if not at_work:
        return
    refs = [(ref.run_id, ref.attempt) for ref in at_work]
    query = select(Run.id).where(
        tuple_(Run.id, Run.attempt).in_(refs), Run.state == OPEN, Run.lease_until < lease_until
    )
    found = list(session.scalars(query.with_for_update(skip_locked=True)))
    if found:
        session.execute(
            update(Run)
            .where(Run.id.in_(found))
            .values(lease_until=lease_until)
            .execution_options(synchronize_session=False)
        )


def end_leases_on(session: Session, hypervisor_id: str, moment: datetime) -> None:
    """Let the leases of all that was sent to this host end now."""
    session.execute(
        update(Run)
        .where(Run.hypervisor_id == hypervisor_id, Run.published_at.is_not(None), Run.state == OPEN)
        .where(Run.lease_until > moment)
        .values(lease_until=moment)
        .execution_options(synchronize_session=False)
    )


def unpublished(session: Session, moment: datetime, limit: int) -> list[str]:
    """Return ids of open runs that are still to be sent and that nobody is about to send."""
    query = select(Run.id).where(
        Run.state == OPEN, Run.published_at.is_(None), Run.lease_until < moment
    )
    return list(session.scalars(query.order_by(Run.lease_until).limit(limit)))


def _lapsed(moment: datetime) -> ColumnElement[bool]:
    return and_(Run.state == OPEN, Run.published_at.is_not(None), Run.lease_until < moment)


def orphaned(
    session: Session, moment: datetime, reports_until: datetime, limit: int
) -> list[tuple[str, int]]:
    """Return (id, attempt) of runs of which it is proved that nobody carries them on.

    `reports_until`: every report sent before then has been taken in. A lease that lapsed before it
    has really lapsed. Beyond that, a stage at work on a host needs a later sign of life of that
    host, which did not name the run; one that waits in a host's queue needs a canary that was sent
    later and has come through.
    """
    on_host = Stage.name.in_(COMPUTE_STAGES)
    abandoned = and_(Stage.state == "running", Hypervisor.last_seen_at > Run.lease_until)
    overtaken = and_(Stage.state == "queued", Hypervisor.canary_answered_at > Run.lease_until)
    query = (
        # What DISTINCT is ordered by must be among what is selected (PostgreSQL).
        select(Run.id, Run.attempt, Run.lease_until)
        .join(Stage, _PRESENT)
        .join(Hypervisor, Hypervisor.id == Run.hypervisor_id, isouter=True)
        .where(
            _lapsed(moment),
            Run.lease_until < reports_until,
            Stage.state.in_(("queued", "running")),
            or_(~on_host, abandoned, overtaken),
        )
        .order_by(Run.lease_until)
        .distinct()
        .limit(limit)
    )
    return [(run_id, attempt) for run_id, attempt, _ in session.execute(query)]


def suspicious_hosts(session: Session, moment: datetime) -> list[str]:
    """Return names of the hosts on which a run's lease has lapsed."""
    query = (
        select(Hypervisor.name).join(Run, Run.hypervisor_id == Hypervisor.id).where(_lapsed(moment))
    )
    return list(session.scalars(query.distinct()))


def left_by(session: Session, worker: str, process: str) -> list[tuple[str, int]]:
    """Return (id, attempt) of runs whose stage was at work in another life of this worker."""
    query = (
        select(Run.id, Run.attempt)
        .join(Stage, _PRESENT)
        .where(
            Run.state == OPEN,
            Stage.state == "running",
            Stage.worker == worker,
            Stage.process != process,
        )
        .distinct()
    )
    return [(run_id, attempt) for run_id, attempt in session.execute(query)]


def on_hosts(session: Session, hypervisor_ids: Collection[str], limit: int) -> list[Run]:
    """Return open runs with a stage on one of these hosts before them."""
    query = (
        select(Run)
        .join(Stage, _PRESENT)
        .where(
            Run.state == OPEN,
            Run.hypervisor_id.in_(hypervisor_ids),
            Stage.name.in_(COMPUTE_STAGES),
            Stage.state.in_(OPEN_STAGE),
        )
        .limit(limit)
    )
    return list(session.scalars(query).unique())


def open_on(session: Session, hypervisor_id: str) -> list[Run]:
    """Return all open runs that have to do with this host."""
    query = select(Run).where(Run.state == OPEN, Run.hypervisor_id == hypervisor_id)
    return list(session.scalars(query.order_by(Run.created_at)))


# --- what is overdue ---------------------------------------------------------------------------


def overdue_runs(session: Session, now: datetime, limit: int) -> list[str]:
    """Return ids of open runs whose deadline has passed."""
    query = select(Run.id).where(Run.state == OPEN, Run.deadline < now)
    return list(session.scalars(query.order_by(Run.deadline).limit(limit)))


def overdue_stages(session: Session, now: datetime, limit: int) -> list[tuple[str, int, str]]:
    """Return (run id, attempt, stage name) of stages at work past their deadline."""
    query = (
        select(Stage.run_id, Stage.attempt, Stage.name)
        .join(Run, _PRESENT)
        .where(Run.state == OPEN, Stage.state == "running", Stage.deadline < now)
        .limit(limit)
    )
    return [(run_id, attempt, name) for run_id, attempt, name in session.execute(query)]
