"""Tell hosts what they have to learn of networks and security groups, until they have carried it
out.

What was noted (app.runs.fabric) is removed, the hosts that it concerns are found by all that has
been committed until then, and their revisions are raised. What is told of a revision is read after
it, so it is never older.

A change nudges the control side, which waits a tick: a burst of changes is one message to a host,
not one each. Nothing depends on the nudge or on the message: the sweep settles and sends what was
left, and sends again what a host that was heard of since has not carried out.
"""

from datetime import datetime, timedelta

import structlog
from celery.exceptions import SoftTimeLimitExceeded
from sqlalchemy.orm import Session

from app.db.models.base import now
from app.db.repo import fabric as repo
from app.db.repo import routers
from app.db.repo.fabric import HOST, MEMBERS, NETWORK, RULES, Due
from app.db.session import Sessions, reading
from app.runs.fabric import build
from app.runs.publish import FABRIC_TICK_S, Publisher
from config.settings import ControlSettings

log = structlog.get_logger(__name__)

#: Changes settled in one transaction, and hosts told in one go; the next one goes on.
CHANGES, HOSTS = 1000, 100

#: Seconds that a host has for carrying out what it was sent, before it is sent again: twice as long
#: each time, so often at most.
RESEND_AFTER_S, LONGEST_AFTER = 3.0, 6


def settle(sessions: Sessions, publisher: Publisher, settings: ControlSettings) -> None:
    """Raise the revisions of all hosts that changes concern, and tell those that are due."""
    moment = now()
    while _settle_some(sessions, moment):
        pass
    _heal(sessions, moment)
    alive_since = moment - timedelta(seconds=settings.host_silence_limit_s)
    with reading(sessions) as session:
        found = repo.due(
            session,
            alive_since=alive_since,
            sent_before=moment - timedelta(seconds=FABRIC_TICK_S),
            limit=HOSTS,
        )
    for host in found:
        _tell_alone(sessions, publisher, host)
    with reading(sessions) as session:
        left = repo.is_any_unsent(session, alive_since)
    if left:
        publisher.fabric_changed()


def _settle_some(sessions: Sessions, moment: datetime) -> bool:
    """Settle some changes; False if there were none."""
    with sessions.begin() as session:
        changes = repo.take_changes(session, CHANGES)
        concerned = _concerned(session, changes)
        if concerned:
            routers.stamp(session, repo.raise_revisions(session, concerned, moment))
    return bool(changes)


def _concerned(session: Session, changes: dict[str, set[str]]) -> set[str]:
    hosts = set(changes.get(HOST, ()))
    if NETWORK in changes:
        # What is on a network concerns all that routers lead to it.
        shared = routers.sharing(session, changes[NETWORK]).values()
        changes = {**changes, NETWORK: set().union(*shared)}
    for kind, find in (
        (RULES, repo.hosts_with_groups),
        (MEMBERS, repo.hosts_naming_groups),
        (NETWORK, repo.hosts_on_networks),
    ):
        if kind in changes:
            hosts |= find(session, changes[kind])
    return hosts


def _heal(sessions: Sessions, moment: datetime) -> None:
    """Overtake hosts that know more than this database, which has been put back to an older
    state."""
    with reading(sessions) as session:
        ahead = repo.ahead(session)
    if ahead:
        log.warning("fabric.behind_hosts", hosts=len(ahead))
        with sessions.begin() as session:
            repo.raise_revisions(session, ahead, moment)


def _tell_alone(sessions: Sessions, publisher: Publisher, host: Due) -> None:
    """Tell one host; whatever is wrong with it must not keep the others waiting."""
    try:
        _tell(sessions, publisher, host)
    except SoftTimeLimitExceeded:
        raise
    except Exception:
        log.exception("fabric.failed", host=host.host)


def _tell(sessions: Sessions, publisher: Publisher, host: Due) -> None:
    moment = now()
    pause_s = RESEND_AFTER_S * 2 ** min(host.sends, LONGEST_AFTER)
    with sessions.begin() as session:
        if not repo.mark_sent(session, host, moment, timedelta(seconds=pause_s)):
            return
    with reading(sessions) as session:
        order = build(session, host.hypervisor_id, host.host, host.revision)
    publisher.fabric(order)
    log.info("fabric.sent", host=host.host, revision=host.revision, sends=host.sends + 1)
