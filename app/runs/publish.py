"""Hand a run's chain to the broker, after the commit that wrote the run.

What is sent is read from the rows, so it can be sent again at any time by anybody. A broker that
is down costs nothing but time: the run stays unpublished and the sweeper sends it.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog
from celery import Celery, chain
from kombu.exceptions import OperationalError

from app.db.models.base import now
from app.db.repo import runs
from app.db.session import Sessions, reading
from app.runs.envelope import Chain, remaining
from config.queues import (
    CANARY,
    DESCRIBE_DOMAIN,
    DIAGNOSE,
    FABRIC,
    FABRIC_CHANGED,
    FORGET_PASSWORDS,
    OPEN_CONSOLE,
    READ_CONSOLE,
    TIDY,
    WARM_CACHE,
)
from config.settings import ControlSettings
from tasks.messages import (
    Canary,
    DescribeDomain,
    Diagnose,
    Fabric,
    ForgetPasswords,
    OpenConsole,
    ReadConsole,
    Tidy,
    WarmCache,
)

log = structlog.get_logger(__name__)

#: Seconds after which a canary or an order to tidy up that nobody took is worth nothing.
_STALE_AFTER_S = 60.0

#: Seconds for which changes are gathered before hosts are told (app.runs.fabric).
FABRIC_TICK_S = 0.3


class Publisher(Protocol):
    """Sends what the rows say is to be done. Never raises because of the broker."""

    def publish(self, run_id: str) -> None:
        """Send the run's chain."""
        ...

    def canary(self, host: str | None, moment: datetime) -> None:
        """Send a canary through a host's queue, or through the control queue."""
        ...

    def tidy(self, order: Tidy) -> None:
        """Send a host what it is to quarantine and to remove."""
        ...

    def fabric_changed(self) -> None:
        """Have the changes settled that hosts are to learn of."""
        ...

    def fabric(self, order: Fabric) -> None:
        """Tell a host of its networks and groups."""
        ...

    def warm(self, order: WarmCache) -> None:
        """Send a host which images it is to have in its cache."""
        ...

    def read_console(self, order: ReadConsole) -> None:
        """Ask a host what a server's console says."""
        ...

    def open_console(self, order: OpenConsole) -> None:
        """Have a host let somebody in to a server's console."""
        ...

    def describe_domain(self, order: DescribeDomain) -> None:
        """Ask a host how it would describe a domain."""
        ...

    def diagnose(self, order: Diagnose) -> None:
        """Ask a host what a server's machine has used."""
        ...

    def forget_passwords(self, order: ForgetPasswords) -> None:
        """Tell a host which of its guests' passwords were cleared."""
        ...

    def broker_answers(self) -> bool:
        """Say whether the broker can be reached; takes about a second at most."""
        ...


class CeleryPublisher:
    """The publisher of a running system."""

    def __init__(self, celery: Celery, sessions: Sessions, settings: ControlSettings) -> None:
        self._celery, self._sessions, self._settings = celery, sessions, settings
        self._nudged_at = float("-inf")

    def publish(self, run_id: str) -> None:
        """Send what is left of the run as one Celery chain, and note that it was sent."""
        with reading(self._sessions) as session:
            run = runs.get(session, run_id)
            if run is None or run.state != runs.OPEN:
                return
            todo = remaining(session, run, self._settings)
        if todo is not None and self._send(todo):
            moment = now()
            lease_until = moment + timedelta(seconds=self._settings.handover_s)
            with self._sessions.begin() as session:
                runs.mark_published(session, run, moment, lease_until)

    def canary(self, host: str | None, moment: datetime) -> None:
        """Send a canary."""
        message = Canary(host=host, sent_at=moment.timestamp())
        self._one(CANARY, message.model_dump())

    def tidy(self, order: Tidy) -> None:
        """Send the order."""
        self._one(TIDY, order.model_dump())

    def fabric_changed(self) -> None:
        """Send a nudge that is taken a tick later, unless the one that this process sent last is
        still to be taken: it will find what has been committed until then."""
        moment = time.monotonic()
        if moment - self._nudged_at < FABRIC_TICK_S:
            return
        self._nudged_at = moment
        _tried(
            lambda: self._celery.send_task(
                FABRIC_CHANGED, countdown=FABRIC_TICK_S, expires=_STALE_AFTER_S
            ),
            "message.not_sent",
            task=FABRIC_CHANGED,
        )

    def fabric(self, order: Fabric) -> None:
        """Send the order."""
        self._one(FABRIC, order.model_dump())

    def warm(self, order: WarmCache) -> None:
        """Send the order."""
        self._one(WARM_CACHE, order.model_dump())

    def read_console(self, order: ReadConsole) -> None:
        """Send the question."""
        self._one(READ_CONSOLE, order.model_dump())

    def open_console(self, order: OpenConsole) -> None:
        """Send the order."""
        self._one(OPEN_CONSOLE, order.model_dump())

    def describe_domain(self, order: DescribeDomain) -> None:
        """Send the question."""
        self._one(DESCRIBE_DOMAIN, order.model_dump())

    def diagnose(self, order: Diagnose) -> None:
        """Send the question."""
        self._one(DIAGNOSE, order.model_dump())

    def forget_passwords(self, order: ForgetPasswords) -> None:
        """Send the order."""
        self._one(FORGET_PASSWORDS, order.model_dump())

    def broker_answers(self) -> bool:
        """Open a connection, or see that there is one."""

        def connect() -> None:
            with self._celery.connection_for_write(connect_timeout=1.0) as connection:
                connection.ensure_connection(max_retries=1, interval_start=0, timeout=1)

        return _tried(connect, "broker.silent")

    def _send(self, todo: Chain) -> bool:
        first, *others = todo.names
        links = [self._celery.signature(first, args=(todo.envelope.model_dump(),))]
        links += [self._celery.signature(name) for name in others]
        run_id = todo.envelope.job.run_id
        return _tried(
            lambda: chain(*links, app=self._celery).apply_async(),
            "run.not_published",
            run_id=run_id,
        )

    def _one(self, task: str, message: dict[str, Any]) -> None:
        _tried(
            lambda: self._celery.send_task(task, args=[message], expires=_STALE_AFTER_S),
            "message.not_sent",
            task=task,
        )


def _tried(send: Callable[[], object], event: str, **facts: str) -> bool:
    try:
        send()
    except (OperationalError, OSError) as error:
        log.warning(event, reason=str(error), **facts)
        return False
    return True
