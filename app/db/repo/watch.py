"""Queries on the sweep's own row, and on hosts that it watches."""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.db.models import Hypervisor, Run, Watch
from app.db.repo.runs import OPEN
from tasks.pipelines import REMOVALS


def get(session: Session) -> Watch | None:
    """Return the sweep's row, or None before the first sweep."""
    return session.get(Watch, 1)


def note(session: Session, moment: datetime, longest_gap: timedelta) -> None:
    """Note a sweep. After a longer gap than that, the watch begins anew."""
    row = session.get(Watch, 1, with_for_update=True)
    if row is None:
        try:
            with session.begin_nested():
                session.add(Watch(id=1, since=moment, last_at=moment))
        except IntegrityError:
            # Another sweeper was first.
            return
        return
    if moment - row.last_at > longest_gap:
        row.since = moment
    row.last_at = max(row.last_at, moment)


def since(session: Session, moment: datetime) -> datetime:
    """Return since when the sweep has been watching."""
    row = get(session)
    return row.since if row else moment


def heard(session: Session, sent_at: datetime) -> None:
    """Note that a canary has come through the control queue."""
    session.execute(
        update(Watch)
        .where(or_(Watch.canary_answered_at.is_(None), Watch.canary_answered_at < sent_at))
        .values(canary_answered_at=sent_at)
        .execution_options(synchronize_session=False)
    )


def host_answered(session: Session, host: str, sent_at: datetime) -> None:
    """Note that a canary has come through a host's queue."""
    answered = Hypervisor.canary_answered_at
    session.execute(
        update(Hypervisor)
        .where(Hypervisor.name == host, or_(answered.is_(None), answered < sent_at))
        .values(canary_answered_at=sent_at)
        .execution_options(synchronize_session=False)
    )


def canaries_due(
    session: Session, *, alive_since: datetime, sent_before: datetime, limit: int
) -> list[str]:
    """Return names of living hosts that were not asked for a while."""
    sent = Hypervisor.canary_sent_at
    query = select(Hypervisor.name).where(
        Hypervisor.last_seen_at >= alive_since, or_(sent.is_(None), sent < sent_before)
    )
    return list(session.scalars(query.order_by(Hypervisor.number).limit(limit)))


def note_canaries(session: Session, hosts: Collection[str], moment: datetime) -> None:
    """Note that canaries are sent to these hosts now."""
    if hosts:
        session.execute(
            update(Hypervisor)
            .where(Hypervisor.name.in_(hosts))
            .values(canary_sent_at=moment)
            .execution_options(synchronize_session=False)
        )


def silent_hosts(session: Session, limit: datetime) -> list[Hypervisor]:
    """Return hosts not heard of since the limit that are not given up yet."""
    query = select(Hypervisor).where(Hypervisor.last_seen_at < limit, Hypervisor.lost_at.is_(None))
    return list(session.scalars(query))


def deaf_hosts(session: Session, limit: datetime) -> list[Hypervisor]:
    """Return hosts that beat, have a slot free, and have answered no canary since the limit."""
    answered = func.coalesce(Hypervisor.canary_answered_at, Hypervisor.created_at)
    query = select(Hypervisor).where(
        Hypervisor.last_seen_at > limit,
        Hypervisor.deaf_since.is_(None),
        Hypervisor.busy < Hypervisor.slots,
        Hypervisor.canary_sent_at > answered,
        answered < limit,
    )
    return list(session.scalars(query))


def hearing_hosts(session: Session) -> list[Hypervisor]:
    """Return hosts that were deaf and have answered since."""
    query = select(Hypervisor).where(
        Hypervisor.deaf_since.is_not(None), Hypervisor.canary_answered_at > Hypervisor.deaf_since
    )
    return list(session.scalars(query))


def returned_hosts(session: Session, alive_since: datetime) -> list[Hypervisor]:
    """Return hosts that were given up, are heard of again, were looked through since, and owe
    nothing any more."""
    owed = select(Run.id).where(
        Run.hypervisor_id == Hypervisor.id, Run.state == OPEN, Run.pipeline.in_(REMOVALS)
    )
    query = select(Hypervisor).where(
        Hypervisor.lost_at.is_not(None),
        Hypervisor.last_seen_at >= alive_since,
        Hypervisor.surveyed_at.is_not(None),
        ~owed.exists(),
    )
    return list(session.scalars(query))


def given_up(session: Session, *, alive_since: datetime, deaf_before: datetime) -> list[Hypervisor]:
    """Return hosts on which nothing can be done: silent and given up, or deaf for long."""
    silent = and_(Hypervisor.lost_at.is_not(None), Hypervisor.last_seen_at < alive_since)
    query = select(Hypervisor).where(or_(silent, Hypervisor.deaf_since < deaf_before))
    return list(session.scalars(query))
