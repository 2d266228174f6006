"""The host's memory of runs: what is late, over, unwound or torn down has no effect."""

import threading
from pathlib import Path

import pytest

from tasks.errors import HostError, MalformedMessage, ServerHeld, StaleMessage
from tasks.messages import AttemptRef, Job
from tests.drivers.values import make_job
from workers.hypervisor.journal import Journal


def attempt(job: Job, number: int) -> Job:
    """Return another attempt of the job's run."""
    return job.model_copy(update={"attempt": number})


def ref(job: Job) -> AttemptRef:
    """Return the job's own attempt."""
    return AttemptRef(run_id=job.run_id, attempt=job.attempt)


def another_run(job: Job, pipeline: str = "create") -> Job:
    """Return another run of the job's server."""
    return make_job(server_id=job.server_id, pipeline=pipeline)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Return an empty journal."""
    return Journal(tmp_path / "journal")


def test_the_same_job_is_admitted_again(journal: Journal) -> None:
    job = make_job()
    for _ in range(3):
        journal.admit(job)


def test_an_older_attempt_is_stale(journal: Journal) -> None:
    job = make_job()
    journal.admit(attempt(job, 2))
    with pytest.raises(StaleMessage):
        journal.admit(job)
    assert journal.is_superseded(job.server_id, ref(job))
    journal.admit(attempt(job, 3))
    with pytest.raises(StaleMessage):
        journal.admit(attempt(job, 2))


def test_a_run_that_was_followed_by_another_is_stale(journal: Journal) -> None:
    first = make_job()
    second = another_run(first)
    journal.admit(first)
    assert not journal.is_superseded(first.server_id, ref(first))
    journal.admit(second)
    assert journal.is_superseded(first.server_id, ref(first))
    for late in (first, attempt(first, 9)):
        with pytest.raises(StaleMessage):
            journal.admit(late)
    journal.admit(second)


def test_other_servers_do_not_matter(journal: Journal) -> None:
    job = make_job()
    journal.bar_server(job)
    journal.admit(make_job())


def test_an_unwound_attempt_is_refused_and_the_next_one_is_not(journal: Journal) -> None:
    job = attempt(make_job(), 2)
    journal.admit(job)
    journal.bar_run(job.server_id, ref(job))
    journal.bar_run(job.server_id, ref(attempt(job, 1)))
    for late in (attempt(job, 1), job):
        with pytest.raises(StaleMessage):
            journal.admit(late)
    journal.admit(attempt(job, 3))


def test_an_undo_that_comes_first_bars_its_do(journal: Journal) -> None:
    job = make_job()
    journal.bar_run(job.server_id, ref(job))
    with pytest.raises(StaleMessage):
        journal.admit(job)


def test_a_server_torn_down_admits_only_deletions(journal: Journal) -> None:
    job = make_job()
    journal.admit(job)
    deletion = another_run(job, "delete")
    journal.bar_server(deletion)
    for late in (job, attempt(job, 2), another_run(job)):
        with pytest.raises(StaleMessage):
            journal.admit(late)
    journal.admit(deletion)
    journal.admit(another_run(job, "delete"))


def test_a_restart_forgets_nothing(journal: Journal, tmp_path: Path) -> None:
    newer, unwound, gone = attempt(make_job(), 2), make_job(), make_job()
    journal.admit(newer)
    journal.bar_run(unwound.server_id, ref(unwound))
    journal.bar_server(another_run(gone, "delete"))
    restarted = Journal(tmp_path / "journal")
    for late in (attempt(newer, 1), unwound, gone):
        with pytest.raises(StaleMessage):
            restarted.admit(late)
    restarted.admit(newer)


def test_only_what_is_old_is_pruned(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    job = make_job()
    journal.bar_run(job.server_id, ref(job))
    written = next(tmp_path.glob("*.json")).stat().st_mtime
    assert journal.prune(older_than_s=60, now=written + 59) == 0
    assert journal.prune(older_than_s=60, now=written + 61) == 1
    assert list(tmp_path.iterdir()) == []
    journal.admit(job)


def test_a_damaged_file_is_not_taken_for_an_empty_one(journal: Journal, tmp_path: Path) -> None:
    job = make_job()
    journal.admit(job)
    (tmp_path / "journal" / f"{job.server_id}.json").write_text('{"version": 2}')
    with pytest.raises(HostError):
        journal.admit(job)


def test_a_server_id_never_names_another_file(journal: Journal) -> None:
    with pytest.raises(MalformedMessage):
        journal.admit(make_job(server_id="../../etc/passwd"))


def test_one_thread_at_a_time_holds_a_server(journal: Journal) -> None:
    job, order = make_job(), []
    entered = threading.Event()

    def second() -> None:
        entered.set()
        with journal.hold(job.server_id):
            order.append("second")

    waiting = threading.Thread(target=second)
    with journal.hold(job.server_id):
        waiting.start()
        entered.wait()
        with journal.hold(make_job().server_id):
            order.append("first")
    waiting.join()
    assert order == ["first", "second"]


def test_a_held_server_is_told_to_wait_its_turn(journal: Journal) -> None:
    job = make_job()
    caught: list[ServerHeld] = []

    def second() -> None:
        try:
            with journal.hold(job.server_id, limit_s=0.05):
                pass
        except ServerHeld as error:
            caught.append(error)

    with journal.hold(job.server_id):
        waiting = threading.Thread(target=second)
        waiting.start()
        waiting.join()
    assert len(caught) == 1
    with journal.hold(job.server_id, limit_s=0.05):
        pass
