"""The whole chain over a real broker: what is built, what is refused, what is left."""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
from sqlalchemy import select, update

from app.db.models import Allocation, Hypervisor, Image, Run, Server
from app.db.session import reading
from app.runs.envelope import Chain, job_of
from tasks.errors import HostError, HostGone, NotFound
from tasks.messages import Envelope, PortSpec
from tests.pipeline.conftest import Plane
from tests.processes import wait_until
from workers.hypervisor.fake import FakeHypervisor

SIX = ["validate", "schedule", "build_resources", "define_domain", "launch", "poll_boot"]


def ports_of(fake: FakeHypervisor) -> list[PortSpec]:
    return list(fake._ports.values())


def test_server_becomes_active_by_six_stages_each_on_its_own_side(plane: Plane) -> None:
    with plane.host("h1") as fake:
        run = plane.ended(plane.create())
        stages, server = plane.told(run), plane.server(run.server_id)
        domain = fake.find(run.server_id)

    assert run.state == "done"
    assert [(stage.name, stage.state) for stage in stages] == [(name, "done") for name in SIX]
    assert {stage.worker for stage in stages[2:]} == {"compute@h1"}
    assert all(str(stage.worker).startswith("control@") for stage in stages[:2])
    assert all(s.queued_at <= s.started_at <= s.finished_at for s in stages)  # type: ignore[operator]
    assert (server.status, server.vm_state, server.task_state) == ("ACTIVE", "active", None)
    assert domain is not None
    assert (domain.run_id, domain.state) == (run.id, "running")
    proofs = {p["proof"]: p["state"] for p in (stages[-1].output or {})["proofs"]}
    assert proofs["address"] == "seen"
    assert plane.held(run.server_id) == (1, 1)


def test_delete_leaves_nothing(plane: Plane) -> None:
    with plane.host("h1") as fake:
        run = plane.ended(plane.create())
        ports = ports_of(fake)

        removal = plane.delete(run.server_id)
        ended = plane.ended(removal)

        assert fake.traces(run.server_id, ports) == []
    assert ended.state == "done"
    assert [stage.name for stage in plane.stages(ended)] == ["teardown", "forget"]
    assert plane.server(run.server_id).status == "DELETED"
    assert plane.held(run.server_id) == (0, 0)


