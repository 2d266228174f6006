"""Each compute stage, and each undo, done twice gives what doing it once gives."""

import time
from collections.abc import Callable

import pytest

from tasks.compute import build_resources, define_domain, launch, poll_boot, teardown, unwind
from tasks.errors import BootTimeout, ForeignOwner, GuestDied, HostBusy, NotYet
from tasks.messages import DomainRef, Job, PortsRef
from tests.tasks.values import make_build, make_job
from workers.hypervisor.fake import FakeHypervisor
from workers.hypervisor.port import Observation


def built(job: Job, host: FakeHypervisor, **boot: object) -> tuple[DomainRef, PortsRef]:
    """Carry a server through to its launch, each stage twice."""
    build = make_build(**boot)  # type: ignore[arg-type]
    spec = build_resources.do(job, host, build=build)
    assert build_resources.do(job, host, build=build) == spec
    domain = define_domain.do(job, host, spec=spec)
    assert define_domain.do(job, host, spec=spec) == domain
    launch.do(job, host, domain=domain)
    return launch.do(job, host, domain=domain), PortsRef(ports=build.ports)


def test_stages_done_twice_make_one_running_server() -> None:
    job, host = make_job(), FakeHypervisor()

    _, ports = built(job, host)

    found = host.find(job.server_id)
    assert found is not None
    assert (found.run_id, found.attempt, found.state) == (job.run_id, 1, "running")
    # Metadata, a disk, a drive, a DHCP entry, a filter, rules, a domain: none of them twice.
    assert len(host.traces(job.server_id, ports.ports)) == 8
    assert host.inventory().running_domains == 1


@pytest.mark.parametrize("remove", [teardown.do, unwind.do], ids=["teardown", "unwind"])
def test_removing_twice_leaves_nothing(remove: Callable[..., None]) -> None:
    job, host = make_job(), FakeHypervisor()
    _, ports = built(job, host)

    remove(job, host, ports=ports)
    remove(job, host, ports=ports)

    assert host.traces(job.server_id, ports.ports) == []


def test_teardown_of_a_server_that_never_was_is_done() -> None:
    teardown.do(make_job(), FakeHypervisor(), ports=PortsRef(ports=make_build().ports))


def test_teardown_says_busy_while_something_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    job, host = make_job(), FakeHypervisor()
    _, ports = built(job, host)
    monkeypatch.setattr(host, "remove_disks", lambda server_id: None)

    with pytest.raises(HostBusy):
        teardown.do(job, host, ports=ports)


def test_foreign_domain_is_refused_and_left_alone() -> None:
    job, host = make_job(), FakeHypervisor()
    spec = build_resources.do(job, host, build=make_build())
    host.plant_foreign_domain(job.server_id)

    with pytest.raises(ForeignOwner):
        define_domain.do(job, host, spec=spec)
    with pytest.raises(ForeignOwner):
        teardown.do(job, host, ports=PortsRef(ports=spec.ports))


@pytest.mark.parametrize(
    ("proof", "text"), [("running", ""), ("address", ""), ("agent", ""), ("console", "login:")]
)
def test_boot_is_proved_by_what_the_image_asks_for(proof: str, text: str) -> None:
    job, host = make_job(), FakeHypervisor()
    domain, _ = built(job, host, proof=proof, text=text)

    report = poll_boot.do(job, host, domain=domain)

    assert poll_boot.state_of(report, proof) == "seen"


def test_booting_guest_is_asked_again_and_what_was_seen_stays() -> None:
    clock = [1000.0]
    job, host = make_job(), FakeHypervisor(boot_after_s=5.0, now=lambda: clock[0])
    domain, _ = built(job, host, proof="agent")

    with pytest.raises(NotYet) as pending:
        poll_boot.do(job, host, domain=domain)
    first = pending.value.found["seen"]
    clock[0] += 6
    second = poll_boot.do(job, host, domain=domain, seen=first)

    assert poll_boot.state_of(first, "running") == "seen"
    assert poll_boot.state_of(first, "agent") == "unknown"
    assert second.proofs[0] == first.proofs[0]
    assert poll_boot.state_of(second, "agent") == "seen"
    assert pending.value.again_s == 0.25


