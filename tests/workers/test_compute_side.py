"""A hypervisor's ledger and heart: what they refuse, and what does not stop them."""

import threading
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from config.settings import ComputeSettings
from tasks.errors import HostGone, StaleMessage
from tasks.messages import Answer, DescribeDomain, Diagnose, ForgetPasswords, Outline, ReadConsole
from tests.processes import wait_until
from tests.tasks.values import make_build, make_job
from workers.compute_ledger import ComputeLedger
from workers.fabric import FabricKeeper
from workers.heartbeat import Heart
from workers.hosted import Hosted
from workers.hypervisor.fake import FakeHypervisor
from workers.hypervisor.guest_data import GuestStore
from workers.hypervisor.journal import Journal
from workers.orders import describe_domain, diagnose, forget_passwords, tell_console
from workers.surveyor import Surveyor


class Keeping(Celery):
    """An application whose messages are kept instead of sent."""

    def __init__(self) -> None:
        super().__init__("test", broker="memory://", set_as_current=False)
        self.sent: list[str] = []
        #: What Flower would show of their arguments.
        self.shown: list[Any] = []
        self.messages: list[Any] = []

    def send_task(self, name: str, *_: Any, **options: Any) -> Any:
        """Remember the message."""
        self.sent.append(name)
        self.messages += options.get("args", [])
        self.shown.append(options.get("argsrepr", options.get("args")))


@pytest.fixture
def celery() -> Keeping:
    """The application of a hypervisor."""
    return Keeping()


def test_second_copy_of_a_message_at_work_is_stale(celery: Keeping, tmp_path: Path) -> None:
    """After a lost connection the broker hands out again what is still being done."""
    ledger, job = ComputeLedger(celery, Journal(tmp_path), "p"), make_job()

    with (
        ledger.guard(job, "build_resources"),
        pytest.raises(StaleMessage, match="Another copy"),
        ledger.guard(job, "build_resources"),
    ):
        pass
    with ledger.guard(job, "build_resources"):
        pass


def test_stage_of_a_torn_down_server_is_stale(celery: Keeping, tmp_path: Path) -> None:
    ledger, job = ComputeLedger(celery, Journal(tmp_path), "p"), make_job()
    with ledger.guard(job.model_copy(update={"pipeline": "delete"}), "teardown"):
        pass

    with pytest.raises(StaleMessage, match="torn down"), ledger.guard(job, "define_domain"):
        pass


@pytest.mark.parametrize("trouble", [HostGone("no libvirt"), RuntimeError("unforeseen")])
def test_heart_beats_on_after_any_trouble(celery: Keeping, tmp_path: Path, trouble: Any) -> None:
    host = FakeHypervisor()
    host.faults.before["inventory"] = [trouble]
    settings = ComputeSettings(host="h", driver="fake", heartbeat_interval_s=0.01)
    journal = Journal(tmp_path)
    ledger = ComputeLedger(celery, journal, "p")
    heart = Heart(
        Hosted(celery, host, journal, ledger, FabricKeeper(host, tmp_path), settings, "p")
    )
    heart.start()
    try:
        for _ in range(500):
            if celery.sent:
                break
            threading.Event().wait(0.01)
    finally:
        heart.stop()
        heart.join(5)

    assert celery.sent[0] == "heartbeat"
    assert host.calls["inventory"] >= 2


def test_late_message_of_a_completed_create_has_no_effect(celery: Keeping, tmp_path: Path) -> None:
    """It would start a guest that its owner has stopped since; to look once more does no harm, and
    a new attempt goes on where a lost report left the run."""
    ledger, job = ComputeLedger(celery, Journal(tmp_path), "p"), make_job()
    with ledger.guard(job, "poll_boot"):
        ledger.finished(job, "poll_boot", "w", 0.0, None)

    with pytest.raises(StaleMessage, match="completed here"), ledger.guard(job, "launch"):
        pass
    with ledger.guard(job, "poll_boot"):
        pass
    with ledger.guard(job.model_copy(update={"attempt": 2}), "launch"):
        pass


def test_completed_action_is_over_in_every_attempt(celery: Keeping, tmp_path: Path) -> None:
    """A reboot whose end was not heard of is gone on with: it must not be done twice. One that was
    not completed is."""
    ledger = ComputeLedger(celery, Journal(tmp_path), "p")
    job = make_job().model_copy(update={"pipeline": "reboot"})
    again = job.model_copy(update={"attempt": 2})
    with ledger.guard(job, "shut_down"):
        ledger.finished(job, "shut_down", "w", 0.0, None)
    assert not ledger.has_completed(again, "shut_down")
    with ledger.guard(job, "power_on"):
        ledger.finished(job, "power_on", "w", 0.0, None)

    with pytest.raises(StaleMessage, match="completed here"), ledger.guard(job, "shut_down"):
        pass
    with ledger.guard(again, "shut_down"):
        assert ledger.has_completed(again, "shut_down")
    another = make_job().model_copy(update={"pipeline": "reboot"})
    assert not ledger.has_completed(another, "shut_down")
    assert not ledger.has_completed(again.model_copy(update={"pipeline": "create"}), "launch")


