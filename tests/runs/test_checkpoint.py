"""Checkpoints: what a report may change, and what it may not any more."""

from datetime import timedelta

import pytest

from app.db.models import Run, Server
from app.db.models.base import now
from app.db.repo import runs
from app.db.session import Sessions
from app.runs import checkpoint
from app.runs.start import cancel, request_delete
from app.runs.sweep import job_of, sweep
from tasks.errors import StaleMessage
from tasks.messages import Failure, Job
from tests.rows import World, add_host, add_server, make_settings, make_world

SETTINGS = make_settings()
FAILURE = Failure(code="host_error", fault="host", public="No luck.", console="last words")


class Outbox:
    """A publisher that only remembers."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def publish(self, run_id: str) -> None:
        self.sent.append(run_id)


def begin_create(sessions: Sessions, world: World, **facts: object) -> Job:
    with sessions.begin() as session:
        return job_of(add_server(session, world, SETTINGS, **facts))


def states(sessions: Sessions, job: Job) -> dict[str, str]:
    with sessions() as session:
        run = session.get_one(Run, job.run_id)
        return {stage.name: stage.state for stage in runs.stages_of(session, run)}


def report(sessions: Sessions, job: Job, stage: str, event: str) -> None:
    with sessions.begin() as session:
        if event == "began":
            checkpoint.begin(session, job, stage, "w", now())
        elif event == "finished":
            checkpoint.finish(session, job, stage, "w", now(), now())
        else:
            checkpoint.fail(session, job, stage, "w", FAILURE, now())


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
def test_cancelled_run_is_written_by_nobody(sessions: Sessions, event: str) -> None:
    job = begin_create(sessions, make_world(sessions))
    with sessions.begin() as session:
        cancel(session, session.get_one(Run, job.run_id), now(), "over")

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
    job = begin_create(sessions, world, hypervisor_id=add_host(sessions, "h"))
    with sessions() as session:
        read = session.get_one(Run, job.run_id)
    report(sessions, job, "launch", "failed")

    with sessions.begin() as session:
        runs.mark_published(session, read, now())

    with sessions() as session:
        run = session.get_one(Run, job.run_id)
        assert (run.state, run.published_at) == ("unwinding", None)


def test_failure_before_any_host_ends_the_run(sessions: Sessions) -> None:
    job = begin_create(sessions, make_world(sessions))

    report(sessions, job, "validate", "failed")

    with sessions() as session:
        run, server = session.get_one(Run, job.run_id), session.get_one(Server, job.server_id)
        assert (run.state, run.reason_code) == ("failed", "host_error")
        assert server.fault is not None
        assert (server.fault.message, server.fault.details) == ("No luck.", "last words")
    assert states(sessions, job)["poll_boot"] == "cancelled"


def test_failure_on_a_host_begins_the_unwinding(sessions: Sessions) -> None:
    world = make_world(sessions)
    host = add_host(sessions, "h")
    job = begin_create(sessions, world, hypervisor_id=host)

    report(sessions, job, "launch", "failed")

    with sessions() as session:
        run = session.get_one(Run, job.run_id)
        assert (run.state, run.published_at) == ("unwinding", None)
        assert session.get_one(Server, job.server_id).status == "ERROR"
    assert states(sessions, job)["unwind"] == "queued"
    with pytest.raises(StaleMessage):
        report(sessions, job, "poll_boot", "finished")


def test_unwinding_that_fails_is_owed_not_given_up(sessions: Sessions) -> None:
    world = make_world(sessions)
    host = add_host(sessions, "h")
    job = begin_create(sessions, world, hypervisor_id=host)
    report(sessions, job, "launch", "failed")

    report(sessions, job.model_copy(update={"pipeline": "unwind"}), "unwind", "failed")

    with sessions() as session:
        run = session.get_one(Run, job.run_id)
        assert run.state == "unwinding"
        assert run.deadline <= now() + timedelta(seconds=checkpoint.OWED_PAUSE_S)
    assert states(sessions, job)["unwind"] == "queued"


def test_sweep_sends_what_was_never_sent_and_only_that(sessions: Sessions) -> None:
    world = make_world(sessions)
    old, fresh, sent = (begin_create(sessions, world) for _ in range(3))
    with sessions.begin() as session:
        for job in (old, sent):
            session.get_one(Run, job.run_id).created_at = now() - timedelta(seconds=10)
        session.get_one(Run, sent.run_id).published_at = now()
    outbox = Outbox()

    sweep(sessions, outbox, SETTINGS)

    assert outbox.sent == [old.run_id]
    assert fresh.run_id not in outbox.sent


def test_run_that_cannot_be_sent_keeps_no_other_waiting(sessions: Sessions) -> None:
    world = make_world(sessions)
    jobs = [begin_create(sessions, world) for _ in range(2)]
    with sessions.begin() as session:
        for age, job in enumerate(jobs, start=10):
            session.get_one(Run, job.run_id).created_at = now() - timedelta(seconds=age)

    class Stubborn(Outbox):
        def publish(self, run_id: str) -> None:
            if run_id == jobs[1].run_id:
                raise ValueError("no host in its message")
            super().publish(run_id)

    outbox = Stubborn()
    sweep(sessions, outbox, SETTINGS)

    assert outbox.sent == [jobs[0].run_id]


def test_stage_past_its_deadline_fails_with_a_reason(sessions: Sessions) -> None:
    world = make_world(sessions)
    job = begin_create(sessions, world, hypervisor_id=add_host(sessions, "h"))
    report(sessions, job, "launch", "began")
    with sessions.begin() as session:
        stage = runs.get_stage(session, session.get_one(Run, job.run_id), "launch")
        assert stage is not None
        stage.deadline = now() - timedelta(seconds=1)

    outbox = Outbox()
    sweep(sessions, outbox, SETTINGS)
    sweep(sessions, outbox, SETTINGS)

    with sessions() as session:
        run = session.get_one(Run, job.run_id)
        assert run.state == "unwinding"
        assert run.reason == "Stage launch did not end within 120 s on w."


def test_run_past_its_deadline_says_where_it_was(sessions: Sessions) -> None:
    job = begin_create(sessions, make_world(sessions))
    with sessions.begin() as session:
        session.get_one(Run, job.run_id).deadline = now() - timedelta(seconds=1)

    sweep(sessions, Outbox(), SETTINGS)

    with sessions() as session:
        run = session.get_one(Run, job.run_id)
        assert (run.state, run.reason_code) == ("failed", "stage_expired")
        assert run.reason == (
            "The server was not up within 3600 s in all; it was queued at stage validate."
        )


def test_late_delete_is_sent_again_and_never_given_up(sessions: Sessions) -> None:
    world = make_world(sessions)
    job = begin_create(sessions, world, hypervisor_id=add_host(sessions, "h"))
    with sessions.begin() as session:
        removal = request_delete(
            session,
            session.get_one(Server, job.server_id),
            request_id="r",
            user_id=world.user_id,
            settings=SETTINGS,
        )
        assert removal is not None
        removal.deadline = removal.created_at = now() - timedelta(seconds=10)
        removal.published_at = now()
    outbox = Outbox()

    sweep(sessions, outbox, SETTINGS)

    assert outbox.sent == [removal.id]
    with sessions() as session:
        run = session.get_one(Run, removal.id)
        assert run.state == "running"
        assert run.deadline > now()