@pytest.mark.parametrize(
    ("verb", "stage"),
    [
        ("ensure_port", "build_resources"),
        ("ensure_root_disk", "build_resources"),
        ("ensure_config_drive", "build_resources"),
        ("define", "define_domain"),
        ("start", "launch"),
    ],
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_hosts_fault_without_another_host_ends_in_error_and_is_undone(
    plane: Plane, verb: str, stage: str, when: str
) -> None:
    """Whether the verb did nothing or did its work and then failed, nothing stays behind."""
    with plane.host("h1") as fake:
        getattr(fake.faults, when)[verb].append(HostError(f"No luck with {verb}."))
        run = plane.ended(plane.create())
        plane.settled(run.server_id)

        assert fake.calls[verb] == 1
        assert fake.traces(run.server_id, ports_of(fake)) == []
    server = plane.server(run.server_id)
    assert (run.state, run.reason_code) == ("failed", "no_valid_host")
    assert plane.attempts(run) == [
        ("h1", "failed", "host_error"),
        (None, "failed", "no_valid_host"),
    ]
    assert plane.stage(run, stage, attempt=1).state == "failed"
    assert (server.status, server.vm_state, server.task_state) == ("ERROR", "error", None)
    assert server.fault is not None
    assert server.fault.message == (
        "No valid host was found among 1: 1 tried before without luck."
        f" Before that, host 1 failed: No luck with {verb}."
    )
    assert plane.held(run.server_id) == (0, 0)


def test_hosts_fault_moves_the_create_to_another_host(plane: Plane) -> None:
    """Undone on the first, ACTIVE on the second, and the reason is kept."""
    plane.byre.start_compute("good", BYRE_FAKE_MEMORY_MIB="4096")
    wait_until(lambda: plane.alive("good"), "host good", 30)
    with plane.host("bad", FakeHypervisor(memory_mib=64 * 1024)) as bad:
        bad.faults.after["define"].append(HostError("No luck."))
        run = plane.ended(plane.create())
        plane.settled(run.server_id)

        assert bad.calls["remove_domain"] == 1
        assert bad.survey() == []
    assert plane.attempts(run) == [("bad", "failed", "host_error"), ("good", "done", None)]
    server = plane.server(run.server_id)
    assert (server.status, server.fault) == ("ACTIVE", None)
    assert plane.held(run.server_id) == (1, 1)
    with reading(plane.sessions) as session:
        hosts = session.scalars(select(Hypervisor).order_by(Hypervisor.name)).all()
        assert [(host.name, host.vcpus_used) for host in hosts] == [("bad", 0), ("good", 1)]


def test_passing_trouble_is_tried_again_on_the_same_host(plane: Plane) -> None:
    with plane.host("h1") as fake:
        fake.faults.before["define"] = [HostGone("libvirtd restarts")]
        run = plane.ended(plane.create())

        assert fake.calls["define"] == 2
    assert run.state == "done"


def test_guest_that_does_not_boot_in_time_says_what_was_seen(plane: Plane) -> None:
    with plane.sessions.begin() as session:
        image = session.get_one(Image, plane.world.image_id)
        image.properties = {"byre_boot_proof": "agent", "byre_boot_limit": "1"}
    with plane.host("h1", FakeHypervisor(boot_after_s=3600)) as fake:
        run = plane.ended(plane.create())
        plane.settled(run.server_id)

        assert fake.traces(run.server_id, ports_of(fake)) == []
    server = plane.server(run.server_id)
    assert run.reason_code == "boot_timeout"
    assert server.fault is not None
    assert server.fault.message == (
        "The guest did not prove within 1 s that it is up (wanted: agent)."
        " running: seen; address: not seen; agent: unknown; console: unknown;"
        " first_boot: unknown."
    )
    assert plane.held(run.server_id) == (0, 0)


def test_delete_while_the_guest_boots(plane: Plane) -> None:
    with plane.host("h1", FakeHypervisor(boot_after_s=3600)) as fake:
        run = plane.create()
        wait_until(lambda: plane.stage(run, "poll_boot").state == "running", "poll_boot", 20)
        ports = ports_of(fake)

        removal = plane.delete(run.server_id)
        assert plane.ended(removal).state == "done"

        # The look that was waiting finds that its run is over, and asks no more.
        looks = fake.calls["observe"]
        time.sleep(2)
        assert fake.calls["observe"] <= looks + 1
        assert fake.traces(run.server_id, ports) == []
    assert plane.run(run.id).state == "cancelled"
    assert plane.held(run.server_id) == (0, 0)


def test_delete_waits_for_the_stage_at_work_and_the_next_one_is_refused(
    plane: Plane, blocked: Callable[[], Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    with plane.host("h1") as fake:
        entered, go_on = blocked(), blocked()
        real = fake.ensure_root_disk

        def slow(*args: Any) -> Any:
            entered.set()
            assert go_on.wait(20)
            return real(*args)

        monkeypatch.setattr(fake, "ensure_root_disk", slow)
        run = plane.create()
        assert entered.wait(20)
        removal = plane.delete(run.server_id)
        wait_until(lambda: plane.run(removal.id).published_at, "the delete to be sent", 10)
        time.sleep(0.5)
        assert plane.run(removal.id).state == "running"
        go_on.set()
        assert plane.ended(removal).state == "done"
        assert fake.calls["define"] == 0
        assert fake.traces(run.server_id, ports_of(fake)) == []
    assert plane.held(run.server_id) == (0, 0)


def test_delete_before_any_host_was_chosen(plane: Plane) -> None:
    run = plane.create(publish=False)

    removal = plane.delete(run.server_id)

    assert plane.ended(removal).state == "done"
    assert [stage.name for stage in plane.stages(removal)] == ["forget"]
    # A chain that was on its way all the same is stale at its first stage.
    with reading(plane.sessions) as session:
        job = job_of(session, run, session.get_one(Server, run.server_id))
    plane.publisher._send(Chain(SIX, Envelope(job=job)))
    time.sleep(1)
    assert plane.run(run.id).state == "cancelled"
    assert {stage.state for stage in plane.stages(run)} == {"cancelled"}
    assert plane.held(run.server_id) == (0, 0)


def test_deletes_at_the_same_moment_are_one(plane: Plane) -> None:
    run = plane.create(publish=False)

    def delete(_: int) -> Run | None:
        try:
            return plane.delete(run.server_id)
        except NotFound:  # the first one was quicker than this one's question
            return None

    with ThreadPoolExecutor(4) as pool:
        removals = [removal for removal in pool.map(delete, range(4)) if removal is not None]

    assert len({removal.id for removal in removals}) == 1
    assert plane.ended(removals[0]).state == "done"


def test_no_valid_host_is_told_in_counts_and_holds_nothing(plane: Plane) -> None:
    run = plane.ended(plane.create())

    server = plane.server(run.server_id)
    assert run.reason_code == "no_valid_host"
    assert server.fault is not None
    assert server.fault.message == "No valid host was found: no hypervisor is registered."
    assert plane.stage(run, "build_resources").state == "cancelled"
    assert plane.held(run.server_id) == (0, 0)


def test_image_deleted_meanwhile_ends_in_a_reason(plane: Plane) -> None:
    run = plane.create(publish=False)
    with plane.sessions.begin() as session:
        session.execute(
            update(Image).where(Image.id == plane.world.image_id).values(status="killed")
        )

    plane.publisher.publish(run.id)

    assert plane.ended(run).reason_code == "image_unusable"


def test_chain_sent_twice_builds_one_server(plane: Plane) -> None:
    with plane.host("h1") as fake:
        run = plane.create()
        plane.publisher.publish(run.id)
        run = plane.ended(run)
        time.sleep(1)

        assert fake.inventory().running_domains == 1
        left = fake.traces(run.server_id, ports_of(fake))
        assert len(left) == len(set(left)) == 8
    assert run.state == "done"
    assert plane.server(run.server_id).status == "ACTIVE"
    assert plane.held(run.server_id) == (1, 1)


def test_run_accepted_while_the_broker_is_down_goes_on_when_it_is_back(plane: Plane) -> None:
    with plane.host("h1"):
        plane.byre.broker.stop()
        began = time.monotonic()
        run = plane.create()
        took_s = time.monotonic() - began
        assert plane.run(run.id).published_at is None
        plane.byre.broker.start()
        assert plane.ended(run, limit_s=60).state == "done"
    # The caller of the API waits for this; the limit is its patience, not a speed.
    assert took_s < 5


def test_server_of_a_stopped_host_waits_in_its_queue_while_others_boot(plane: Plane) -> None:
    """With workers of their own processes: one that ends in this process would keep listening."""
    large = plane.byre.start_compute("large", BYRE_FAKE_MEMORY_MIB="65536")
    plane.byre.start_compute("small", BYRE_FAKE_MEMORY_MIB="4096")
    wait_until(lambda: plane.alive("large") and plane.alive("small"), "both hosts", 30)
    large.stop()
    waiting = plane.create()
    wait_until(lambda: plane.stage(waiting, "schedule").state == "done", "schedule", 20)
    with plane.sessions.begin() as session:
        session.execute(update(Hypervisor).where(Hypervisor.name == "large").values(enabled=False))

    other = plane.ended(plane.create())

    assert {stage.worker for stage in plane.told(other)[2:]} == {"compute@small"}
    assert plane.stage(waiting, "build_resources").state == "queued"
    # Sent once more from its rows, as the sweep would: the stages before are found done.
    plane.publisher.publish(waiting.id)
    large.start()
    ended = plane.ended(waiting, limit_s=30)
    assert ended.state == "done"
    assert {stage.worker for stage in plane.told(ended)[2:]} == {"compute@large"}


def test_fifty_parallel_creates_for_room_for_ten(plane: Plane) -> None:
    """10 end ACTIVE on hosts, 40 in ERROR with a reason in counts, and the sums add up."""
    room = 5 * int(plane.settings.cpu_overcommit)
    for name in ("left", "right"):
        plane.byre.start_compute(name, BYRE_FAKE_VCPUS="5")
    wait_until(lambda: plane.alive("left") and plane.alive("right"), "both hosts", 30)
    each = room // 5  # five of these fill a host
    with ThreadPoolExecutor(16) as pool:
        created = list(pool.map(lambda _: plane.create(vcpus=each), range(50)))
    ended = [plane.ended(run, limit_s=60) for run in created]

    assert [run.state for run in ended].count("done") == 10
    refused = {run.reason for run in ended if run.state == "failed"}
    assert refused == {
        f"No valid host was found among 2: 2 without room for {each} vCPUs.",
    }
    with reading(plane.sessions) as session:
        hosts = session.scalars(select(Hypervisor)).all()
        assert sorted(host.vcpus_used for host in hosts) == [room, room]
        allocations = session.scalars(select(Allocation)).all()
        statuses = Counter(session.scalars(select(Server.status)).all())
    assert sum(allocation.vcpus for allocation in allocations) == 2 * room
    assert statuses == {"ACTIVE": 10, "ERROR": 40}