def test_what_is_done_once_is_done_once_for_its_run(celery: Keeping, tmp_path: Path) -> None:
    """A late copy of `clear` would remove the disks that the rebuild has made since."""
    ledger = ComputeLedger(celery, Journal(tmp_path), "p")
    job = make_job(pipeline="rebuild")
    again = job.model_copy(update={"attempt": 2})
    with ledger.guard(job, "clear"):
        assert not ledger.has_completed(job, "clear")
        ledger.finished(job, "clear", "w", 0.0, None)

    for copy in (job, again):
        with ledger.guard(copy, "clear"):
            assert ledger.has_completed(copy, "clear")
            assert not ledger.has_completed(copy, "build_resources")
    later = make_job(pipeline="rebuild", server_id=job.server_id)
    with ledger.guard(later, "clear"):
        assert not ledger.has_completed(later, "clear")


def make_hosted(celery: Keeping, host: FakeHypervisor, directory: Path, **facts: Any) -> Hosted:
    """Return a worker of this host; `facts` are settings."""
    journal = Journal(directory)
    ledger, fabric = ComputeLedger(celery, journal, "p"), FabricKeeper(host, directory)
    settings = ComputeSettings(host="h", driver="fake", **facts)
    return Hosted(celery, host, journal, ledger, fabric, settings, "p")


def test_console_is_told_in_time_and_shown_to_nobody_else(celery: Keeping, tmp_path: Path) -> None:
    worker = make_hosted(celery, FakeHypervisor(), tmp_path)
    order = ReadConsole(
        host="h", server_id=make_job().server_id, question="q", deadline=time.time() + 10
    )

    tell_console(worker, order)
    tell_console(worker, order.model_copy(update={"deadline": time.time() - 1}))

    assert celery.sent == ["console"]
    assert celery.shown == [f"(console of {order.server_id})"]


def test_question_is_answered_in_time_or_refused(celery: Keeping, tmp_path: Path) -> None:
    host = FakeHypervisor()
    worker = make_hosted(celery, host, tmp_path)
    build = make_build()
    order = DescribeDomain(
        host="h",
        question="q",
        deadline=time.time() + 10,
        job=make_job(),
        outline=Outline(machine=build.machine, ports=build.ports, boot=build.boot),
        image_format="qcow2",
    )

    describe_domain(worker, order)
    host.faults.before["describe"] = [HostGone("libvirt does not answer.")]
    describe_domain(worker, order)
    describe_domain(worker, order.model_copy(update={"deadline": time.time() - 1}))

    assert celery.sent == ["answer", "answer"]
    told, refused = [Answer.parse(message) for message in celery.messages]
    assert (told.question, told.refused) == ("q", "")
    assert order.job.server_id in told.text
    assert (refused.text, refused.code) == ("", "host_gone")
    assert refused.refused == "libvirt does not answer."
    assert celery.shown == ["(answer to q)"] * 2


def test_use_of_what_does_not_run_is_refused(celery: Keeping, tmp_path: Path) -> None:
    worker = make_hosted(celery, FakeHypervisor(), tmp_path)
    server_id = make_job().server_id
    diagnose(
        worker, Diagnose(host="h", question="q", deadline=time.time() + 9, server_id=server_id)
    )
    assert Answer.parse(celery.messages[0]).code == "not_running"


def test_what_guests_have_posted_is_told_and_forgotten(celery: Keeping, tmp_path: Path) -> None:
    facts = {"state_dir": tmp_path, "survey_interval_s": 0.01}
    hosted = make_hosted(celery, FakeHypervisor(), tmp_path, **facts)
    guests, server_id = GuestStore(tmp_path), make_job().server_id
    guests.directory.mkdir()
    guests.take_password(server_id, "c2VjcmV0")

    surveyor = Surveyor(hosted)
    surveyor.start()
    wait_until(lambda: "posted_passwords" in celery.sent, "the passwords", 10)
    surveyor.stop()
    surveyor.join()

    at = celery.sent.index("posted_passwords")
    assert celery.messages[at]["passwords"] == {server_id: "c2VjcmV0"}
    assert "c2VjcmV0" not in str(celery.shown)
    digest = sha256(b"c2VjcmV0").hexdigest()
    forget_passwords(hosted, ForgetPasswords(host="h", digests={server_id: digest}))
    assert guests.passwords() == {}
