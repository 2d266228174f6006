"""Write down what became of a stage, if the run still is what the writer believes it to be.

Every function is one transaction's worth of work on a run that it locks first. A run that was
cancelled, that moved on to another attempt or that ended makes the writer stale, and nothing
is written. Reports of different stages may arrive out of order: each only ever moves its own
stage forward.
"""

from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from app.db.models import Fault, Run, Server, Stage
from app.db.models.base import now
from app.db.repo import addresses, runs
from app.runs import actions, resizes
from app.runs.attempts import hosts_tried, move_on
from app.runs.fabric import note_server
from app.runs.shelving import shelve
from app.runs.snapshots import give_images_up, rotate
from app.runs.start import owe_discards, owe_unwind
from config.settings import ControlSettings
from tasks.errors import StaleMessage
from tasks.messages import BootReport, Failure, Job, StageReport
from tasks.pipelines import (
    ACTIONS,
    ATTACH_INTERFACE,
    BUILDING,
    CREATE,
    DETACH_INTERFACE,
    EVACUATIONS,
    JOURNEYS,
    MOVES,
    PLACING,
    REBUILDS,
    REMOVALS,
    RESIZE,
    RESIZES,
    REVERT_RESIZE,
    UNDO_RESIZE,
)

#: Nova's numbers for `power_state`.
NO_STATE, RUNNING = 0, 1

#: Seconds after which a removal that failed is tried again.
OWED_PAUSE_S = 60.0

#: Classes of failures that another host may not have.
_OF_THE_HOST = ("host", "transient")


def moment_of(unix_s: float) -> datetime:
    """Return the moment that a report's Unix time names."""
    return datetime.fromtimestamp(unix_s, UTC)


def fence(session: Session, job: Job) -> Run:
    """Return the job's run, locked, if the job may still act for it. Raises StaleMessage."""
    run = runs.lock(session, job.run_id)
    if run is None or run.attempt != job.attempt or run.state != runs.OPEN:
        state = "gone" if run is None else f"{run.state}, attempt {run.attempt}"
        raise StaleMessage(f"Run {job.run_id} is {state}; attempt {job.attempt} may not act.")
    return run


def begin(session: Session, settings: ControlSettings, report: StageReport) -> None:
    """Note that a stage is at work; its deadline counts from the first delivery. Raises
    StaleMessage."""
    run = fence(session, report.job)
    stage = _stage(session, run, report.stage)
    if stage.state not in ("waiting", "queued", "running"):
        return
    stage.worker, stage.process = report.worker, report.process
    _hold(run, settings)
    if stage.state != "running":
        started = moment_of(report.started_at)
        stage.state, stage.started_at = "running", started
        stage.queued_at = stage.queued_at or started
        stage.deadline = now() + timedelta(seconds=stage.limit_s)
        _show(session, run, report.stage)


def progress(session: Session, settings: ControlSettings, report: StageReport) -> None:
    """Keep what the stage has found so far. Raises StaleMessage, MalformedMessage."""
    run = fence(session, report.job)
    stage = _stage(session, run, report.stage)
    if stage.state == "running":
        stage.output = report.output
        if report.stage == "poll_boot":
            _note_addresses(session, run, BootReport.parse(report.output))
        _hold(run, settings)


def finish(session: Session, settings: ControlSettings, report: StageReport) -> list[str]:
    """Note that a stage is done, queue the next one, and end the run after its last one. Returns
    the ids of the runs that are to be sent now. Raises StaleMessage, MalformedMessage."""
    run = _fence_for_row(session, report.job)
    stage = _stage(session, run, report.stage)
    if stage.state in ("failed", "cancelled") or (stage.state == "done" and stage.worker):
        return []
    started, ended = moment_of(report.started_at), moment_of(report.at)
    stage.state, stage.worker, stage.process = "done", report.worker, report.process
    stage.started_at, stage.finished_at = stage.started_at or started, ended
    # The report of the stage before it may still be on its way.
    stage.queued_at = stage.queued_at or stage.started_at
    stage.output = report.output
    if report.stage == "poll_boot":
        _note_addresses(session, run, BootReport.parse(report.output))
    following = _after(session, run, stage)
    if following is None:
        _presume_done(session, run, stage)
        return _complete(session, run, settings, ended)
    if following.state == "waiting":
        following.state, following.queued_at = "queued", ended
        run.lease_until = now() + timedelta(seconds=settings.handover_s)
    return []


