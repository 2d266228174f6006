"""The port's contract, on every implementation of it."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tasks.errors import (
    DownloadFailed,
    ForeignOwner,
    HostError,
    HostFull,
    ImageCorrupt,
    MalformedMessage,
    StaleMessage,
)
from tests.drivers.conftest import Rig
from tests.drivers.values import NETWORK, Server, make_port


def test_inventory_tells_what_the_host_has(rig: Rig) -> None:
    found = rig.host.inventory()
    assert found.vcpus >= 1
    assert found.memory_mib >= 1024
    assert found.disk_gib >= found.free_disk_gib >= 0
    assert found.domain_type in {"kvm", "qemu"}
    assert found.running_domains == 0


def test_every_verb_that_makes_can_be_repeated(rig: Rig) -> None:
    server = rig.server()
    first = server.resources(rig.host)
    assert server.resources(rig.host) == first
    defined = rig.host.define(server.job, first)
    assert rig.host.define(server.job, first) == defined
    assert defined.state == "shutoff"
    started = rig.host.start(server.server_id)
    assert rig.host.start(server.server_id) == started
    assert started.state == "running"
    assert rig.host.inventory().running_domains == 1


def test_every_verb_that_removes_can_be_repeated(rig: Rig) -> None:
    server = rig.server()
    spec = server.resources(rig.host)
    rig.host.define(server.job, spec)
    rig.host.start(server.server_id)
    for _ in range(2):
        server.remove(rig.host)
        assert server.traces(rig.host) == []


def test_servers_are_built_and_removed_side_by_side(rig: Rig) -> None:
    servers = [rig.server() for _ in range(6)]

    def build(server: Server) -> None:
        rig.host.define(server.job, server.resources(rig.host))
        rig.host.start(server.server_id)

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(build, servers))
        assert rig.host.inventory().running_domains == 6
        list(threads.map(lambda server: server.remove(rig.host), servers))
    assert [server.traces(rig.host) for server in servers] == [[]] * 6


def test_removing_what_never_was_is_success(rig: Rig) -> None:
    server = rig.server()
    server.remove(rig.host)
    assert server.traces(rig.host) == []


def test_traces_name_each_thing_that_is_there(rig: Rig) -> None:
    server = rig.server()
    assert server.traces(rig.host) == []
    spec = server.resources(rig.host)
    rig.host.define(server.job, spec)
    found = "\n".join(server.traces(rig.host))
    for trace in ("domain ", ".root.qcow2", ".config.iso", "dhcp entry ", "filter byre-port-"):
        assert trace in found


def test_a_removal_leaves_other_servers_alone(rig: Rig) -> None:
    gone, kept = rig.server(), rig.server()
    for server in (gone, kept):
        rig.host.define(server.job, server.resources(rig.host))
    before = kept.traces(rig.host)
    gone.remove(rig.host)
    assert gone.traces(rig.host) == []
    assert kept.traces(rig.host) == before


def test_an_undo_after_half_a_build_leaves_nothing(rig: Rig) -> None:
    server = rig.server()
    rig.host.ensure_port(NETWORK, server.port, "web-1")
    rig.host.ensure_image(server.image)
    rig.host.ensure_root_disk(server.server_id, server.image, 1)
    server.remove(rig.host)
    assert server.traces(rig.host) == []


def test_a_domain_tells_who_made_it(rig: Rig) -> None:
    server = rig.server()
    assert rig.host.find(server.server_id) is None
    rig.host.define(server.job, server.resources(rig.host))
    found = rig.host.find(server.server_id)
    assert found is not None
    assert (found.run_id, found.attempt) == (server.job.run_id, 1)


def test_a_newer_attempt_takes_the_domain_over(rig: Rig) -> None:
    server = rig.server()
    spec = server.resources(rig.host)
    rig.host.define(server.job, spec)
    rig.host.start(server.server_id)
    newer = server.job.model_copy(update={"attempt": 2})
    assert rig.host.define(newer, spec).attempt == 2
    found = rig.host.find(server.server_id)
    assert found is not None
    assert (found.attempt, found.state) == (2, "running")


def test_an_older_attempt_cannot_take_the_domain_back(rig: Rig) -> None:
    server = rig.server()
    spec = server.resources(rig.host)
    rig.host.define(server.job.model_copy(update={"attempt": 2}), spec)
    with pytest.raises(StaleMessage):
        rig.host.define(server.job, spec)
    found = rig.host.find(server.server_id)
    assert found is not None
    assert found.attempt == 2


def test_a_foreign_domain_is_refused_and_left_alone(rig: Rig) -> None:
    server = rig.server()
    spec = server.resources(rig.host)
    rig.servers.clear()
    rig.plant_foreign(server.server_id)
    with pytest.raises(ForeignOwner):
        rig.host.find(server.server_id)
    with pytest.raises(ForeignOwner):
        rig.host.define(server.job, spec)
    with pytest.raises(ForeignOwner):
        rig.host.start(server.server_id)
    with pytest.raises(ForeignOwner):
        rig.host.remove_domain(server.server_id)
    rig.host.remove_ports(server.server_id, [server.port])
    rig.host.remove_disks(server.server_id)


def test_only_a_defined_domain_starts(rig: Rig) -> None:
    with pytest.raises(HostError):
        rig.host.start(rig.server().server_id)


def test_a_domain_needs_its_disks(rig: Rig) -> None:
    server = rig.server()
    spec = server.resources(rig.host)
    rig.host.remove_disks(server.server_id)

    def define_and_start() -> None:
        # libvirt looks at the start, the fake at the definition: in any case before a guest runs.
        rig.host.define(server.job, spec)
        rig.host.start(server.server_id)

    with pytest.raises(HostError):
        define_and_start()


def test_a_failed_start_can_be_repeated(rig: Rig) -> None:
    server = rig.server()
    spec = server.resources(rig.host)
    rig.host.define(server.job, spec)
    rig.host.remove_domain(server.server_id)
    with pytest.raises(HostError):
        rig.host.start(server.server_id)
    rig.host.define(server.job, spec)
    assert rig.host.start(server.server_id).state == "running"


def test_more_memory_than_the_host_has_is_full(rig: Rig) -> None:
    server = rig.server(memory_mib=1024 * 1024 * 1024)
    rig.host.define(server.job, server.resources(rig.host))
    with pytest.raises(HostFull):
        rig.host.start(server.server_id)


def test_a_root_disk_needs_its_image(rig: Rig) -> None:
    server = rig.server()
    with pytest.raises(HostError):
        rig.host.ensure_root_disk(server.server_id, server.image, 1)


def test_nothing_is_seen_of_a_server_that_is_not_there(rig: Rig) -> None:
    server = rig.server()
    look = rig.host.observe(server.server_id, [server.port])
    assert (look.state, look.addresses, look.agent, look.console) == (None, [], None, "")


def test_a_domain_that_is_only_defined_has_proved_nothing(rig: Rig) -> None:
    server = rig.server()
    rig.host.define(server.job, server.resources(rig.host))
    look = rig.host.observe(server.server_id, [server.port])
    assert (look.state, look.addresses, look.agent) == ("shutoff", [], None)


@pytest.mark.parametrize("identifier", ["../../etc/passwd", "web", "", "A" * 36])
def test_an_id_that_is_no_uuid_names_nothing(rig: Rig, identifier: str) -> None:
    with pytest.raises(MalformedMessage):
        rig.host.find(identifier)
    with pytest.raises(MalformedMessage):
        rig.host.remove_disks(identifier)
    port = make_port().model_copy(update={"port_id": identifier})
    with pytest.raises(MalformedMessage):
        rig.host.ensure_port(NETWORK, port, "web")


def test_eight_builds_fetch_an_image_once(rig: Rig) -> None:
    rig.images.manner = "slow"
    image = rig.images.source()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(rig.host.ensure_image, [image] * 8))
    assert rig.images.requests == 1


@pytest.mark.parametrize(
    ("manner", "changes", "expected"),
    [
        ("well", {"sha256": "0" * 64}, ImageCorrupt),
        ("well", {"size_bytes": 1}, ImageCorrupt),
        ("well", {"size_bytes": 10_000_000}, ImageCorrupt),
        ("truncated", {}, DownloadFailed),
        ("error", {}, DownloadFailed),
        ("well", {"url": "http://127.0.0.1:9/image?ticket=secret"}, DownloadFailed),
    ],
)
def test_a_bad_download_is_refused_and_leaves_no_file(
    rig: Rig, manner: str, changes: dict[str, object], expected: type[Exception]
) -> None:
    rig.images.manner = manner  # type: ignore[assignment]
    # Of a short image few halves can be sent, each of which counts as progress.
    rig.images.content = b"an image"
    image = rig.images.source(**changes)
    with pytest.raises(expected) as caught:
        rig.host.ensure_image(image)
    assert "secret" not in repr(vars(caught.value))
    assert caught.value.__cause__ is None
    left = [path.name for path in rig.image_dir.glob("*") if path.is_file()]
    # A download that broke off is gone on with.
    assert left == ([f".image-{image.sha256}.qcow2.part"] if manner == "truncated" else [])


def test_a_failed_download_can_be_tried_again(rig: Rig) -> None:
    rig.images.manner = "error"
    image = rig.images.source()
    with pytest.raises(DownloadFailed):
        rig.host.ensure_image(image)
    rig.images.manner = "well"
    before = rig.images.requests
    rig.host.ensure_image(image)
    assert rig.images.requests == before + 1


def test_the_cache_tells_what_is_in_it_and_what_failed(rig: Rig) -> None:
    good, bad = rig.images.source(), rig.images.source(sha256="0" * 64)
    rig.host.ensure_image(good)
    with pytest.raises(ImageCorrupt):
        rig.host.ensure_image(bad)
    listed = {one.sha256: one for one in rig.host.cached_images()}
    ready, failed = listed[good.sha256], listed[bad.sha256]
    assert (ready.image_id, ready.state, ready.reason) == (good.image_id, "ready", "")
    assert (ready.disk_format, ready.size_bytes) == ("qcow2", good.size_bytes)
    assert not ready.in_use
    assert (failed.image_id, failed.state, failed.size_bytes) == (bad.image_id, "failed", 0)
    assert "not the one that was promised" in failed.reason
    assert rig.host.inventory().image_cache_bytes >= ready.allocated_bytes > 0


def test_an_image_is_pruned_when_no_disk_lies_over_it(rig: Rig) -> None:
    server = rig.server()
    server.disks(rig.host)
    assert rig.host.prune_images() == []
    assert [one.in_use for one in rig.host.cached_images() if one.state == "ready"] == [True]
    rig.host.quarantine(server.thing(rig.host, "disk"))
    assert rig.host.prune_images() == []
    rig.host.discard(server.thing(rig.host, "disk"))
    assert rig.host.prune_images() == [server.image.sha256]
    assert rig.host.prune_images() == []
    with pytest.raises(HostError):
        rig.host.ensure_root_disk(server.server_id, server.image, 1)
    server.disks(rig.host)


# --- power --------------------------------------------------------------------------------------


def state_of(rig: Rig, server: Server) -> str | None:
    found = rig.host.find(server.server_id)
    return found.state if found else None


def running(rig: Rig) -> Server:
    server = rig.server()
    rig.host.define(server.job, server.resources(rig.host))
    rig.host.start(server.server_id)
    return server


def test_power_is_cut_at_once_and_comes_back(rig: Rig) -> None:
    server = running(rig)
    for _ in range(2):
        rig.host.cut_power(server.server_id)
        assert state_of(rig, server) == "shutoff"
    assert server.traces(rig.host), "only its power was cut"
    rig.host.start(server.server_id)
    assert state_of(rig, server) == "running"


def test_paused_server_stands_still_and_goes_on(rig: Rig) -> None:
    server = running(rig)
    for _ in range(2):
        rig.host.pause(server.server_id)
        assert state_of(rig, server) == "paused"
    rig.host.start(server.server_id)
    assert state_of(rig, server) == "running"


@pytest.mark.parametrize("from_pause", [False, True])
def test_suspended_server_is_off_and_goes_on(rig: Rig, *, from_pause: bool) -> None:
    server = running(rig)
    if from_pause:
        rig.host.pause(server.server_id)
    for _ in range(2):
        rig.host.suspend(server.server_id)
        assert state_of(rig, server) == "shutoff"
    for _ in range(2):
        rig.host.start(server.server_id)
        assert state_of(rig, server) == "running"


def test_what_was_saved_is_forgotten_with_the_power(rig: Rig) -> None:
    server = running(rig)
    rig.host.suspend(server.server_id)
    rig.host.cut_power(server.server_id)
    with pytest.raises(HostError):
        rig.host.suspend(server.server_id)
    rig.host.start(server.server_id)
    assert state_of(rig, server) == "running"


def test_suspended_server_is_removed_with_what_was_saved(rig: Rig) -> None:
    server = running(rig)
    rig.host.suspend(server.server_id)
    server.remove(rig.host)
    assert server.traces(rig.host) == []
    rig.host.define(server.job, server.resources(rig.host))
    with pytest.raises(HostError):
        rig.host.suspend(server.server_id)


@pytest.mark.parametrize("is_paused", [False, True])
def test_server_is_interrupted_and_stays_as_it_is(rig: Rig, *, is_paused: bool) -> None:
    server = running(rig)
    if is_paused:
        rig.host.pause(server.server_id)
    rig.host.inject_nmi(server.server_id)
    assert state_of(rig, server) == ("paused" if is_paused else "running")


def test_server_that_is_off_cannot_stand_still(rig: Rig) -> None:
    server = rig.server()
    rig.host.define(server.job, server.resources(rig.host))
    rig.host.shut_down(server.server_id)
    for verb in (rig.host.pause, rig.host.suspend, rig.host.inject_nmi):
        with pytest.raises(HostError):
            verb(server.server_id)
    assert state_of(rig, server) == "shutoff"


def test_power_of_what_is_not_there(rig: Rig) -> None:
    server = rig.server()
    for verb in (rig.host.shut_down, rig.host.pause, rig.host.suspend, rig.host.inject_nmi):
        with pytest.raises(HostError):
            verb(server.server_id)
    rig.host.cut_power(server.server_id)


def test_power_of_a_foreign_domain_is_left_alone(rig: Rig) -> None:
    server = rig.server()
    rig.servers.clear()
    rig.plant_foreign(server.server_id)
    for verb in (rig.host.shut_down, rig.host.cut_power, rig.host.pause, rig.host.suspend):
        with pytest.raises(ForeignOwner):
            verb(server.server_id)


def test_console_of_what_never_ran_says_nothing(rig: Rig) -> None:
    server = rig.server()
    assert rig.host.console(server.server_id) == ""
