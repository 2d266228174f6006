"""The sweep: what it sends, what it goes on with, what it gives up, and what it leaves alone."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select

from app.db.models import Attempt, Hypervisor, Image, Run, Server
from app.db.models.base import now
from app.db.repo import runs, watch
from app.db.session import Sessions
from app.runs import checkpoint
from app.runs.attempts import resume
from app.runs.envelope import remaining
from app.runs.start import Asker, request_delete
from app.runs.sweep import _resume, sweep, take_over
from app.services import fleet
from tasks.messages import (
    AttemptRef,
    DescribeDomain,
    Diagnose,
    Fabric,
    ForgetPasswords,
    Heartbeat,
    Job,
    OpenConsole,
    ReadConsole,
    Tidy,
    WarmCache,
)
from tasks.pipelines import CREATE, stages_of
from tests.rows import add_host, make_settings, make_world
from tests.runs.test_checkpoint import begin_create, job_for, report, states, told
from tests.tasks.values import make_inventory

SETTINGS = make_settings()
AGO = timedelta(seconds=100)
#: Not long enough for a silent host to be given up.
SHORT = timedelta(seconds=15)


class Outbox:
    """A publisher that only remembers."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.canaries: list[str | None] = []

    def publish(self, run_id: str) -> None:
        self.sent.append(run_id)

    def canary(self, host: str | None, moment: datetime) -> None:
        self.canaries.append(host)

    def tidy(self, order: Tidy) -> None:
        raise AssertionError("the sweep tidies nothing")

    def fabric_changed(self) -> None:
        """It is found by the next sweep."""

    def fabric(self, order: Fabric) -> None:
        raise AssertionError(order)

    def warm(self, order: WarmCache) -> None:
        raise AssertionError("the sweep warms nothing")

    def read_console(self, order: ReadConsole) -> None:
        raise AssertionError("the sweep reads no console")

    def open_console(self, order: OpenConsole) -> None:
        raise AssertionError("the sweep opens no console")

    def diagnose(self, order: Diagnose) -> None:
        raise AssertionError("the sweep asks no host")

    def describe_domain(self, order: DescribeDomain) -> None:
        raise AssertionError("the sweep asks no host")

    def forget_passwords(self, order: ForgetPasswords) -> None:
        raise AssertionError("the sweep forgets no password")

    def broker_answers(self) -> bool:
        return True


def turn(sessions: Sessions) -> Outbox:
    outbox = Outbox()
    sweep(sessions, outbox, SETTINGS)
    return outbox


def change(sessions: Sessions, job: Job, **facts: Any) -> None:
    with sessions.begin() as session:
        for name, value in facts.items():
            setattr(session.get_one(Run, job.run_id), name, value)


def change_host(sessions: Sessions, host: str, **facts: Any) -> None:
    with sessions.begin() as session:
        for name, value in facts.items():
            setattr(session.get_one(Hypervisor, host), name, value)


def run_of(sessions: Sessions, job: Job) -> Run:
    with sessions() as session:
        return session.get_one(Run, job.run_id)


def stand_at(sessions: Sessions, stage: str, host: str) -> Job:
    """Begin a create whose stages before this one are done."""
    job = begin_create(sessions, make_world(sessions), host)
    for earlier in stages_of(CREATE):
        if earlier.name == stage:
            break
        report(sessions, job, earlier.name, "finished")
    return job


def hear(sessions: Sessions, at: datetime) -> None:
    """A canary sent at that moment has come through the control queue."""
    with sessions.begin() as session:
        watch.heard(session, at)


def watched_for(sessions: Sessions, span: timedelta) -> None:
    """The sweep has been at it for so long."""
    with sessions.begin() as session:
        watch.note(session, now() - span, timedelta(days=1))
        watch.note(session, now(), timedelta(days=1))


def test_sends_what_was_never_sent_and_only_that(sessions: Sessions) -> None:
    world = make_world(sessions)
    old, fresh, sent = (begin_create(sessions, world) for _ in range(3))
    change(sessions, old, lease_until=now() - AGO)
    change(sessions, sent, lease_until=now() - AGO, published_at=now())

    assert turn(sessions).sent == [old.run_id]
    assert run_of(sessions, fresh).published_at is None