def fail(
    session: Session, settings: ControlSettings, report: StageReport, *, final: bool = False
) -> list[str]:
    """Note that a stage failed, and decide what follows: a removal is owed, a create goes to
    another host if this one is at fault and may be, or ends in ERROR. What it made is undone. An
    action ends, and its server stays where it is, and what it was unless it was taken apart.
    Returns the ids of the runs that are to be sent now. Raises StaleMessage."""
    failure = report.failure
    if failure is None:
        raise StaleMessage(f"The failure of stage {report.stage} came without its reason.")
    run = fence(session, report.job)
    stage = _stage(session, run, report.stage)
    if stage.state == "done":
        raise StaleMessage(f"Stage {report.stage} is done; a late copy of it failed.")
    moment = now()
    stage.worker, stage.started_at = report.worker, stage.started_at or moment
    stage.reason_code, stage.reason = failure.code, failure.public
    if run.pipeline in REMOVALS:
        _owe(run, stage, moment)
        return []
    stage.state, stage.finished_at = "failed", moment
    if run.pipeline in JOURNEYS and resizes.has_moved(session, run):
        return _leave_destination(session, run, failure, moment, settings, final=final)
    if run.pipeline in (ACTIONS - PLACING) | RESIZES:
        return _end_action(session, run, failure, moment, settings)
    sent = []
    if run.hypervisor_id is not None:
        sent.append(owe_unwind(session, run, settings).id)
    if not final and _may_move(session, run, failure, settings):
        move_on(session, run, moment, failure)
        return [*sent, run.id]
    _give_up(session, run, failure, moment)
    return sent


def end(session: Session, run: Run, state: str, moment: datetime) -> None:
    """End a run and its present attempt."""
    run.state, run.finished_at, run.parameters = state, moment, None
    attempt = runs.get_attempt(session, run)
    attempt.state, attempt.finished_at = state, moment
    if run.pipeline in REMOVALS or (run.pipeline == CREATE and state == "failed"):
        _free_addresses(session, run)


def _let_go(session: Session, run: Run) -> None:
    """The interface that the run was told of is the server's no more."""
    session.flush()
    note_server(session, run.server_id)
    addresses.let_go(session, run.server_id, str((run.parameters or {})["port_id"]))


def _free_addresses(session: Session, run: Run) -> None:
    """A server's addresses are free once no host may know them any more: not while one of them is
    still to be cleaned, nor while the server is shelved. The server's row is locked, or two runs
    that end together would each wait for the other."""
    session.flush()
    server = session.get_one(Server, run.server_id, with_for_update=True)
    keeps = server.vm_state == actions.OFFLOADED.vm_state
    if server.hypervisor_id is None and not keeps and not runs.others_open(session, run):
        note_server(session, server.id)
        addresses.remove_ports(session, server.id)


def _hold(run: Run, settings: ControlSettings) -> None:
    """A stage on a host is named again by the host's heartbeats; one on the control side takes
    milliseconds, and a second copy of it finds the first one's work, or a newer fence."""
    run.lease_until = now() + timedelta(seconds=settings.stage_lease_s)


def _owe(run: Run, stage: Stage, moment: datetime) -> None:
    """What has to go is never given up: after a pause the sweeper sends the run again."""
    stage.state, stage.queued_at = "queued", moment
    run.published_at = None
    run.lease_until = moment + timedelta(seconds=OWED_PAUSE_S)


def _may_move(session: Session, run: Run, failure: Failure, settings: ControlSettings) -> bool:
    """The request's fault, and our own, would be the same on any host."""
    if failure.fault not in _OF_THE_HOST or run.hypervisor_id is None or run.deadline < now():
        return False
    return len(hosts_tried(session, run)) + 1 < settings.max_hosts


def _give_up(session: Session, run: Run, failure: Failure, moment: datetime) -> None:
    runs.cancel_open_stages(session, run, moment)
    before = hosts_tried(session, run)
    attempt = runs.get_attempt(session, run)
    attempt.reason_code, attempt.reason = failure.code, failure.public
    public = " ".join(
        [failure.public, *(_told(number, a.reason) for number, a in enumerate(before, 1))]
    )
    run.reason_code, run.reason = failure.code, public
    server = session.get_one(Server, run.server_id)
    server.hypervisor_id = None
    if run.pipeline == CREATE:
        blame(server, failure.model_copy(update={"public": public}), moment)
    else:
        # It is in its image as before.
        actions.show_failed(server)
    end(session, run, "failed", moment)


def _end_action(
    session: Session, run: Run, failure: Failure, moment: datetime, settings: ControlSettings
) -> list[str]:
    """End what failed. A resize is taken back; one that could not be taken back is in ERROR, and
    may be reverted again."""
    runs.cancel_open_stages(session, run, moment)
    attempt = runs.get_attempt(session, run)
    attempt.reason_code, attempt.reason = failure.code, failure.public
    run.reason_code, run.reason = failure.code, failure.public
    give_images_up(session, run, moment)
    if run.pipeline == ATTACH_INTERFACE:
        _let_go(session, run)
    end(session, run, "failed", moment)
    server = session.get_one(Server, run.server_id)
    sent = []
    if run.pipeline in EVACUATIONS:
        resizes.give_up(session, server, moment)
    if run.pipeline in MOVES | {RESIZE}:
        sent.append(resizes.undo(session, server, run, settings).id)
    elif run.pipeline in BUILDING | {REVERT_RESIZE, UNDO_RESIZE}:
        blame(server, failure, moment)
    else:
        actions.show_failed(server)
    return [*sent, *(discard.id for discard in owe_discards(session, run, settings))]


