"""Checkpoints: what a report may change, and what it may not any more."""

from datetime import timedelta
from typing import Any, Literal

import pytest

from app.db.models import Hypervisor, Run, Server
from app.db.models.base import now
from app.db.repo import runs
from app.db.session import Sessions
from app.runs import checkpoint
from app.runs.envelope import job_of
from app.runs.start import Asker, request_delete
from tasks.errors import StaleMessage
from tasks.messages import Failure, Job, StageReport
from tests.rows import World, add_host, add_server, make_settings, make_world

SETTINGS = make_settings()
FAILURE = Failure(code="host_error", fault="host", public="No luck.", console="last words")
REFUSAL = FAILURE.model_copy(update={"code": "image_unusable", "fault": "request"})

Event = Literal["began", "finished", "failed"]


def job_for(sessions: Sessions, run_id: str) -> Job:
    with sessions() as session:
        run = session.get_one(Run, run_id)
        return job_of(session, run, session.get_one(Server, run.server_id))


def begin_create(sessions: Sessions, world: World, hypervisor_id: str | None = None) -> Job:
    """Ask for a server; with a host, as if it had been placed there."""
    with sessions.begin() as session:
        run = add_server(session, world, SETTINGS, hypervisor_id=hypervisor_id)
        run.hypervisor_id = hypervisor_id
        if hypervisor_id is not None:
            host = session.get_one(Hypervisor, hypervisor_id)
            runs.get_attempt(session, run).host = host.name
    return job_for(sessions, run.id)


def states(sessions: Sessions, job: Job) -> dict[str, str]:
    with sessions() as session:
        run = session.get_one(Run, job.run_id)
        return {stage.name: stage.state for stage in runs.stages_of(session, run)}


def told(job: Job, stage: str, event: Event, **more: Any) -> StageReport:
    moment = now().timestamp()
    return StageReport(
        job=job, stage=stage, event=event, worker="w", started_at=moment, at=moment, **more
    )


def report(
    sessions: Sessions, job: Job, stage: str, event: Event, failure: Failure = FAILURE
) -> list[str]:
    with sessions.begin() as session:
        if event == "began":
            checkpoint.begin(session, SETTINGS, told(job, stage, event))
        elif event == "finished":
            output: dict[str, Any] | None = {"proofs": []} if stage == "poll_boot" else None
            checkpoint.finish(session, SETTINGS, told(job, stage, event, output=output))
        else:
            return checkpoint.fail(session, SETTINGS, told(job, stage, event, failure=failure))
    return []


def test_stage_at_work_is_shown_on_the_server(sessions: Sessions) -> None:
    job = begin_create(sessions, make_world(sessions))

    report(sessions, job, "validate", "began")
    report(sessions, job, "validate", "finished")
    report(sessions, job, "schedule", "began")

    with sessions() as session:
        assert session.get_one(Server, job.server_id).task_state == "schedule"
    assert list(states(sessions, job).values()) == [
        "done",
        "running",
        "waiting",
        "waiting",
        "waiting",
        "waiting",
    ]


def test_reports_out_of_order_end_in_the_same_rows(sessions: Sessions) -> None:
    """The last stage's report overtakes the ones before it; their rows are completed after."""
    job = begin_create(sessions, make_world(sessions))
    for stage in ("validate", "schedule", "build_resources", "define_domain"):
        report(sessions, job, stage, "finished")

    report(sessions, job, "poll_boot", "finished")
    report(sessions, job, "launch", "finished")
    with pytest.raises(StaleMessage):
        report(sessions, job, "launch", "began")

    assert set(states(sessions, job).values()) == {"done"}
    with sessions() as session:
        assert session.get_one(Server, job.server_id).status == "ACTIVE"


def test_report_delivered_twice_changes_nothing(sessions: Sessions) -> None:
    job = begin_create(sessions, make_world(sessions))
    report(sessions, job, "validate", "finished")
    with sessions() as session:
        first = runs.get_stage(session, session.get_one(Run, job.run_id), "validate")

    report(sessions, job, "validate", "finished")
    report(sessions, job, "validate", "began")

    with sessions() as session:
        second = runs.get_stage(session, session.get_one(Run, job.run_id), "validate")
    assert first is not None
    assert second is not None
    assert (second.state, second.finished_at) == ("done", first.finished_at)


@pytest.mark.parametrize("event", ["began", "finished", "failed"])
def test_cancelled_run_is_written_by_nobody(sessions: Sessions, event: Event) -> None:
    world = make_world(sessions)
    job = begin_create(sessions, world)
    with sessions.begin() as session:
        server = session.get_one(Server, job.server_id)
        request_delete(session, server, asker=Asker("r", world.user_id), settings=SETTINGS)

    with pytest.raises(StaleMessage):
        report(sessions, job, "validate", event)

    assert set(states(sessions, job).values()) == {"cancelled"}


def test_superseded_attempt_is_stale(sessions: Sessions) -> None:
    job = begin_create(sessions, make_world(sessions))
    with sessions.begin() as session:
        session.get_one(Run, job.run_id).attempt = 2

    with pytest.raises(StaleMessage, match="attempt 1 may not act"):
        report(sessions, job, "validate", "began")


def test_deadline_counts_from_the_first_delivery(sessions: Sessions) -> None:
    job = begin_create(sessions, make_world(sessions))
    report(sessions, job, "validate", "began")
    with sessions() as session:
        first = runs.get_stage(session, session.get_one(Run, job.run_id), "validate")

    report(sessions, job, "validate", "began")

    with sessions() as session:
        second = runs.get_stage(session, session.get_one(Run, job.run_id), "validate")
    assert first is not None
    assert second is not None
    assert (second.deadline, second.started_at) == (first.deadline, first.started_at)


