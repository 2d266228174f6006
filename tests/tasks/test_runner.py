"""The runner: decode, fence, retry, report. Run on Celery's own task machinery, in this process."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from celery import Celery
from celery.exceptions import Reject, Retry
from kombu.exceptions import OperationalError

from tasks import runner
from tasks.errors import (
    ByreError,
    HostError,
    HostGone,
    MalformedMessage,
    StageExpired,
    StaleMessage,
)
from tasks.messages import VERSION, Envelope, Failure, Job, PortsRef, Value
from tasks.pipelines import COMPUTE_STAGES, Side
from tests.tasks.values import make_build, make_job
from workers import compute
from workers.hypervisor.fake import FakeHypervisor


class Notes:
    """A ledger that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.failure: Failure | None = None
        self.stale = False
        self.completed = False
        self.progress: list[Value] = []

    @contextmanager
    def guard(self, job: Job, stage: str) -> Iterator[None]:
        if self.stale:
            raise StaleMessage("over")
        yield

    def has_completed(self, job: Job, stage: str) -> bool:
        return self.completed

    def began(self, job: Job, stage: str, worker: str) -> None:
        self.told.append((stage, "began"))

    def progressed(self, job: Job, stage: str, worker: str, output: Value) -> None:
        self.progress.append(output)

    def finished(self, job: Job, stage: str, worker: str, started_at: float, output: Any) -> None:
        self.told.append((stage, "finished"))

    def failed(
        self, job: Job, stage: str, worker: str, started_at: float, failure: Failure
    ) -> None:
        self.told.append((stage, "failed"))
        self.failure = failure


class Bench:
    """A compute side without a broker: messages that a retry would send are kept."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.celery = Celery("test", broker="memory://", set_as_current=False)
        self.host, self.notes = FakeHypervisor(), Notes()
        self.again: list[tuple[dict[str, Any], float]] = []
        runner.register(
            self.celery, Side.COMPUTE, compute.STAGES, lambda: self.host, lambda: self.notes, "w"
        )
        for name in COMPUTE_STAGES:
            monkeypatch.setattr(self.celery.tasks[name], "retry", self._keep)

    def _keep(self, *, args: tuple[dict[str, Any]], countdown: float) -> Retry:
        self.again.append((args[0], countdown))
        return Retry("kept")

    def deliver(self, stage: str, message: object) -> dict[str, Any]:
        result: dict[str, Any] = self.celery.tasks[stage](message)
        return result


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def build_message(job: Job | None = None, **boot: Any) -> dict[str, Any]:
    data = {"build": make_build(**boot).model_dump()}
    return Envelope(job=job or make_job(), data=data).model_dump()


def test_chain_of_compute_stages_carries_only_what_is_still_needed(bench: Bench) -> None:
    after_build = bench.deliver("build_resources", build_message())
    after_define = bench.deliver("define_domain", after_build)
    after_launch = bench.deliver("launch", after_define)
    after_boot = bench.deliver("poll_boot", after_launch)

    carried = [sorted(m["data"]) for m in (after_build, after_define, after_launch, after_boot)]
    assert carried == [["spec"], ["domain"], ["domain"], ["seen"]]
    assert bench.notes.told == [
        (stage, event)
        for stage in ("build_resources", "define_domain", "launch", "poll_boot")
        for event in ("began", "finished")
    ]


def test_malformed_message_has_no_effect(bench: Bench) -> None:
    with pytest.raises(MalformedMessage):
        bench.deliver("build_resources", {**build_message(), "more": 1})

    assert bench.notes.told == []
    assert not bench.host.calls


def test_newer_message_is_put_back_for_a_newer_worker(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """During an upgrade somebody else understands it; here it has no effect and is not lost."""
    monkeypatch.setattr(runner, "NEWER_PAUSE_S", 0.0)

    with pytest.raises(Reject) as caught:
        bench.deliver("build_resources", {**build_message(), "version": VERSION + 1, "more": 1})

    assert caught.value.requeue  # type: ignore[attr-defined]
    assert bench.notes.told == []
    assert not bench.host.calls


def test_message_of_the_version_before_is_understood(bench: Bench) -> None:
    message = {**build_message(), "version": VERSION - 1}
    del message["job"]["undoes"]

    bench.deliver("build_resources", message)

    assert bench.notes.told[-1] == ("build_resources", "finished")


def test_malformed_input_fails_the_stage_with_the_fields_name(bench: Bench) -> None:
    message = build_message()
    message["data"]["build"]["machine"]["vcpus"] = 0

    with pytest.raises(MalformedMessage, match=r"field machine\.vcpus"):
        bench.deliver("build_resources", message)

    assert bench.notes.told[-1] == ("build_resources", "failed")


def test_stale_message_has_no_effect_and_is_not_reported(bench: Bench) -> None:
    bench.notes.stale = True

    with pytest.raises(StaleMessage):
        bench.deliver("build_resources", build_message())

    assert bench.notes.told == []
    assert not bench.host.calls


def test_message_past_its_deadline_is_not_started(bench: Bench) -> None:
    with pytest.raises(StageExpired):
        bench.deliver("build_resources", build_message(make_job(deadline=time.time() - 1)))

    assert not bench.host.calls
    assert bench.notes.failure is not None
    assert bench.notes.failure.code == "stage_expired"


def test_broker_that_goes_away_is_not_the_stages_failure(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stage's work is done and cannot be told: the message comes again and finds it done."""

    def lost(*_: object) -> None:
        raise OperationalError("no broker")

    with monkeypatch.context() as patched:
        patched.setattr(bench.notes, "finished", lost)
        message = build_message()
        with pytest.raises(Reject) as caught:
            bench.deliver("build_resources", message)
    assert caught.value.requeue  # type: ignore[attr-defined]
    assert bench.notes.failure is None

    bench.deliver("build_resources", message)
    assert bench.notes.told[-1] == ("build_resources", "finished")


