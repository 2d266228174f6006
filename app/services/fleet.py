"""The hypervisors: who is there, what they have and do, when they were last heard of."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.db.models import Hypervisor
from app.db.repo import fabric, hypervisors, runs
from app.db.session import Sessions, reading
from app.runs.fabric import note_moved
from config.settings import ControlSettings
from tasks.messages import Heartbeat

#: A beat of a worker's former life that arrives this much late, in seconds, is not believed.
_FORMER_LIFE_S = 300.0


@dataclass(frozen=True)
class Seen:
    """What a heartbeat told that was not known."""

    registered: bool = False
    #: The worker has started anew: what its former life had in hand, nobody has.
    restarted: bool = False


def note_heartbeat(
    sessions: Sessions, settings: ControlSettings, heartbeat: Heartbeat, moment: datetime
) -> Seen:
    """Write down a host's sign of life, its inventory, and what it has in hand."""
    with reading(sessions) as session:
        host = hypervisors.by_name(session, heartbeat.host)
    if host is not None:
        if _is_of_former_life(host, heartbeat):
            return Seen()
        # First, or a sweep could see a living host that names nothing. And apart: who writes a
        # stage locks its run, and the host's row after it.
        with sessions.begin() as session:
            until = moment + timedelta(seconds=settings.stage_lease_s)
            runs.renew_leases(session, heartbeat.at_work, until)
        with sessions.begin() as session:
            restarted = _note(session, settings, host, heartbeat, moment)
        if restarted:
            # Messages that its former life had taken and not begun: a canary tells them from those
            # that still wait in the queue.
            with sessions.begin() as session:
                runs.end_leases_on(session, host.id, moment)
        return Seen(restarted=restarted)
    try:
        with sessions.begin() as session:
            number = hypervisors.next_number(session)
            row = Hypervisor(name=heartbeat.host, number=number, **_facts(heartbeat, moment))
            session.add(row)
            session.flush()
            fabric.begin(session, row.id, moment)
    except IntegrityError:
        # Another process registered a host at the same moment; the next beat finds its row.
        return Seen()
    return Seen(registered=True)


def _note(
    session: Session,
    settings: ControlSettings,
    host: Hypervisor,
    heartbeat: Heartbeat,
    moment: datetime,
) -> bool:
    """Write the host's row; True if its worker has started anew."""
    restarted = host.process != heartbeat.process
    facts = _facts(heartbeat, moment)
    if restarted:
        # It has answered no canary yet, and must not be called deaf for those of its former life.
        facts["canary_answered_at"], facts["deaf_since"] = moment, None
    if host.lost_at is not None and host.last_seen_at < _silence(settings, moment):
        facts["surveyed_at"] = None
    hypervisors.update_seen(session, heartbeat.host, facts)
    if restarted:
        # It may have lost what it was told.
        fabric.send_anew(session, host.id, moment)
    if heartbeat.host_ip != host.host_ip:
        note_moved(session, host.id)
    return restarted


def _is_of_former_life(host: Hypervisor, heartbeat: Heartbeat) -> bool:
    late_s = host.heartbeat_sent_at - heartbeat.sent_at
    return host.process != heartbeat.process and 0 <= late_s < _FORMER_LIFE_S


def _silence(settings: ControlSettings, moment: datetime) -> datetime:
    return moment - timedelta(seconds=settings.host_silence_limit_s)


def _facts(heartbeat: Heartbeat, moment: datetime) -> dict[str, object]:
    return {
        **heartbeat.inventory.model_dump(),
        "host_ip": heartbeat.host_ip,
        "worker": heartbeat.worker,
        "process": heartbeat.process,
        "heartbeat_sent_at": heartbeat.sent_at,
        "slots": heartbeat.slots,
        "busy": heartbeat.busy,
        "fabric_carried_out": heartbeat.fabric,
        "refused_floating_ips": heartbeat.refused_floating_ips,
        "last_seen_at": moment,
    }
