"""Is this process of use, and what do the tables say in numbers? For monitoring."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError

from app.db.models.base import now
from app.db.repo import metrics, watch
from app.db.session import reading
from app.scheduling.rules import alive_since
from app.services.context import Context
from app.services.remote_consoles import open_by_kind


@dataclass(frozen=True)
class Figures:
    """What is counted at each scrape."""

    servers: dict[str, int]
    #: (pipeline, state) -> runs
    runs: dict[tuple[str, str], int]
    hosts_alive: int
    hosts_silent: int
    oldest_queued_s: float
    #: kind -> consoles that somebody looks at
    consoles: dict[str, int]


def database_answers(context: Context) -> bool:
    """Say whether the database answers a question."""
    try:
        with reading(context.sessions) as session:
            metrics.ping(session)
    except SQLAlchemyError:
        return False
    return True


@dataclass(frozen=True)
class Readiness:
    """Which parts are there that a create needs to be carried out, not only accepted."""

    database: bool
    broker: bool
    control: bool


def readiness(context: Context) -> Readiness:
    """Look at the parts. Takes some seconds at most, when the broker is away."""
    if not database_answers(context):
        return Readiness(database=False, broker=context.publisher.broker_answers(), control=False)
    patience = timedelta(seconds=4 * context.settings.sweep_interval_s + 5)
    with reading(context.sessions) as session:
        row = watch.get(session)
        is_swept = row is not None and row.last_at > now() - patience
    return Readiness(database=True, broker=context.publisher.broker_answers(), control=is_swept)


def figures(context: Context) -> Figures:
    """Count."""
    with reading(context.sessions) as session:
        alive, silent = metrics.hosts_by_life(session, alive_since(context.settings))
        queued = metrics.oldest_queued(session)
        return Figures(
            servers=metrics.servers_by_status(session),
            runs=metrics.runs_by_state(session),
            hosts_alive=alive,
            hosts_silent=silent,
            consoles=open_by_kind(session),
            oldest_queued_s=(now() - queued).total_seconds() if queued else 0.0,
        )
