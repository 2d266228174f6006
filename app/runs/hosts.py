"""Hosts that are away or do not listen: noticed, given up, and taken back.

A host is silent when its heartbeats stop, and deaf when it beats but canaries through its queue get
no answer though it has a slot free. Either keeps new servers away at once. After
`host_lost_after_s` it is given up: creates go elsewhere, deletes and offloads leave their work
there owed, other actions fail.
A silent host that was given up must be looked through, and have done what it owes, before it gets
a new server.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from app.db.models import Hypervisor, Run, Server
from app.db.repo import runs, watch
from app.db.session import Sessions
from app.runs.attempts import skip_host
from app.runs.checkpoint import fail, moment_of
from app.runs.publish import Publisher
from app.runs.start import Asker, owe_purge, owe_unwind
from config.settings import ControlSettings
from tasks.errors import ByreError, HostDeaf, HostLost
from tasks.messages import StageReport
from tasks.pipelines import DELETE, OFFLOAD, OWED, REMOVALS

log = structlog.get_logger(__name__)

#: A control side that has not heard its own canary for so long, in seconds, judges nobody.
_HEARD_WITHIN_S = 30.0

#: Canaries sent, and runs taken off lost hosts, in one sweep.
BATCH = 500


def review(
    sessions: Sessions, publisher: Publisher, settings: ControlSettings, moment: datetime
) -> list[tuple[str, ByreError]]:
    """Mark hosts as lost or deaf, and as back; send the canaries that are due. Returns the ids of
    runs that are to leave their host, each with the reason."""
    with sessions.begin() as session:
        since = watch.since(session, moment)
        _mark_lost(session, settings, moment, since)
        _mark_deaf(session, settings, moment, since)
        _take_back(session, settings, moment)
        leaving = _leaving(session, settings, moment)
        due = watch.canaries_due(
            session,
            alive_since=moment - timedelta(seconds=settings.host_silence_limit_s),
            sent_before=moment - timedelta(seconds=settings.canary_interval_s),
            limit=BATCH,
        )
        watch.note_canaries(session, due, moment)
    for host in due:
        publisher.canary(host, moment)
    return leaving


def leave(
    session: Session,
    settings: ControlSettings,
    run: Run,
    report: Callable[[str], StageReport],
) -> None:
    """Take one run, locked by the caller, off its host. What only cleans up there waits for it."""
    rows = runs.stages_of(session, run)
    standing = next((row for row in rows if row.state in runs.OPEN_STAGE), None)
    if standing is None:
        return
    told = report(standing.name)
    if run.pipeline not in REMOVALS:
        fail(session, settings, told)
    elif run.pipeline in (DELETE, OFFLOAD) and told.failure and run.hypervisor_id is not None:
        if run.pipeline == OFFLOAD:
            owe_unwind(session, run, settings)
        else:
            server = session.get_one(Server, run.server_id)
            asker = Asker(run.request_id, run.user_id)
            owe_purge(session, server, run.hypervisor_id, asker, settings)
        skip_host(session, run, moment_of(told.at), told.failure)


def _mark_lost(
    session: Session, settings: ControlSettings, moment: datetime, since: datetime
) -> None:
    limit = moment - timedelta(seconds=settings.host_lost_after_s)
    if since > limit:
        return
    for host in watch.silent_hosts(session, limit):
        host.lost_at = moment
        log.error("hypervisor.lost", host=host.name, last_seen_at=str(host.last_seen_at))


def _mark_deaf(
    session: Session, settings: ControlSettings, moment: datetime, since: datetime
) -> None:
    """Only who has a slot free and was asked long ago can be called deaf, and only by a control
    side that hears itself."""
    limit = moment - timedelta(seconds=settings.canary_limit_s)
    row = watch.get(session)
    heard = row.canary_answered_at if row else None
    if since < limit and heard is not None and heard > moment - timedelta(seconds=_HEARD_WITHIN_S):
        for host in watch.deaf_hosts(session, limit):
            host.deaf_since = moment
            log.error("hypervisor.deaf", host=host.name, answered=str(host.canary_answered_at))
    for host in watch.hearing_hosts(session):
        host.deaf_since = None
        log.info("hypervisor.hears_again", host=host.name)


def _take_back(session: Session, settings: ControlSettings, moment: datetime) -> None:
    alive = moment - timedelta(seconds=settings.host_silence_limit_s)
    for host in watch.returned_hosts(session, alive):
        host.lost_at = None
        log.info("hypervisor.taken_back", host=host.name)


def _leaving(
    session: Session, settings: ControlSettings, moment: datetime
) -> list[tuple[str, ByreError]]:
    deaf_before = moment - timedelta(seconds=settings.host_lost_after_s)
    alive_since = moment - timedelta(seconds=settings.host_silence_limit_s)
    given_up = watch.given_up(session, alive_since=alive_since, deaf_before=deaf_before)
    reasons = {host.id: _reason(host) for host in given_up}
    found = runs.on_hosts(session, list(reasons), BATCH) if reasons else []
    return [
        (run.id, reasons[run.hypervisor_id])
        for run in found
        if run.hypervisor_id is not None and run.pipeline not in OWED
    ]


def _reason(host: Hypervisor) -> ByreError:
    if host.deaf_since is not None:
        return HostDeaf("The hypervisor's worker takes no work.", host=host.name)
    return HostLost("The hypervisor was not heard of any more.", host=host.name)
