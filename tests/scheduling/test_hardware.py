"""Room for extra disks, processors of a server's own and UEFI: claimed, refused with the reason,
given back. The fixture `sessions` gives each test both databases."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from app.db.models import Allocation, Hypervisor, Image, RequestSpec
from app.db.session import Sessions
from app.services.placement import place, release
from tasks.errors import NoValidHost
from tasks.messages import Job
from tests.rows import World, add_host, make_world
from tests.scheduling.test_claim import SETTINGS, start

DEDICATED = {"hw:cpu_policy": "dedicated"}


def used(sessions: Sessions, host: str) -> tuple[int, int, int]:
    """Return shared processors, dedicated ones and disk that are claimed of the host."""
    with sessions() as session:
        row = session.get_one(Hypervisor, host)
        return row.vcpus_used, row.dedicated_vcpus_used, row.disk_gib_used


def start_dedicated(sessions: Sessions, world: World, vcpus: int) -> Job:
    return start(sessions, world, vcpus=vcpus, extra_specs=DEDICATED)


def test_disk_is_claimed_for_root_ephemeral_and_swap(sessions: Sessions) -> None:
    world, host = make_world(sessions), add_host(sessions, "one")
    # Swap of a part of a GiB takes a whole one, as in Nova.
    job = start(sessions, world, root_gib=3, ephemeral_gib=20, swap_mib=1025)

    machine = place(sessions, SETTINGS, job).build.machine

    assert (machine.root_gib, machine.ephemeral_gib, machine.swap_mib) == (3, 20, 1025)
    assert used(sessions, host) == (1, 0, 25)
    release(sessions, job)
    assert used(sessions, host) == (0, 0, 0)


def test_extra_disks_that_do_not_fit_are_told(sessions: Sessions) -> None:
    world = make_world(sessions)
    add_host(sessions, "one", disk_gib=100)

    with pytest.raises(NoValidHost, match="1 without room for 101 GiB of disk"):
        place(sessions, SETTINGS, start(sessions, world, ephemeral_gib=100))


def test_processors_of_its_own_are_claimed_apart_from_shared_ones(sessions: Sessions) -> None:
    world = make_world(sessions)
    # No shared processor is left, and none is needed.
    host = add_host(sessions, "one", vcpus=2, vcpus_used=2, dedicated_vcpus=4)
    job = start_dedicated(sessions, world, 3)

    placed = place(sessions, SETTINGS, job)

    assert placed.build.machine.cpu_policy == "dedicated"
    assert used(sessions, host) == (2, 3, 1)
    with sessions() as session:
        allocation = session.get_one(Allocation, (job.server_id, host))
        assert (allocation.vcpus, allocation.dedicated_vcpus) == (0, 3)
    with pytest.raises(NoValidHost, match="1 without 2 processors to give away"):
        place(sessions, SETTINGS, start_dedicated(sessions, world, 2))
    release(sessions, job)
    assert used(sessions, host) == (2, 0, 0)


def test_who_shares_is_kept_out_of_dedicated_processors(sessions: Sessions) -> None:
    world = make_world(sessions)
    add_host(sessions, "one", vcpus=1, vcpus_used=1, dedicated_vcpus=4)

    with pytest.raises(NoValidHost, match="1 without room for 1 vCPUs"):
        place(sessions, SETTINGS, start(sessions, world))


def test_parallel_claims_never_give_a_processor_away_twice(sessions: Sessions) -> None:
    world = make_world(sessions)
    host = add_host(sessions, "one", dedicated_vcpus=5)
    jobs = [start_dedicated(sessions, world, 2) for _ in range(6)]

    def attempt(job: Job) -> bool:
        try:
            place(sessions, SETTINGS, job)
        except NoValidHost:
            return False
        return True

    with ThreadPoolExecutor(6) as threads:
        assert sum(threads.map(attempt, jobs)) == 2
    assert used(sessions, host)[1] == 4


def test_an_image_that_needs_uefi_goes_where_it_is(sessions: Sessions) -> None:
    world = make_world(sessions)
    add_host(sessions, "bios", memory_mib=65536)
    with sessions.begin() as session:
        session.get_one(Image, world.image_id).properties = {"hw_firmware_type": "uefi"}

    with pytest.raises(NoValidHost, match="1 without UEFI firmware"):
        place(sessions, SETTINGS, start(sessions, world))
    add_host(sessions, "uefi", uefi=True)
    assert place(sessions, SETTINGS, start(sessions, world)).host == "uefi"


def test_image_is_to_a_server_what_it_was_at_the_request(sessions: Sessions) -> None:
    world = make_world(sessions)
    add_host(sessions, "one", uefi=True)
    before = {"hw_disk_bus": "scsi", "byre_boot_proof": "agent", "note": "x"}
    with sessions.begin() as session:
        session.get_one(Image, world.image_id).properties = before
    job = start(sessions, world)
    with sessions.begin() as session:
        after = {"hw_disk_bus": "sata", "hw_firmware_type": "uefi"}
        session.get_one(Image, world.image_id).properties = after

    build = place(sessions, SETTINGS, job).build

    assert (build.machine.hardware.disk_bus, build.machine.hardware.firmware) == ("scsi", "bios")
    assert build.boot.proof == "agent"
    with sessions() as session:
        kept = session.get_one(RequestSpec, job.server_id).image_words
        assert kept == {"hw_disk_bus": "scsi", "byre_boot_proof": "agent"}


def test_limits_travel_as_they_were_at_the_request(sessions: Sessions) -> None:
    world = make_world(sessions)
    add_host(sessions, "one")
    specs = {"quota:disk_total_iops_sec": "300", "quota:cpu_quota": "0", "note": "x"}

    machine = place(sessions, SETTINGS, start(sessions, world, extra_specs=specs)).build.machine

    assert machine.cpu_policy == "shared"
    assert machine.limits.disk_total_iops == 300
    assert set(machine.limits.model_dump(exclude_defaults=True)) == {"disk_total_iops"}


def test_rates_of_interfaces_go_where_the_kernel_has_them(sessions: Sessions) -> None:
    world = make_world(sessions)
    add_host(sessions, "plain", memory_mib=65536)
    specs = {"quota:vif_outbound_average": "100"}

    with pytest.raises(NoValidHost, match="1 whose kernel cannot hold interfaces to a rate"):
        place(sessions, SETTINGS, start(sessions, world, extra_specs=specs))
    add_host(sessions, "shaping", vif_limits=True)
    assert place(sessions, SETTINGS, start(sessions, world, extra_specs=specs)).host == "shaping"
