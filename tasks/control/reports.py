"""What hypervisors and beat send to the control side: reports, heartbeats, surveys, answers of
canaries, and the sweep's tick. A stale or malformed message has no effect."""

from datetime import UTC, datetime
from typing import Any

import structlog

from app.db.models.base import now
from app.runs import checkpoint, settle, sweep
from app.services import (
    consoles,
    drift,
    fleet,
    image_cache,
    posted_passwords,
    questions,
    remote_consoles,
    watching,
)
from tasks.control.ledger import record_failure
from tasks.control.store import Store
from tasks.errors import StaleMessage
from tasks.messages import (
    Answer,
    Asked,
    BootReport,
    CacheReport,
    Canary,
    Console,
    ConsoleWay,
    DomainChange,
    DomainRef,
    DomainSpec,
    Heartbeat,
    Hello,
    PostedPasswords,
    StageReport,
    Survey,
    Value,
)

log = structlog.get_logger(__name__)

#: What a stage's report gives; a stage that is not named here gives nothing worth a row.
_OUTPUTS: dict[str, type[Value]] = {
    "build_resources": DomainSpec,
    "build_rescue": DomainSpec,
    "restore_domain": DomainSpec,
    "define_domain": DomainRef,
    "launch": DomainRef,
    "poll_boot": BootReport,
    "shut_down": Asked,
    "unplug": Asked,
}


def take_report(store: Store, message: dict[str, Any]) -> None:
    """Write down what a hypervisor says of a stage. Raises MalformedMessage, NewerMessage."""
    report = StageReport.parse(message)
    if report.output is not None:
        _OUTPUTS[report.stage].parse(report.output)
    try:
        _write(store, report)
    except StaleMessage as stale:
        log.info("report.stale", stage=report.stage, event_name=report.event, reason=stale.public)


def _write(store: Store, report: StageReport) -> None:
    if report.event == "failed":
        record_failure(store, report)
        return
    to_send: list[str] = []
    with store.sessions.begin() as session:
        if report.event == "began":
            checkpoint.begin(session, store.settings, report)
        elif report.event == "progress":
            checkpoint.progress(session, store.settings, report)
        else:
            to_send = checkpoint.finish(session, store.settings, report)
    for run_id in to_send:
        store.publisher.publish(run_id)


def take_heartbeat(store: Store, message: dict[str, Any]) -> None:
    """Register the hypervisor, or note that it lives; go on at once with what a worker that has
    started anew had in hand before. Raises MalformedMessage, NewerMessage."""
    heartbeat = Heartbeat.parse(message)
    seen = fleet.note_heartbeat(store.sessions, store.settings, heartbeat, now())
    if seen.registered:
        kind = heartbeat.inventory.domain_type
        log.info("hypervisor.registered", host=heartbeat.host, domain_type=kind)
    if seen.restarted:
        log.info("worker.restarted", worker=heartbeat.worker)
        _take_over(store, heartbeat.worker, heartbeat.process)
        store.publisher.canary(heartbeat.host, now())


def take_hello(store: Store, message: dict[str, Any]) -> None:
    """A control worker has started. Raises MalformedMessage, NewerMessage."""
    hello = Hello.parse(message)
    _take_over(store, hello.worker, hello.process)


def _take_over(store: Store, worker: str, process: str) -> None:
    sweep.take_over(store.sessions, store.publisher, store.settings, worker, process)


def take_survey(store: Store, message: dict[str, Any]) -> None:
    """Compare what a host has with what it should have; order what nobody owns to be tidied up.
    Raises MalformedMessage, NewerMessage."""
    order = drift.take_survey(store.sessions, store.settings, Survey.parse(message), now())
    if order is not None:
        store.publisher.tidy(order)


def take_cache_report(store: Store, message: dict[str, Any]) -> None:
    """Note what is in a host's image cache. Raises MalformedMessage, NewerMessage."""
    image_cache.take_report(store.sessions, CacheReport.parse(message))


def take_console(store: Store, message: dict[str, Any]) -> None:
    """Keep what a server's console says for whoever asked. Raises MalformedMessage,
    NewerMessage."""
    consoles.take_answer(store.sessions, Console.parse(message))


def take_console_way(store: Store, message: dict[str, Any]) -> None:
    """Keep what a host says of the way to a server's console for whoever asked. Raises
    MalformedMessage, NewerMessage."""
    remote_consoles.take_way(store.sessions, ConsoleWay.parse(message))


def take_answer(store: Store, message: dict[str, Any]) -> None:
    """Keep what a host says to a question for whoever asked. Raises MalformedMessage,
    NewerMessage."""
    questions.take_answer(store.sessions, Answer.parse(message))


def take_posted_passwords(store: Store, message: dict[str, Any]) -> None:
    """Keep what guests have posted as their passwords; have those forgotten that were cleared.
    Raises MalformedMessage, NewerMessage."""
    order = posted_passwords.take(store.sessions, PostedPasswords.parse(message))
    if order is not None:
        store.publisher.forget_passwords(order)


def take_domain_change(store: Store, message: dict[str, Any]) -> None:
    """Show a server's true status. Raises MalformedMessage, NewerMessage."""
    drift.take_change(store.sessions, DomainChange.parse(message), now())


def take_canary(store: Store, message: dict[str, Any]) -> None:
    """Note that a canary came through the control queue, or through a host's queue and back.
    Raises MalformedMessage, NewerMessage."""
    canary = Canary.parse(message)
    watching.note_canary(store.sessions, canary.host, datetime.fromtimestamp(canary.sent_at, UTC))


def take_sweep(store: Store) -> None:
    """See to runs that nobody is carrying on, and to what hosts were not told."""
    sweep.sweep(store.sessions, store.publisher, store.settings)
    take_fabric_changed(store)


def take_fabric_changed(store: Store) -> None:
    """Tell hosts what has changed about their networks and groups."""
    settle.settle(store.sessions, store.publisher, store.settings)