def test_run_that_cannot_be_sent_keeps_no_other_waiting(sessions: Sessions) -> None:
    world = make_world(sessions)
    jobs = [begin_create(sessions, world) for _ in range(2)]
    for age, job in enumerate(jobs, start=10):
        change(sessions, job, lease_until=now() - timedelta(seconds=age))

    class Stubborn(Outbox):
        def publish(self, run_id: str) -> None:
            if run_id == jobs[1].run_id:
                raise ValueError("no host in its message")
            super().publish(run_id)

    outbox = Stubborn()
    sweep(sessions, outbox, SETTINGS)

    assert outbox.sent == [jobs[0].run_id]


def test_run_whose_message_cannot_be_made_any_more_fails_at_once(sessions: Sessions) -> None:
    job = stand_at(sessions, "build_resources", add_host(sessions, "h"))
    change(sessions, job, lease_until=now() - AGO)
    with sessions.begin() as session:
        session.execute(delete(Image))

    class Sending(Outbox):
        def publish(self, run_id: str) -> None:
            with sessions() as session:
                remaining(session, session.get_one(Run, run_id), SETTINGS)

    sweep(sessions, Sending(), SETTINGS)

    run = run_of(sessions, job)
    assert (run.state, "is gone" in str(run.reason)) == ("failed", True), run.reason
    with sessions() as session:
        assert session.get_one(Server, run.server_id).status == "ERROR"


def test_lapse_is_not_believed_before_reports_have_caught_up(sessions: Sessions) -> None:
    job = begin_create(sessions, make_world(sessions))
    lapsed_at = now() - AGO
    change(sessions, job, published_at=lapsed_at, lease_until=lapsed_at)
    watched_for(sessions, AGO)
    hear(sessions, lapsed_at - timedelta(seconds=1))

    assert turn(sessions).canaries == [None]
    assert run_of(sessions, job).attempt == 1

    hear(sessions, lapsed_at + timedelta(seconds=1))
    turn(sessions)
    assert run_of(sessions, job).attempt == 2


def test_message_in_a_hosts_queue_is_lost_only_once_a_later_canary_came_through(
    sessions: Sessions,
) -> None:
    host = add_host(sessions, "h")
    job = stand_at(sessions, "build_resources", host)
    lapsed_at = now() - AGO
    change(sessions, job, published_at=lapsed_at, lease_until=lapsed_at)
    watched_for(sessions, AGO)
    hear(sessions, now())

    assert "h" in turn(sessions).canaries
    assert run_of(sessions, job).attempt == 1

    change_host(sessions, host, canary_answered_at=now())
    turn(sessions)
    assert run_of(sessions, job).attempt == 2
    assert list(states(sessions, job).values())[:3] == ["done", "done", "queued"]


def test_stage_that_a_living_host_does_not_name_any_more_is_gone_on_with(
    sessions: Sessions,
) -> None:
    host = add_host(sessions, "h")
    job = stand_at(sessions, "launch", host)
    report(sessions, job, "launch", "began")
    watched_for(sessions, AGO)
    change(sessions, job, published_at=now(), lease_until=now() - SHORT)
    hear(sessions, now())
    change_host(sessions, host, last_seen_at=now() - SHORT - SHORT)

    turn(sessions)
    assert run_of(sessions, job).attempt == 1, "a silent host may still be at it"

    change_host(sessions, host, last_seen_at=now())
    turn(sessions)
    assert run_of(sessions, job).attempt == 2


def beat(process: str, *at_work: AttemptRef, sent_at: float | None = None) -> Heartbeat:
    return Heartbeat(
        host="h",
        host_ip="127.0.0.1",
        worker="w",
        process=process,
        sent_at=sent_at or now().timestamp(),
        inventory=make_inventory(),
        at_work=list(at_work),
        slots=4,
        busy=len(at_work),
    )


