"""What hypervisors and beat send to the `control` queue: reports, heartbeats, the sweep's tick."""

from typing import Any

import structlog

from app.db.models.base import now
from app.runs import checkpoint, sweep
from app.services import fleet
from tasks.control.ledger import record_failure
from tasks.control.store import Store
from tasks.errors import MalformedMessage, StaleMessage
from tasks.messages import BootReport, Heartbeat, StageReport

log = structlog.get_logger(__name__)


def take_report(store: Store, message: dict[str, Any]) -> None:
    """Write down what a hypervisor says of a stage. A stale or malformed report has no effect."""
    try:
        report = StageReport.parse(message)
    except MalformedMessage as refusal:
        log.error("report.refused", reason=refusal.public)
        return
    try:
        _write(store, report)
    except StaleMessage as stale:
        log.info("report.stale", stage=report.stage, event_name=report.event, reason=stale.public)


def _write(store: Store, report: StageReport) -> None:
    started = checkpoint.moment_of(report.started_at)
    if report.event == "failed" and report.failure is not None:
        record_failure(store, report.job, report.stage, report.worker, report.failure)
        return
    output = BootReport.parse(report.output) if report.output else None
    with store.sessions.begin() as session:
        if report.event == "began":
            checkpoint.begin(session, report.job, report.stage, report.worker, started)
        elif report.event == "progress" and output is not None:
            checkpoint.progress(session, report.job, report.stage, output)
        elif report.event == "finished":
            ended = checkpoint.moment_of(report.at)
            checkpoint.finish(
                session, report.job, report.stage, report.worker, started, ended, output
            )


def take_heartbeat(store: Store, message: dict[str, Any]) -> None:
    """Register the hypervisor, or note that it lives. A malformed message has no effect."""
    try:
        heartbeat = Heartbeat.parse(message)
    except MalformedMessage as refusal:
        log.error("heartbeat.refused", reason=refusal.public)
        return
    if fleet.note_heartbeat(store.sessions, heartbeat, now()):
        log.info(
            "hypervisor.registered",
            host=heartbeat.host,
            domain_type=heartbeat.inventory.domain_type,
        )


def take_sweep(store: Store) -> None:
    """See to runs that nobody is carrying on."""
    sweep.sweep(store.sessions, store.publisher, store.settings)
