"""The hypervisors: who is there, what they have, when they were last heard of."""

from datetime import datetime

from sqlalchemy.exc import IntegrityError

from app.db.models import Hypervisor
from app.db.repo import hypervisors
from app.db.session import Sessions
from tasks.messages import Heartbeat


def note_heartbeat(sessions: Sessions, heartbeat: Heartbeat, moment: datetime) -> bool:
    """Write down a host's sign of life and inventory; True if it was not known before."""
    with sessions.begin() as session:
        if hypervisors.update_seen(session, heartbeat.host, _facts(heartbeat, moment)):
            return False
    try:
        with sessions.begin() as session:
            number = hypervisors.next_number(session)
            session.add(Hypervisor(name=heartbeat.host, number=number, **_facts(heartbeat, moment)))
    except IntegrityError:
        # Another process registered a host at the same moment; the next beat finds its row.
        return False
    return True


def _facts(heartbeat: Heartbeat, moment: datetime) -> dict[str, object]:
    return {
        **heartbeat.inventory.model_dump(),
        "host_ip": heartbeat.host_ip,
        "worker": heartbeat.worker,
        "last_seen_at": moment,
    }
