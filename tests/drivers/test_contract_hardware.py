"""The port's contract on hardware, extra disks and processors, on every implementation of it."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tasks.errors import HostError, HostFull, ImageUnusable
from tasks.messages import Outline, ThingKind
from tests.drivers.boot_code import boot_disc
from tests.drivers.conftest import Rig
from tests.drivers.images import serving
from tests.drivers.values import NETWORK, Server
from workers.hypervisor import names

EXTRA = {"ephemeral_gib": 1, "swap_mib": 64}
UEFI = {"hardware": {"firmware": "uefi"}}


def kinds(rig: Rig, server: Server) -> list[ThingKind]:
    """Return the kinds of what a survey shows of the server, but for its port's and metadata."""
    found = [thing.kind for thing in server.things(rig.host)]
    of_others = {"dhcp_entry", "filter", "firewall", "first_boot"}
    return [kind for kind in found if kind not in of_others]


def test_extra_disks_are_made_once_and_removed(rig: Rig) -> None:
    server = rig.server(machine=EXTRA)
    disks = server.disks(rig.host)
    assert [disk.role for disk in disks] == ["root", "ephemeral", "swap", "config"]
    assert len({disk.path for disk in disks}) == 4
    assert server.disks(rig.host) == disks
    assert kinds(rig, server) == ["config_drive", "disk", "extra_disk", "extra_disk"]
    found = "\n".join(server.traces(rig.host))
    for name in (".ephemeral.raw", ".swap.raw"):
        assert name in found
    for _ in range(2):
        rig.host.remove_disks(server.server_id)
        assert server.traces(rig.host) == []
        assert kinds(rig, server) == []


def test_an_ephemeral_disk_is_kept_when_the_others_go(rig: Rig) -> None:
    server = rig.server(machine=EXTRA)
    disks = server.disks(rig.host)
    for _ in range(2):
        rig.host.remove_disks(server.server_id, keep_ephemeral=True)
        assert kinds(rig, server) == ["extra_disk"]
        assert ".ephemeral.raw" in server.thing(rig.host, "extra_disk").name
    assert server.disks(rig.host) == disks


def test_an_interface_comes_to_a_domain_and_leaves_it(rig: Rig) -> None:
    server, other = rig.server(), rig.server()
    rig.host.define(server.job, server.resources(rig.host))
    rig.host.ensure_port(NETWORK, other.port, "web-1")
    machine = server.machine_spec()
    for started in (False, True):
        if started:
            rig.host.start(server.server_id)
        for _ in range(2):
            rig.host.attach_port(server.server_id, other.port, machine)
        if started:
            # It is the guest's to let go of it, and there is none.
            rig.host.cut_power(server.server_id)
        for _ in range(2):
            assert rig.host.detach_port(server.server_id, other.port)
    rig.host.remove_domain(server.server_id)
    assert rig.host.detach_port(server.server_id, other.port)
    with pytest.raises(HostError):
        rig.host.attach_port(server.server_id, other.port, machine)


def test_a_rescue_disk_lies_beside_the_servers_own(rig: Rig) -> None:
    server = rig.server()
    own = server.disks(rig.host)
    project_id, build = server.job.project_id, server.build()
    disks = rig.host.ensure_rescue_disks(server.server_id, project_id, build)
    assert rig.host.ensure_rescue_disks(server.server_id, project_id, build) == disks
    assert [disk.role for disk in disks] == ["rescue", "config"]
    assert rig.host.own_disks(server.server_id) == own
    assert not {disk.path for disk in own} & {disk.path for disk in disks}
    rig.host.ensure_port(NETWORK, server.port, "web-1")
    rig.host.define(server.job, server.spec([*disks, own[0]]))
    assert rig.host.start(server.server_id).state == "running"
    assert kinds(rig, server).count("extra_disk") == 2
    rig.host.cut_power(server.server_id)
    for _ in range(2):
        rig.host.remove_rescue_disks(server.server_id)
        assert "extra_disk" not in kinds(rig, server)
    assert rig.host.own_disks(server.server_id) == own
    rig.host.ensure_rescue_disks(server.server_id, project_id, build)
    rig.host.remove_domain(server.server_id)
    rig.host.remove_disks(server.server_id)
    assert rig.host.own_disks(server.server_id) == []
    assert "extra_disk" not in kinds(rig, server)


def test_a_server_without_extra_disks_has_none(rig: Rig) -> None:
    server = rig.server()
    rig.host.ensure_image(server.image)
    machine = server.machine_spec()
    assert rig.host.ensure_extra_disks(server.server_id, server.image, machine) == []
    assert server.traces(rig.host) == []


def test_an_extra_disk_that_nobody_owns_is_set_aside_and_discarded(rig: Rig) -> None:
    server = rig.server(machine={"swap_mib": 64})
    server.disks(rig.host)
    swap = server.thing(rig.host, "extra_disk")
    rig.host.quarantine(swap)
    aside = server.thing(rig.host, "extra_disk")
    assert aside == swap.model_copy(update={"quarantined": True})
    rig.host.discard(aside)
    assert "extra_disk" not in kinds(rig, server)


def test_the_firmwares_variables_live_as_long_as_the_domain(rig: Rig) -> None:
    server = rig.server(machine=UEFI)
    spec = server.resources(rig.host)
    rig.host.define(server.job, spec)
    rig.host.start(server.server_id)
    assert "nvram" in kinds(rig, server)
    assert ".nvram.fd" in "\n".join(server.traces(rig.host))
    rig.end_guest(server.server_id)
    assert "nvram" in kinds(rig, server)
    rig.host.define(server.job.model_copy(update={"attempt": 2}), spec)
    assert "nvram" in kinds(rig, server)
    rig.host.remove_domain(server.server_id)
    assert "nvram" not in kinds(rig, server)