def test_look_that_cannot_be_asked_again_is_not_lost(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.host.boot_after_s = 60
    message = bench.deliver("build_resources", build_message())
    message = bench.deliver("launch", bench.deliver("define_domain", message))

    def refused(**_: object) -> None:
        raise Reject("no broker", requeue=False)

    monkeypatch.setattr(bench.celery.tasks["poll_boot"], "retry", refused)
    with pytest.raises(Reject) as caught:
        bench.deliver("poll_boot", message)

    assert caught.value.requeue  # type: ignore[attr-defined]


@pytest.mark.parametrize(("pipeline", "stage"), [("delete", "teardown"), ("unwind", "unwind")])
def test_late_removal_is_done_all_the_same(bench: Bench, pipeline: str, stage: str) -> None:
    ports = PortsRef(ports=make_build().ports).model_dump()
    job = make_job(pipeline=pipeline, deadline=time.time() - 1)

    bench.deliver(stage, Envelope(job=job, data={"ports": ports}).model_dump())

    assert bench.notes.told == [(stage, "began"), (stage, "finished")]


def test_transient_error_is_tried_again_and_then_reported(bench: Bench) -> None:
    bench.host.faults.before["ensure_port"] = [HostGone("gone") for _ in range(5)]
    message = build_message()

    for pause in runner.TRANSIENT_PAUSES_S:
        with pytest.raises(Retry):
            bench.deliver("build_resources", message)
        message, countdown = bench.again[-1]
        assert countdown == pause
    with pytest.raises(HostGone):
        bench.deliver("build_resources", message)

    assert bench.notes.failure is not None
    assert (bench.notes.failure.code, bench.notes.failure.fault) == ("host_gone", "transient")


def test_tries_are_counted_for_each_stage_anew(bench: Bench) -> None:
    bench.host.faults.before["ensure_port"] = [HostGone("gone")]
    with pytest.raises(Retry):
        bench.deliver("build_resources", build_message())

    after = bench.deliver("build_resources", bench.again[0][0])

    assert "tries" not in after["data"]


def test_hosts_fault_is_reported_at_once(bench: Bench) -> None:
    bench.host.faults.before["define"] = [HostError("No machine of type q35.", libvirt_code=67)]
    message = bench.deliver("build_resources", build_message())

    with pytest.raises(HostError):
        bench.deliver("define_domain", message)

    assert bench.notes.failure == Failure(
        code="host_error", fault="host", public="No machine of type q35."
    )


def test_bug_is_reported_without_its_insides(bench: Bench) -> None:
    bench.host.faults.before["define"] = [ZeroDivisionError("secret path")]
    message = bench.deliver("build_resources", build_message())

    with pytest.raises(ByreError):
        bench.deliver("define_domain", message)

    assert bench.notes.failure is not None
    assert bench.notes.failure.fault == "bug"
    assert "secret" not in bench.notes.failure.public


def test_booting_guest_is_asked_again_with_what_was_found(bench: Bench) -> None:
    bench.host.boot_after_s = 60
    message = bench.deliver("build_resources", build_message())
    message = bench.deliver("launch", bench.deliver("define_domain", message))

    with pytest.raises(Retry):
        bench.deliver("poll_boot", message)
    again, countdown = bench.again[0]
    with pytest.raises(Retry):
        bench.deliver("poll_boot", again)

    assert countdown == 0.25
    assert again["data"]["seen"]["proofs"][0]["state"] == "seen"
    # The second look found nothing new, so nothing was reported.
    assert len(bench.notes.progress) == 1


def test_side_with_a_missing_stage_is_not_started() -> None:
    with pytest.raises(LookupError, match="launch"):
        runner.register(
            Celery("test", set_as_current=False),
            Side.COMPUTE,
            {name: module for name, module in compute.STAGES.items() if name != "launch"},
            FakeHypervisor,
            Notes,
            "w",
        )
