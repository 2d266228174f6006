"""Canaries that have come through a queue: what was sent before them has been taken, or is lost."""

from datetime import datetime

from app.db.repo import watch
from app.db.session import Sessions


def note_canary(sessions: Sessions, host: str | None, sent_at: datetime) -> None:
    """Note a canary of a host's queue, or of the control queue. Either one came through the control
    queue at last, as an answer or by itself."""
    with sessions.begin() as session:
        watch.heard(session, sent_at)
        if host is not None:
            watch.host_answered(session, host, sent_at)