def _leave_destination(
    session: Session,
    run: Run,
    failure: Failure,
    moment: datetime,
    settings: ControlSettings,
    *,
    final: bool,
) -> list[str]:
    """Take a server that moves back to where it was, and let it go to another host if it may."""
    is_bound = final or resizes.is_bound(run)
    may_go_on = not is_bound and _may_move(session, run, failure, settings)
    sent = [owe_unwind(session, run, settings).id]
    resizes.come_back(session, run)
    if may_go_on:
        move_on(session, run, moment, failure)
        return [*sent, run.id]
    return [*sent, *_end_action(session, run, failure, moment, settings)]


def _told(number: int, reason: str | None) -> str:
    """A host's name is no business of the owner's; a number is enough to tell the reasons apart."""
    return f"Before that, host {number} failed: {reason}"


def blame(server: Server, failure: Failure, moment: datetime) -> None:
    """Show the failure on the server: ERROR, with Nova's `fault`."""
    server.status, server.vm_state, server.task_state = "ERROR", "error", None
    server.power_state = NO_STATE
    fault = server.fault or Fault(server_id=server.id)
    # 500 is what Nova gives for everything that fails after the request was accepted.
    fault.code, fault.reason, fault.created_at = 500, failure.code, moment
    fault.message, fault.details = failure.public, failure.console
    server.fault = fault


def _fence_for_row(session: Session, job: Job) -> Run:
    """As `fence`, but a run that has just ended well may still have its rows completed: the last
    stage's report can overtake the one before it."""
    run = runs.lock(session, job.run_id)
    if run is not None and run.attempt == job.attempt and run.state == "done":
        return run
    return fence(session, job)


def _stage(session: Session, run: Run, name: str) -> Stage:
    stage = runs.get_stage(session, run, name)
    if stage is None:
        raise StaleMessage(f"Run {run.id} has no stage {name}.")
    return stage


def _after(session: Session, run: Run, stage: Stage) -> Stage | None:
    rows = runs.stages_of(session, run)
    return next((row for row in rows if row.position == stage.position + 1), None)


def _show(session: Session, run: Run, name: str) -> None:
    shown = name if run.pipeline == CREATE else actions.task_state_at(run.pipeline, name)
    if shown is not None:
        session.get_one(Server, run.server_id).task_state = shown


def _presume_done(session: Session, run: Run, last: Stage) -> None:
    """The last stage's end proves those before it, whose reports are late, or lost. One that comes
    late still tells by whom and when."""
    for row in runs.stages_of(session, run):
        if row.position < last.position and row.state in runs.OPEN_STAGE:
            row.state, row.worker = "done", None
            row.started_at = row.started_at or row.queued_at or last.started_at
            row.queued_at, row.finished_at = row.queued_at or row.started_at, last.started_at


def _complete(session: Session, run: Run, settings: ControlSettings, moment: datetime) -> list[str]:
    if run.state != runs.OPEN:
        return []
    rotate(session, run, moment)
    if run.pipeline == DETACH_INTERFACE:
        _let_go(session, run)
    end(session, run, "done", moment)
    if run.pipeline in ACTIONS:
        server = session.get_one(Server, run.server_id)
        actions.show_done(session, server, run)
        if run.pipeline in REBUILDS | PLACING | EVACUATIONS:
            server.launched_at = moment
        if run.pipeline in EVACUATIONS:
            return resizes.arrive(session, server, run, settings, moment)
        return shelve(session, server, run, settings, moment)
    if run.pipeline in RESIZES:
        if run.pipeline in MOVES:
            give_images_up(session, run, moment)
        resizes.show_done(session, session.get_one(Server, run.server_id), run, moment)
    elif run.pipeline == CREATE:
        server = session.get_one(Server, run.server_id)
        server.status, server.vm_state, server.task_state = "ACTIVE", "active", None
        server.power_state, server.launched_at = RUNNING, moment
    return []


def _note_addresses(session: Session, run: Run, report: BootReport) -> None:
    proofs = [p for p in report.proofs if p.proof == "address" and p.state == "seen"]
    seen = {address for p in proofs for address in p.addresses}
    server = session.get_one(Server, run.server_id)
    held = [(port, fixed) for port in server.ports for fixed in port.addresses]
    for port, fixed in held:
        if fixed.address not in seen:
            continue
        port.seen_at = port.seen_at or now()
        # What clients take for the address by which to reach it, unless its owner named one.
        if fixed.subnet.version == 4:
            server.access_ipv4 = server.access_ipv4 or fixed.address
        else:
            server.access_ipv6 = server.access_ipv6 or fixed.address