def test_heartbeat_prolongs_the_lease_of_what_it_names(sessions: Sessions) -> None:
    host = add_host(sessions, "h", process="p1")
    world = make_world(sessions)
    named, other = (begin_create(sessions, world, host) for _ in range(2))
    for job in (named, other):
        change(sessions, job, lease_until=now() - AGO)
    superseded = AttemptRef(run_id=other.run_id, attempt=2)

    ref = AttemptRef(run_id=named.run_id, attempt=1)
    fleet.note_heartbeat(sessions, SETTINGS, beat("p1", ref, superseded), now())

    assert run_of(sessions, named).lease_until > now()
    assert run_of(sessions, other).lease_until < now()


def test_worker_that_starts_anew_hands_over_what_it_had_begun_and_nothing_else(
    sessions: Sessions,
) -> None:
    host = add_host(sessions, "h", process="p1")
    world = make_world(sessions)
    begun, waiting = (begin_create(sessions, world, host) for _ in range(2))
    with sessions.begin() as session:
        at_work = told(begun, "launch", "began").model_copy(update={"process": "p1"})
        checkpoint.begin(session, SETTINGS, at_work)
    seen = fleet.note_heartbeat(sessions, SETTINGS, beat("p2"), now())
    assert (seen.registered, seen.restarted) == (False, True)
    outbox = Outbox()

    take_over(sessions, outbox, SETTINGS, "w", "p2")

    assert outbox.sent == [begun.run_id]
    assert (run_of(sessions, begun).attempt, run_of(sessions, waiting).attempt) == (2, 1)


def test_beat_of_a_former_life_is_not_believed(sessions: Sessions) -> None:
    add_host(sessions, "h", process="p2", heartbeat_sent_at=now().timestamp())

    late = beat("p1", sent_at=now().timestamp() - 5)

    assert not fleet.note_heartbeat(sessions, SETTINGS, late, now()).restarted


def test_stage_that_kills_its_worker_each_time_leaves_the_host(sessions: Sessions) -> None:
    host = add_host(sessions, "h", process="p")
    job = stand_at(sessions, "launch", host)
    outbox = Outbox()
    for life in range(SETTINGS.max_resumes + 1):
        report(sessions, job_for(sessions, job.run_id), "launch", "began")
        take_over(sessions, outbox, SETTINGS, "w", f"life {life}")

    with sessions() as session:
        run = session.get_one(Run, job.run_id)
        assert (run.state, run.hypervisor_id) == ("running", None)
        last = session.get_one(Attempt, (run.id, run.attempt - 1))
        assert (last.state, last.reason_code) == ("failed", "worker_killed")


def test_stage_past_its_deadline_leaves_the_host(sessions: Sessions) -> None:
    job = begin_create(sessions, make_world(sessions), add_host(sessions, "h"))
    report(sessions, job, "launch", "began")
    with sessions.begin() as session:
        stage = runs.get_stage(session, session.get_one(Run, job.run_id), "launch")
        assert stage is not None
        stage.deadline = now() - timedelta(seconds=1)

    turn(sessions)
    turn(sessions)

    with sessions() as session:
        assert session.get_one(Run, job.run_id).attempt == 2
        first = session.get_one(Attempt, (job.run_id, 1))
        assert (first.state, first.reason) == ("failed", "Stage launch did not end within 120 s.")


def test_run_past_its_deadline_says_where_it_was(sessions: Sessions) -> None:
    job = begin_create(sessions, make_world(sessions), add_host(sessions, "h"))
    change(sessions, job, deadline=now() - timedelta(seconds=1))

    turn(sessions)

    run = run_of(sessions, job)
    assert (run.state, run.reason_code) == ("failed", "stage_expired")
    assert run.reason == (
        "It did not come to its end within 3600 s in all; it was queued at stage validate."
    )


def test_late_delete_is_never_given_up(sessions: Sessions) -> None:
    world = make_world(sessions)
    job = begin_create(sessions, world, add_host(sessions, "h"))
    with sessions.begin() as session:
        server = session.get_one(Server, job.server_id)
        asker = Asker("r", world.user_id)
        (removal,) = request_delete(session, server, asker=asker, settings=SETTINGS)
        removal.deadline = now() - timedelta(seconds=10)

    turn(sessions)

    with sessions() as session:
        run = session.get_one(Run, removal.id)
        assert run.state == "running"
        assert run.deadline > now()


LONG = timedelta(seconds=SETTINGS.host_lost_after_s + 10)


