"""A server's true status: what its domain was seen to do, once no run has it in hand."""

from dataclasses import replace
from datetime import datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from app.db.models import Server
from app.db.repo.drift import Resident
from app.runs.actions import ACTIVE, PAUSED, RESCUED, RESIZED, STOPPED, SUSPENDED, State
from app.runs.checkpoint import blame
from tasks.messages import DomainState, Failure

log = structlog.get_logger(__name__)

#: A run's end and a look at its host are told by different clocks and roads: a look is believed
#: that was taken so much later. An event is of one moment: what came before the run's end was the
#: run's own doing, as when it cuts a guest's power to start it anew, whenever it is heard of. What
#: else happened then is seen by the next look.
LOOK_AFTER = timedelta(seconds=10)
EVENT_AFTER = timedelta(0)

GONE = Failure(
    code="domain_gone",
    fault="host",
    public="The server's virtual machine is no longer on its host.",
)

_SHOWN: dict[DomainState, State] = {
    "running": ACTIVE,
    "paused": PAUSED,
    "shutoff": STOPPED,
    "crashed": replace(STOPPED, power_state=6),
}
_FOLLOWS = ("ACTIVE", "SHUTOFF", "PAUSED")


def is_settled(server: Resident, at: datetime, after: timedelta) -> bool:
    """Say whether what was seen then is what became of the server, and not what a run was making
    of it."""
    if server.busy:
        return False
    return server.run_ended_at is None or server.run_ended_at + after < at


def differs(server: Resident, state: DomainState | None) -> bool:
    """Say whether the server has to be shown otherwise; None is a domain that is not there."""
    if server.status == RESIZED.status:
        # What becomes of it is for its owner to say; only its power is followed.
        return state is None or server.power_state != _SHOWN[state].power_state
    if server.status in _FOLLOWS:
        return state is None or not _is_shown(server, _SHOWN[state])
    if server.status == SUSPENDED.status:
        # A saved domain is off. It is gone on with, or gone, by somebody else's doing only.
        return state not in ("shutoff", "crashed")
    if server.status == RESCUED.status:
        return state is None or server.power_state != _SHOWN[state].power_state
    return server.status == "ERROR" and server.fault == GONE.code and state is not None


def _is_shown(server: Resident, state: State) -> bool:
    return (server.status, server.power_state) == (state.status, state.power_state)


def show(session: Session, server: Server, state: DomainState | None, moment: datetime) -> None:
    """Show the server as its domain is."""
    before = server.status
    if state is None:
        blame(server, GONE, moment)
    else:
        if server.fault is not None and server.fault.reason == GONE.code:
            session.delete(server.fault)
        shown = _SHOWN[state]
        if server.status not in (RESCUED.status, RESIZED.status):
            # What is rescued, or waits for a word, stays so, whatever its guest does.
            server.status, server.vm_state = shown.status, shown.vm_state
        server.power_state = shown.power_state
    log.info(
        "server.status_followed",
        server=server.id,
        domain=state or "gone",
        before=before,
        status=server.status,
    )