def test_late_copys_failure_does_not_undo_a_stage_that_is_done(sessions: Sessions) -> None:
    job = begin_create(sessions, make_world(sessions))
    report(sessions, job, "validate", "finished")

    with pytest.raises(StaleMessage, match="is done"):
        report(sessions, job, "validate", "failed")

    assert states(sessions, job)["validate"] == "done"


def test_run_that_moved_on_while_it_was_sent_is_still_to_be_sent(sessions: Sessions) -> None:
    world = make_world(sessions)
    job = begin_create(sessions, world, add_host(sessions, "h"))
    with sessions() as session:
        read = session.get_one(Run, job.run_id)
    report(sessions, job, "launch", "failed")

    with sessions.begin() as session:
        runs.mark_published(session, read, now(), now())

    with sessions() as session:
        run = session.get_one(Run, job.run_id)
        assert (run.state, run.attempt, run.published_at) == ("running", 2, None)


def test_sending_does_not_shorten_the_lease_of_a_quicker_worker(sessions: Sessions) -> None:
    job = begin_create(sessions, make_world(sessions))
    report(sessions, job, "validate", "began")
    with sessions.begin() as session:
        held_until = session.get_one(Run, job.run_id).lease_until
        runs.mark_published(session, session.get_one(Run, job.run_id), now(), now())

    with sessions() as session:
        assert session.get_one(Run, job.run_id).lease_until == held_until


def test_failure_before_any_host_ends_the_run(sessions: Sessions) -> None:
    job = begin_create(sessions, make_world(sessions))

    assert report(sessions, job, "validate", "failed") == []

    with sessions() as session:
        run, server = session.get_one(Run, job.run_id), session.get_one(Server, job.server_id)
        assert (run.state, run.reason_code) == ("failed", "host_error")
        assert server.fault is not None
        assert (server.fault.message, server.fault.details) == ("No luck.", "last words")
    assert states(sessions, job)["poll_boot"] == "cancelled"


def test_hosts_fault_moves_the_create_on_and_owes_an_undo(sessions: Sessions) -> None:
    host = add_host(sessions, "h")
    job = begin_create(sessions, make_world(sessions), host)
    report(sessions, job, "validate", "finished")

    undo, again = report(sessions, job, "launch", "failed")

    with sessions() as session:
        run, unwind = session.get_one(Run, job.run_id), session.get_one(Run, undo)
        server = session.get_one(Server, job.server_id)
        assert (again, run.state, run.attempt, run.hypervisor_id) == (run.id, "running", 2, None)
        assert (unwind.pipeline, unwind.hypervisor_id) == ("unwind", host)
        assert (unwind.undoes_run_id, unwind.undoes_attempt) == (run.id, 1)
        assert (server.status, server.hypervisor_id) == ("BUILD", None)
    assert list(states(sessions, job).values()) == ["done", "queued", *["waiting"] * 4]
    with pytest.raises(StaleMessage):
        report(sessions, job, "poll_boot", "finished")


@pytest.mark.parametrize("fault", ["host", "transient"])
def test_three_hosts_are_tried_and_no_fourth(
    sessions: Sessions, fault: Literal["host", "transient"]
) -> None:
    job = begin_create(sessions, make_world(sessions), add_host(sessions, "h1"))
    failure = FAILURE.model_copy(update={"fault": fault})
    for number in (2, 3):
        assert len(report(sessions, job, "launch", "failed", failure)) == 2
        host = add_host(sessions, f"h{number}")
        with sessions.begin() as session:
            run, server = session.get_one(Run, job.run_id), session.get_one(Server, job.server_id)
            run.hypervisor_id = server.hypervisor_id = host
            runs.get_attempt(session, run).host = f"h{number}"
        job = job_for(sessions, job.run_id)

    (undo,) = report(sessions, job, "launch", "failed", failure)

    with sessions() as session:
        run, server = session.get_one(Run, job.run_id), session.get_one(Server, job.server_id)
        assert session.get_one(Run, undo).pipeline == "unwind"
        assert (run.state, server.status, server.hypervisor_id) == ("failed", "ERROR", None)
        assert run.reason is not None
        assert run.reason.count("No luck.") == 3


@pytest.mark.parametrize("fault", ["request", "bug"])
def test_what_would_fail_anywhere_never_moves_on(
    sessions: Sessions, fault: Literal["request", "bug"]
) -> None:
    job = begin_create(sessions, make_world(sessions), add_host(sessions, "h"))
    failure = FAILURE.model_copy(update={"fault": fault})

    (undo,) = report(sessions, job, "launch", "failed", failure)

    with sessions() as session:
        run = session.get_one(Run, job.run_id)
        assert (run.state, run.attempt) == ("failed", 1)
        assert session.get_one(Run, undo).pipeline == "unwind"
        assert session.get_one(Server, job.server_id).status == "ERROR"


def test_removal_that_fails_is_owed_not_given_up(sessions: Sessions) -> None:
    job = begin_create(sessions, make_world(sessions), add_host(sessions, "h"))
    undo, _ = report(sessions, job, "launch", "failed")
    unwinding = job_for(sessions, undo)

    assert report(sessions, unwinding, "unwind", "failed") == []

    pause = timedelta(seconds=checkpoint.OWED_PAUSE_S)
    with sessions() as session:
        run = session.get_one(Run, undo)
        assert (run.state, run.published_at) == ("running", None)
        assert now() + pause / 2 < run.lease_until <= now() + pause
    assert states(sessions, unwinding)["unwind"] == "queued"