def test_guest_that_never_boots_ends_with_what_was_seen_and_the_console() -> None:
    job, host = make_job(), FakeHypervisor()
    host.never_boot.add(job.server_id)
    domain, _ = built(job, host, proof="address", limit_s=30.0)
    late = domain.model_copy(update={"started_at": (domain.started_at or 0) - 31})

    with pytest.raises(BootTimeout) as caught:
        poll_boot.do(job, host, domain=late)

    assert caught.value.public == (
        "The guest did not prove within 30 s that it is up (wanted: address)."
        " running: seen; address: not seen; agent: unknown; console: unknown;"
        " first_boot: unknown."
    )


@pytest.mark.parametrize("state", ["shutoff", "crashed"])
def test_guest_that_stops_by_itself_is_not_waited_for(state: str) -> None:
    job, host = make_job(), FakeHypervisor(boot_after_s=60)
    domain, _ = built(job, host)
    host.end_guest(job.server_id, state)  # type: ignore[arg-type]

    with pytest.raises(GuestDied, match=f"before it was up \\({state}\\)"):
        poll_boot.do(job, host, domain=domain)


def test_guest_whose_domain_vanished_is_not_waited_for() -> None:
    job, host = make_job(), FakeHypervisor(boot_after_s=60)
    domain, _ = built(job, host)
    host.remove_domain(job.server_id)

    with pytest.raises(GuestDied, match="its domain is gone"):
        poll_boot.do(job, host, domain=domain)


@pytest.mark.parametrize(("after_s", "pause"), [(0, 0.25), (10, 0.5), (60, 3.0), (600, 5.0)])
def test_pause_between_looks_grows_with_the_wait(after_s: float, pause: float) -> None:
    assert poll_boot.pause_s(after_s) == pause


def test_console_in_a_fault_is_bounded() -> None:
    console = "\n".join(f"line {n} " + "x" * 300 for n in range(1000))

    kept = poll_boot.last_lines(console)

    assert len(kept) <= poll_boot.CONSOLE_CHARACTERS
    assert kept.endswith("x" * 300)
    assert "line 999" in kept


def test_guest_says_by_itself_that_its_first_boot_is_done() -> None:
    job, host = make_job(), FakeHypervisor()
    build = make_build(proof="first_boot")
    asked = build.first_boot.model_copy(update={"phone_home_token": "t0ken"})
    spec = build_resources.do(job, host, build=build.model_copy(update={"first_boot": asked}))
    domain = launch.do(job, host, domain=define_domain.do(job, host, spec=spec))

    said = {proof.proof: proof for proof in poll_boot.do(job, host, domain=domain).proofs}

    assert said["first_boot"].state == "seen"
    assert said["first_boot"].detail == "the guest says: ok"
    assert said["first_boot"].seen_at == pytest.approx(time.time(), abs=5)


def test_guest_that_was_not_asked_leaves_its_first_boot_unknown() -> None:
    job, host = make_job(), FakeHypervisor()
    domain, _ = built(job, host, proof="running")

    report = poll_boot.do(job, host, domain=domain)

    assert poll_boot.state_of(report, "first_boot") == "unknown"


def test_addresses_that_come_later_are_added_and_the_first_time_stays() -> None:
    job, host = make_job(), FakeHypervisor()
    domain, _ = built(job, host)
    first, both = (
        Observation(state="running", addresses=seen, agent=None, console="")
        for seen in (["10.9.0.7"], ["fd01::7"])
    )

    before = poll_boot.merge(None, first, domain, 1.0)
    after = poll_boot.merge(before, both, domain, 9.0)

    (proof,) = [proof for proof in after.proofs if proof.proof == "address"]
    assert (proof.after_s, proof.addresses) == (1.0, ["10.9.0.7", "fd01::7"])
    assert proof.detail == "10.9.0.7, fd01::7"
