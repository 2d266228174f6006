"""Claims: who is refused and why, and that parallel claims never promise the same room twice.

The fixture `sessions` gives each test both databases.
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from app.db.models import (
    Allocation,
    Hypervisor,
    Image,
    RequestSpec,
    Run,
    Server,
    ServerGroup,
    ServerGroupMember,
    Watch,
)
from app.db.models.base import new_id, now
from app.db.repo import addresses, watch
from app.db.session import Sessions
from app.runs.checkpoint import end
from app.runs.sizes import Size
from app.runs.start import owe_unwind
from app.services.placement import ask_for_size, place, release
from tasks.errors import NoFreeAddress, NotYet, NoValidHost
from tasks.messages import Job
from tests.rows import World, add_host, add_server, make_settings, make_world

SETTINGS = make_settings(host_reserved_memory_mib=0, cpu_overcommit=1.0)


def start(sessions: Sessions, world: World, **facts: Any) -> Job:
    with sessions.begin() as session:
        run = add_server(session, world, SETTINGS, **facts)
        return Job(
            pipeline="create",
            run_id=run.id,
            attempt=1,
            server_id=run.server_id,
            project_id=world.project_id,
            request_id=run.request_id,
            deadline=run.deadline.timestamp(),
        )


def used(sessions: Sessions) -> list[tuple[str, int, int, int]]:
    with sessions() as session:
        query = select(
            Hypervisor.name,
            Hypervisor.vcpus_used,
            Hypervisor.memory_mib_used,
            Hypervisor.disk_gib_used,
        ).order_by(Hypervisor.name)
        return [tuple(row) for row in session.execute(query)]  # type: ignore[misc]


def test_best_host_is_the_one_with_most_memory_left(sessions: Sessions) -> None:
    world = make_world(sessions)
    add_host(sessions, "small", memory_mib=4096)
    add_host(sessions, "large", memory_mib=16384)

    placed = place(sessions, SETTINGS, start(sessions, world))

    assert placed.host == "large"
    assert used(sessions) == [("large", 1, 256, 1), ("small", 0, 0, 0)]


def test_schedule_repeated_finds_its_own_claim_and_ports(sessions: Sessions) -> None:
    world = make_world(sessions)
    add_host(sessions, "one")
    job = start(sessions, world)

    first, second = place(sessions, SETTINGS, job), place(sessions, SETTINGS, job)

    assert second.model_dump(exclude={"build": {"image": {"url"}}}) == first.model_dump(
        exclude={"build": {"image": {"url"}}}
    )
    assert used(sessions) == [("one", 1, 256, 1)]


def test_refusals_are_counted_by_the_first_rule_that_refuses(sessions: Sessions) -> None:
    world = make_world(sessions)
    add_host(sessions, "off", enabled=False)
    add_host(sessions, "gone", last_seen_at=now() - timedelta(minutes=5))
    add_host(sessions, "narrow", vcpus=2)
    add_host(sessions, "forgetful", memory_mib=512)
    add_host(sessions, "full", disk_gib=3)
    job = start(sessions, world, vcpus=4, memory_mib=1024, root_gib=5)

    with pytest.raises(NoValidHost) as caught:
        place(sessions, SETTINGS, job)

    assert caught.value.public == (
        "No valid host was found among 5: 1 disabled, 1 not heard of lately,"
        " 1 without room for 4 vCPUs, 1 without room for 1024 MiB of memory,"
        " 1 without room for 5 GiB of disk."
    )


def test_no_host_at_all_is_said_so(sessions: Sessions) -> None:
    world = make_world(sessions)

    with pytest.raises(NoValidHost, match="no hypervisor is registered"):
        place(sessions, SETTINGS, start(sessions, world))


def test_overcommit_and_reserve_are_kept(sessions: Sessions) -> None:
    world = make_world(sessions)
    add_host(sessions, "one", vcpus=2, memory_mib=1024)
    job = start(sessions, world, vcpus=4, memory_mib=512)

    generous = make_settings(cpu_overcommit=2.0, host_reserved_memory_mib=512)
    assert place(sessions, generous, job).host == "one"

    with pytest.raises(NoValidHost):
        place(sessions, generous, start(sessions, world, memory_mib=1))


def test_room_that_cached_images_take_is_not_promised(sessions: Sessions) -> None:
    """Neither are they overcommitted: they are there already."""
    world = make_world(sessions)
    add_host(sessions, "one", disk_gib=3, image_cache_bytes=2**30 + 1)
    twice = make_settings(host_reserved_memory_mib=0, disk_overcommit=2.0)

    with pytest.raises(NoValidHost, match="without room for 2 GiB of disk"):
        place(sessions, SETTINGS, start(sessions, world, root_gib=2))
    assert place(sessions, twice, start(sessions, world, root_gib=4)).host == "one"
    with pytest.raises(NoValidHost):
        place(sessions, twice, start(sessions, world, root_gib=1))


def test_fifty_parallel_claims_for_room_for_ten(sessions: Sessions) -> None:
    """10 end on hosts, 40 are told why, and the sums add up."""
    world = make_world(sessions)
    for number in range(5):
        add_host(sessions, f"host-{number}", vcpus=2)
    jobs = [start(sessions, world) for _ in range(50)]
    barrier = threading.Barrier(16)

    def attempt(index: int) -> str:
        if index < 16:
            barrier.wait(10)
        try:
            return place(sessions, SETTINGS, jobs[index]).host
        except NoValidHost as refusal:
            return refusal.public

    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(attempt, range(50)))

    placed = [result for result in results if result.startswith("host-")]
    assert len(placed) == 10
    assert {placed.count(f"host-{number}") for number in range(5)} == {2}
    refused = {result for result in results if not result.startswith("host-")}
    assert refused == {"No valid host was found among 5: 5 without room for 1 vCPUs."}
    assert used(sessions) == [(f"host-{number}", 2, 512, 2) for number in range(5)]
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(Allocation)) == 10
        hosts = session.scalars(select(Server.hypervisor_id)).all()
        assert sum(value is not None for value in hosts) == 10


def grouped(sessions: Sessions, world: World, policy: str, jobs: list[Job], **more: Any) -> None:
    with sessions.begin() as session:
        group = ServerGroup(
            id=new_id(),
            project_id=world.project_id,
            user_id=world.user_id,
            name="web",
            policy=policy,
            **more,
        )
        session.add(group)
        session.flush()
        session.add_all(
            ServerGroupMember(server_id=job.server_id, group_id=group.id) for job in jobs
        )


def in_parallel(sessions: Sessions, jobs: list[Job]) -> list[str]:
    """Place them all at the same moment; return their hosts, or why they have none."""
    barrier = threading.Barrier(len(jobs))

    def attempt(job: Job) -> str:
        barrier.wait(10)
        try:
            return place(sessions, SETTINGS, job).host
        except NoValidHost as refusal:
            return refusal.public

    with ThreadPoolExecutor(len(jobs)) as pool:
        return sorted(pool.map(attempt, jobs))


def test_servers_that_are_to_be_apart_never_meet(sessions: Sessions) -> None:
    """The best host for one is the best for all; they are placed at the same moment."""
    world = make_world(sessions)
    for number in range(4):
        add_host(sessions, f"host-{number}", memory_mib=4096 * (number + 1), vcpus=32)
    jobs = [start(sessions, world) for _ in range(6)]
    grouped(sessions, world, "anti-affinity", jobs)

    placed = in_parallel(sessions, jobs)

    refusal = "No valid host was found among 4: 4 with servers that it is to be apart from."
    assert placed == [refusal, refusal, *(f"host-{number}" for number in range(4))]


def test_servers_that_are_to_be_together_are(sessions: Sessions) -> None:
    """On equal hosts that would each be the best in turn; the last finds no room and is told so."""
    world = make_world(sessions)
    for number in range(4):
        add_host(sessions, f"host-{number}", memory_mib=256 * 5, vcpus=32)
    jobs = [start(sessions, world) for _ in range(6)]
    grouped(sessions, world, "affinity", jobs)

    refusal, *placed = in_parallel(sessions, jobs)

    assert refusal == (
        "No valid host was found among 4: 3 without the servers that it is to be with,"
        " 1 without room for 256 MiB of memory."
    )
    assert len(placed) == 5
    assert len(set(placed)) == 1


def test_as_many_servers_of_a_group_share_a_host_as_may(sessions: Sessions) -> None:
    world = make_world(sessions)
    for number in range(2):
        add_host(sessions, f"host-{number}", memory_mib=4096 * (number + 1), vcpus=32)
    jobs = [start(sessions, world) for _ in range(5)]
    grouped(sessions, world, "anti-affinity", jobs, max_server_per_host=2)

    refusal, *placed = in_parallel(sessions, jobs)

    assert "2 with servers that it is to be apart from" in refusal
    assert placed == ["host-0", "host-0", "host-1", "host-1"]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("anti-affinity", ["host-0", "host-0", "host-1", "host-1"]),
        ("affinity", ["host-0", "host-1", "host-1", "host-1"]),
    ],
)
def test_softer_policies_are_left_aside_when_no_host_suits(
    sessions: Sessions, policy: str, expected: list[str]
) -> None:
    """The larger host is the best for each of them, and has room for three."""
    world = make_world(sessions)
    add_host(sessions, "host-0", memory_mib=256 * 2, vcpus=32)
    add_host(sessions, "host-1", memory_mib=256 * 3, vcpus=32)
    jobs = [start(sessions, world) for _ in range(4)]
    grouped(sessions, world, policy, jobs, is_soft=True)

    assert in_parallel(sessions, jobs) == expected


def test_a_host_that_is_said_to_be_down_gets_nothing(sessions: Sessions) -> None:
    world = make_world(sessions)
    add_host(sessions, "down", forced_down=True)

    with pytest.raises(NoValidHost, match="1 forced down"):
        place(sessions, SETTINGS, start(sessions, world))


def test_a_group_whose_first_server_was_let_go_may_go_elsewhere(sessions: Sessions) -> None:
    world = make_world(sessions)
    host = add_host(sessions, "one")
    first, second = start(sessions, world), start(sessions, world)
    grouped(sessions, world, "affinity", [first, second])
    place(sessions, SETTINGS, first)
    release(sessions, first)
    add_host(sessions, "two")
    with sessions.begin() as session:
        session.get_one(Hypervisor, host).enabled = False

    assert place(sessions, SETTINGS, second).host == "two"


def test_release_gives_back_once(sessions: Sessions) -> None:
    world = make_world(sessions)
    add_host(sessions, "one")
    job = start(sessions, world)
    place(sessions, SETTINGS, job)

    release(sessions, job)
    release(sessions, job)

    assert used(sessions) == [("one", 0, 0, 0)]


def test_addresses_are_free_at_the_end_of_a_servers_last_run(sessions: Sessions) -> None:
    """Not while a host still has to be cleaned of them: whoever got one next would share it."""
    world = make_world(sessions)
    add_host(sessions, "one")
    job = start(sessions, world)
    place(sessions, SETTINGS, job)
    with sessions.begin() as session:
        create = session.get_one(Run, job.run_id)
        server = session.get_one(Server, job.server_id)
        undo = owe_unwind(session, create, SETTINGS)
        server.hypervisor_id = None
        end(session, create, "failed", now())
        assert len(addresses.ports_of(session, server.id)) == 1

        end(session, undo, "done", now())

        assert addresses.ports_of(session, server.id) == []


def test_control_plane_that_has_just_come_back_waits_for_its_hosts_to_speak(
    sessions: Sessions,
) -> None:
    """Hosts that were not heard of while nobody listened are not silent."""
    world = make_world(sessions)
    add_host(sessions, "one", last_seen_at=now() - timedelta(hours=1))
    with sessions.begin() as session:
        watch.note(session, now(), timedelta(hours=1))
    job = start(sessions, world)

    with pytest.raises(NotYet, match="not heard of lately"):
        place(sessions, SETTINGS, job)

    with sessions.begin() as session:
        session.get_one(Watch, 1).since -= timedelta(hours=1)
    with pytest.raises(NoValidHost, match="not heard of lately"):
        place(sessions, SETTINGS, job)


def test_server_waits_for_a_host_that_may_be_starting_again(sessions: Sessions) -> None:
    """All that has just restarted is a little later heard of than the control plane looks."""
    world = make_world(sessions)
    _watched_for_long(sessions)
    silence = SETTINGS.host_silence_limit_s
    add_host(sessions, "one", last_seen_at=now() - timedelta(seconds=1.5 * silence))
    job = start(sessions, world)

    with pytest.raises(NotYet, match="1 not heard of lately"):
        place(sessions, SETTINGS, job)

    _heard_of(sessions, "one", now() - timedelta(seconds=2.5 * silence))
    with pytest.raises(NoValidHost, match="1 not heard of lately"):
        place(sessions, SETTINGS, job)
    _heard_of(sessions, "one", now())
    assert place(sessions, SETTINGS, job).host == "one"


def test_server_does_not_wait_for_a_silent_host_that_would_not_do(sessions: Sessions) -> None:
    world = make_world(sessions)
    _watched_for_long(sessions)
    seen = now() - timedelta(seconds=1.5 * SETTINGS.host_silence_limit_s)
    add_host(sessions, "one", last_seen_at=seen, memory_mib=64)

    with pytest.raises(NoValidHost, match="not heard of lately"):
        place(sessions, SETTINGS, start(sessions, world))


def _watched_for_long(sessions: Sessions) -> None:
    with sessions.begin() as session:
        watch.note(session, now(), timedelta(hours=1))
        session.get_one(Watch, 1).since -= timedelta(hours=1)


def _heard_of(sessions: Sessions, name: str, moment: datetime) -> None:
    with sessions.begin() as session:
        session.execute(
            update(Hypervisor).where(Hypervisor.name == name).values(last_seen_at=moment)
        )


def test_full_subnet_refuses_and_claims_nothing(sessions: Sessions) -> None:
    world = make_world(sessions, cidr_last="10.9.0.11")
    add_host(sessions, "one")
    for _ in range(2):
        place(sessions, SETTINGS, start(sessions, world))

    with pytest.raises(NoFreeAddress, match=r"10\.9\.0\.0/24 has no free address"):
        place(sessions, SETTINGS, start(sessions, world))

    assert used(sessions) == [("one", 2, 512, 2)]


def test_address_rests_until_the_others_were_used(sessions: Sessions) -> None:
    world = make_world(sessions, cidr_last="10.9.0.13")
    add_host(sessions, "one")
    settings, given = SETTINGS.model_copy(update={"address_rest_s": 0}), []
    for _ in range(6):
        job = start(sessions, world)
        given.append(place(sessions, settings, job).build.ports[0].addresses[0].address)
        with sessions.begin() as session:
            addresses.remove_ports(session, job.server_id)

    assert [address.rsplit(".")[-1] for address in given] == ["10", "11", "12", "13", "10", "11"]


def test_servers_that_name_their_networks_in_different_order_do_not_deadlock(
    sessions: Sessions,
) -> None:
    world = make_world(sessions)
    other = make_world(sessions)
    add_host(sessions, "one", vcpus=100, memory_mib=100_000)
    jobs = [start(sessions, world) for _ in range(40)]
    with sessions.begin() as session:
        for number, job in enumerate(jobs):
            both = [world.network_id, other.network_id]
            spec = session.get_one(RequestSpec, job.server_id)
            spec.network_ids = both if number % 2 else both[::-1]

    with ThreadPoolExecutor(8) as pool:
        placed = list(pool.map(lambda job: place(sessions, SETTINGS, job), jobs))

    assert [len(placement.build.ports) for placement in placed] == [2] * 40


def test_disk_as_large_as_the_image_is_claimed_as_such(sessions: Sessions) -> None:
    world = make_world(sessions)
    add_host(sessions, "one")
    with sessions.begin() as session:
        session.get_one(Image, world.image_id).virtual_size_bytes = 5 * 1024**3 + 1

    place(sessions, SETTINGS, start(sessions, world, root_gib=0))

    assert used(sessions) == [("one", 1, 256, 6)]


def test_host_taken_between_look_and_claim_is_not_promised_twice(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look sees room; by the claim another has taken it; the next best host is claimed."""
    world = make_world(sessions)
    taken = add_host(sessions, "taken", memory_mib=16384)
    add_host(sessions, "next")
    job = start(sessions, world)
    monkeypatch.setattr(
        "app.db.repo.claims.best",
        lambda *_: [(taken, "taken"), *_real_best(*_)],
    )
    with sessions.begin() as session:
        session.get_one(Hypervisor, taken).vcpus_used = 8

    assert place(sessions, SETTINGS, job).host == "next"


def _real_best(*args: object) -> list[tuple[str, str]]:
    session = args[0]
    query = select(Hypervisor.id, Hypervisor.name).where(Hypervisor.name == "next")
    return [tuple(row) for row in session.execute(query)]  # type: ignore[attr-defined]


def test_ask_is_the_servers_own_size_not_the_flavors(sessions: Sessions) -> None:
    world = make_world(sessions)
    job = start(sessions, world, vcpus=3, memory_mib=700, root_gib=9)
    with sessions() as session:
        server = session.get_one(Server, job.server_id)
        spec = session.get_one(RequestSpec, server.id)
        ask = ask_for_size(Size.of_server(server, spec), spec, 0, SETTINGS)

    assert (ask.vcpus, ask.memory_mib, ask.disk_gib) == (3, 700, 9)