def test_an_unowned_uefi_server_goes_with_its_variables(rig: Rig) -> None:
    server = rig.server(machine=UEFI)
    rig.host.define(server.job, server.resources(rig.host))
    rig.host.start(server.server_id)
    rig.host.discard(server.thing(rig.host, "domain"))
    assert kinds(rig, server) == ["config_drive", "disk"]


def test_the_variables_alone_can_be_set_aside_and_discarded(rig: Rig) -> None:
    server = rig.server(machine=UEFI)
    rig.host.define(server.job, server.resources(rig.host))
    rig.host.start(server.server_id)
    rig.end_guest(server.server_id)
    rig.host.quarantine(server.thing(rig.host, "nvram"))
    rig.host.discard(server.thing(rig.host, "nvram"))
    assert "nvram" not in kinds(rig, server)


def test_a_host_says_whether_it_has_uefi(rig: Rig) -> None:
    assert rig.host.inventory().uefi is True


def test_processors_that_the_host_does_not_give_away_are_not_had(rig: Rig) -> None:
    found = rig.host.inventory()
    assert (found.dedicated_vcpus, found.free_dedicated_vcpus) == (0, 0)
    server = rig.server(machine={"cpu_policy": "dedicated"})
    with pytest.raises(HostFull):
        rig.host.define(server.job, server.resources(rig.host))
    assert rig.host.find(server.server_id) is None


def test_a_disc_to_install_from_goes_with_an_empty_disk(rig: Rig) -> None:
    server = rig.server()
    with serving(boot_disc("hello")) as images:
        server.image = images.source(disk_format="iso")
        disks = server.disks(rig.host)
    assert [disk.role for disk in disks] == ["root", "cdrom", "config"]
    assert server.disks(rig.host) == disks
    assert kinds(rig, server) == ["config_drive", "disk", "extra_disk"]
    with pytest.raises(ImageUnusable):
        rig.host.ensure_root_disk(rig.server().server_id, server.image, 0)
    rig.host.remove_disks(server.server_id)
    assert server.traces(rig.host) == []


def test_two_that_want_the_last_processor_do_not_both_get_it(dedicated_rig: Rig) -> None:
    rig = dedicated_rig
    servers = [rig.server(machine={"cpu_policy": "dedicated"}) for _ in range(4)]
    specs = [server.resources(rig.host) for server in servers]

    def define(number: int) -> bool:
        try:
            rig.host.define(servers[number].job, specs[number])
        except HostFull:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(define, range(4))) == 1


def test_a_processor_is_one_servers_until_it_is_removed(dedicated_rig: Rig) -> None:
    rig = dedicated_rig
    first, second = (rig.server(machine={"cpu_policy": "dedicated"}) for _ in range(2))
    assert rig.host.inventory().dedicated_vcpus == 1
    spec = first.resources(rig.host)
    rig.host.define(first.job, spec)
    assert rig.host.inventory().free_dedicated_vcpus == 0
    # Its own newer attempt finds it taken by nobody but itself.
    rig.host.define(first.job.model_copy(update={"attempt": 2}), spec)
    with pytest.raises(HostFull):
        rig.host.define(second.job, second.resources(rig.host))
    rig.host.remove_domain(first.server_id)
    assert rig.host.inventory().free_dedicated_vcpus == 1
    rig.host.define(second.job, second.resources(rig.host))
    assert rig.host.start(second.server_id).state == "running"


def test_who_shares_needs_no_processor_of_its_own(dedicated_rig: Rig) -> None:
    rig = dedicated_rig
    own, shared = rig.server(machine={"cpu_policy": "dedicated"}), rig.server()
    for server in (own, shared):
        rig.host.define(server.job, server.resources(rig.host))
        assert rig.host.start(server.server_id).state == "running"


def test_a_domain_is_described_without_being_made(rig: Rig) -> None:
    """Its disks have the names that they would get, and nothing of it is there."""
    server = rig.server(machine=EXTRA)
    outline = Outline(machine=server.machine_spec(), ports=[server.port], boot=server.build().boot)
    for _ in range(2):
        described = rig.host.describe(server.job, outline, "qcow2")
    assert server.traces(rig.host) == []
    assert rig.host.find(server.server_id) is None

    paths = [disk.path for disk in server.disks(rig.host)]
    assert all(path in described for path in paths)
    for part in (server.server_id, server.port.mac, names.network_name(NETWORK.network_id)):
        assert part in described
    assert names.install_disc_file(server.server_id) not in described
    of_disc = rig.host.describe(server.job, outline, "iso")
    assert names.install_disc_file(server.server_id) in of_disc


def test_a_description_takes_no_processors(dedicated_rig: Rig) -> None:
    rig = dedicated_rig
    server = rig.server(machine={"cpu_policy": "dedicated"})
    outline = Outline(machine=server.machine_spec(), ports=[server.port], boot=server.build().boot)
    rig.host.describe(server.job, outline, "qcow2")
    assert rig.host.inventory().free_dedicated_vcpus == 1
    more = outline.model_copy(update={"machine": outline.machine.model_copy(update={"vcpus": 2})})
    with pytest.raises(HostFull):
        rig.host.describe(server.job, more, "qcow2")