def test_silent_host_is_given_up_and_its_create_goes_elsewhere(sessions: Sessions) -> None:
    host = add_host(sessions, "h", last_seen_at=now() - LONG)
    job = begin_create(sessions, make_world(sessions), host)
    watched_for(sessions, LONG)

    turn(sessions)

    with sessions() as session:
        assert session.get_one(Hypervisor, host).lost_at is not None
        run = session.get_one(Run, job.run_id)
        assert (run.state, run.attempt, run.hypervisor_id) == ("running", 2, None)
        owed = session.scalars(select(Run).where(Run.pipeline == "unwind")).one()
        assert (owed.state, owed.hypervisor_id) == ("running", host)


def test_silence_of_the_control_plane_is_not_its_hosts(sessions: Sessions) -> None:
    host = add_host(sessions, "h", last_seen_at=now() - LONG)
    job = begin_create(sessions, make_world(sessions), host)

    turn(sessions)

    with sessions() as session:
        assert session.get_one(Hypervisor, host).lost_at is None
    assert run_of(sessions, job).attempt == 1


def test_delete_on_a_lost_host_ends_and_its_work_there_is_owed(sessions: Sessions) -> None:
    world = make_world(sessions)
    host = add_host(sessions, "h", last_seen_at=now() - LONG)
    job = begin_create(sessions, world, host)
    with sessions.begin() as session:
        server = session.get_one(Server, job.server_id)
        asker = Asker("r", world.user_id)
        (removal,) = request_delete(session, server, asker=asker, settings=SETTINGS)
    watched_for(sessions, LONG)

    turn(sessions)

    assert states(sessions, job_for(sessions, removal.id)) == {
        "teardown": "cancelled",
        "forget": "queued",
    }
    with sessions() as session:
        owed = session.scalars(select(Run).where(Run.pipeline == "purge")).one()
        assert (owed.state, owed.hypervisor_id) == ("running", host)


def test_lost_host_gets_work_again_only_when_it_is_clean_and_looked_through(
    sessions: Sessions,
) -> None:
    host = add_host(sessions, "h", process="p", last_seen_at=now() - LONG, surveyed_at=now() - LONG)
    job = begin_create(sessions, make_world(sessions), host)
    watched_for(sessions, LONG)
    turn(sessions)

    def is_lost() -> bool:
        turn(sessions)
        with sessions() as session:
            return session.get_one(Hypervisor, host).lost_at is not None

    fleet.note_heartbeat(sessions, SETTINGS, beat("p"), now())
    assert is_lost(), "it was not looked through"
    change_host(sessions, host, surveyed_at=now())
    assert is_lost(), "it still owes an undo"
    with sessions.begin() as session:
        owed = session.scalars(select(Run).where(Run.pipeline == "unwind")).one()
        owed.state = "done"
    assert not is_lost()
    assert run_of(sessions, job).state == "running"


@pytest.mark.parametrize(
    ("facts", "is_deaf"),
    [({}, True), ({"busy": 4}, False), ({"canary_answered_at": now}, False)],
    ids=["idle", "busy", "answers"],
)
def test_host_that_beats_but_takes_nothing_is_deaf_unless_it_is_busy(
    sessions: Sessions, facts: dict[str, int | Callable[[], datetime]], is_deaf: bool
) -> None:
    asked = now() - timedelta(seconds=SETTINGS.canary_limit_s + 10)
    given = {name: value() if callable(value) else value for name, value in facts.items()}
    known = {"slots": 4, "busy": 0, "canary_sent_at": now(), "canary_answered_at": asked}
    host = add_host(sessions, "h", **{**known, **given})
    watched_for(sessions, timedelta(seconds=SETTINGS.canary_limit_s + 10))
    hear(sessions, now())

    turn(sessions)

    with sessions() as session:
        assert (session.get_one(Hypervisor, host).deaf_since is not None) == is_deaf


def test_two_sweepers_go_on_with_a_run_once(sessions: Sessions) -> None:
    job = begin_create(sessions, make_world(sessions))
    with sessions.begin() as session:
        resume(session, session.get_one(Run, job.run_id), now(), "message_lost", "Lost.")

    _resume(sessions, SETTINGS, job.run_id, 1)

    assert run_of(sessions, job).attempt == 2
