"""What only a real libvirt can show of survey, quarantine and events."""

import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import libvirt
import pytest

from tasks.errors import ForeignOwner, HostGone
from tasks.messages import DomainState, Thing
from tests.drivers.conftest import Rig, by_hand
from tests.drivers.libvirtd import PrivateHost
from tests.drivers.test_contract_things import eventually, run
from tests.drivers.values import make_job
from workers.hypervisor.libvirt import LibvirtHypervisor, LibvirtSettings
from workers.hypervisor.names import domain_name
from workers.hypervisor.things import dhcp_thing

pytestmark = pytest.mark.lab


@pytest.fixture
def strangers(
    libvirt_rig: Rig, private_host: PrivateHost, libvirt_settings: LibvirtSettings
) -> Iterator[list[Path]]:
    """Put things on the host that are not ours; gives the files among them."""
    server_id = str(uuid.uuid4())
    storage, console = libvirt_settings.storage_dir, libvirt_settings.console_dir
    named = ("notes.txt", f"{server_id}", f"{server_id}.root.qcow2.bak", f"x{server_id}.config.iso")
    files = [storage / name for name in named] + [storage / f"{server_id}.console.log"]
    files += [console / "by-hand.log", console / f"{server_id}.root.qcow2"]
    with by_hand(private_host.uri) as handle, ExitStack() as stack:
        for directory in (storage, console):
            directory.mkdir(parents=True, exist_ok=True)
        for path in files:
            path.write_bytes(b"mine")
            stack.callback(path.unlink)
        link = storage / f"{uuid.uuid4()}.root.qcow2"
        link.symlink_to(files[0])
        stack.callback(link.unlink)
        network = handle.networkDefineXML(_NETWORK)
        stack.callback(network.undefine)
        for name in ("by-hand", "byre-port-1", f"byre-other-{server_id}"):
            made = handle.nwfilterDefineXML(f"<filter name='{name}'/>")
            stack.callback(made.undefine)
        yield files


_NETWORK = """
<network><name>byre-by-hand</name><ip address='10.178.0.1' prefix='24'><dhcp>
<host mac='52:54:00:00:00:09' ip='10.178.0.9'/></dhcp></ip></network>
"""


def test_a_survey_shows_nothing_of_strangers(libvirt_rig: Rig, strangers: list[Path]) -> None:
    server = run(libvirt_rig)
    assert sorted(libvirt_rig.host.survey(), key=repr) == sorted(
        server.things(libvirt_rig.host), key=repr
    )
    for thing in server.things(libvirt_rig.host):
        libvirt_rig.host.quarantine(thing)
        libvirt_rig.host.discard(thing)
    assert all(path.read_bytes() == b"mine" for path in strangers)


def test_a_strangers_dhcp_entry_is_refused(
    libvirt_rig: Rig, private_host: PrivateHost, strangers: list[Path]
) -> None:
    with by_hand(private_host.uri) as handle:
        network = handle.networkLookupByName("byre-by-hand")
        with pytest.raises(ForeignOwner):
            libvirt_rig.host.discard(dhcp_thing(network.UUIDString(), "52:54:00:00:00:09"))
        assert "52:54:00:00:00:09" in network.XMLDesc(0)


def test_a_cached_image_is_no_servers(libvirt_rig: Rig) -> None:
    libvirt_rig.host.ensure_image(libvirt_rig.images.source())
    assert libvirt_rig.host.survey() == []


def test_an_unfinished_file_is_shown_and_goes(
    libvirt_rig: Rig, libvirt_settings: LibvirtSettings
) -> None:
    server = libvirt_rig.server()
    path = libvirt_settings.storage_dir / f".{server.server_id}.config.iso.ab_12xyz"
    path.write_bytes(b"half")
    thing = server.thing(libvirt_rig.host, "config_drive")
    assert (thing.name, thing.server_id) == (path.name, server.server_id)
    libvirt_rig.host.quarantine(thing)
    assert not path.exists()
    libvirt_rig.host.discard(server.thing(libvirt_rig.host, "config_drive"))
    assert server.things(libvirt_rig.host) == []


def test_a_log_that_rolled_over_is_shown_in_each_part(
    libvirt_rig: Rig, libvirt_settings: LibvirtSettings
) -> None:
    server = libvirt_rig.server()
    libvirt_settings.console_dir.mkdir(parents=True, exist_ok=True)
    for part in ("", ".0", ".1"):
        path = libvirt_settings.console_dir / f"{server.server_id}.console.log{part}"
        path.write_bytes(b"Linux version")
    things = server.things(libvirt_rig.host)
    assert [thing.kind for thing in things] == ["console_log"] * 3
    for thing in things:
        libvirt_rig.host.quarantine(thing)
    aside = [thing.model_copy(update={"quarantined": True}) for thing in things]
    assert server.things(libvirt_rig.host) == aside


def test_a_copy_of_our_domain_is_its_makers(libvirt_rig: Rig, private_host: PrivateHost) -> None:
    server, copied = run(libvirt_rig), str(uuid.uuid4())
    thing = Thing(kind="domain", name=domain_name(copied))
    with by_hand(private_host.uri) as handle:
        description = handle.lookupByUUIDString(server.server_id).XMLDesc(0)
        name = domain_name(server.server_id)
        # Its mark still names the server that it was copied from.
        description = description.replace(f"<uuid>{server.server_id}", f"<uuid>{copied}")
        copy = handle.defineXMLFlags(description.replace(f"<name>{name}", f"<name>{name}-copy"))
        try:
            assert copied not in {thing.server_id for thing in libvirt_rig.host.survey()}
            with pytest.raises(ForeignOwner):
                libvirt_rig.host.discard(thing)
            with pytest.raises(ForeignOwner):
                libvirt_rig.host.quarantine(thing)
            assert handle.lookupByUUIDString(copied).isPersistent()
        finally:
            copy.undefineFlags(0)


def test_a_domain_in_quarantine_does_not_start_with_its_host(
    libvirt_rig: Rig, private_host: PrivateHost
) -> None:
    server = run(libvirt_rig)
    with by_hand(private_host.uri) as handle:
        handle.lookupByUUIDString(server.server_id).setAutostart(1)
        libvirt_rig.host.quarantine(server.thing(libvirt_rig.host, "domain"))
        assert not handle.lookupByUUIDString(server.server_id).autostart()
    private_host.kill_daemon()
    private_host.start_daemon()
    found = server.thing(libvirt_rig.host, "domain")
    assert (found.state, found.quarantined) == ("shutoff", True)


def test_a_domain_without_a_definition_is_kept_all_the_same(
    libvirt_rig: Rig, private_host: PrivateHost
) -> None:
    server = run(libvirt_rig)
    with by_hand(private_host.uri) as handle:
        handle.lookupByUUIDString(server.server_id).undefineFlags(0)
    libvirt_rig.host.quarantine(server.thing(libvirt_rig.host, "domain"))
    found = server.thing(libvirt_rig.host, "domain")
    assert (found.state, found.quarantined) == ("shutoff", True)


def test_a_paused_domain_is_told_and_can_be_quarantined(
    libvirt_rig: Rig, private_host: PrivateHost
) -> None:
    server = run(libvirt_rig)
    told: list[DomainState | None] = []
    libvirt_rig.host.watch(lambda _, state: told.append(state))
    with by_hand(private_host.uri) as handle:
        handle.lookupByUUIDString(server.server_id).suspend()
    eventually(lambda: told == ["paused"])
    assert server.thing(libvirt_rig.host, "domain").state == "paused"
    libvirt_rig.host.quarantine(server.thing(libvirt_rig.host, "domain"))
    assert server.thing(libvirt_rig.host, "domain").state == "shutoff"


def test_a_watcher_is_told_after_the_daemon_was_killed(
    libvirt_rig: Rig, private_host: PrivateHost
) -> None:
    server = run(libvirt_rig)
    told: list[DomainState | None] = []
    libvirt_rig.host.watch(lambda _, state: told.append(state))
    for _ in range(2):
        private_host.kill_daemon()
        private_host.start_daemon()
        assert server.thing(libvirt_rig.host, "domain").state == "running"
        told.clear()
        libvirt_rig.end_guest(server.server_id)
        eventually(lambda: told == ["shutoff"])
        libvirt_rig.host.start(server.server_id)


def test_nobody_is_told_once_the_driver_is_closed(
    libvirt_rig: Rig, libvirt_settings: LibvirtSettings
) -> None:
    server = run(libvirt_rig)
    other, told = LibvirtHypervisor(libvirt_settings), list[str]()
    other.watch(lambda server_id, _: told.append(server_id))
    assert other.survey() != []
    other.close()
    libvirt_rig.end_guest(server.server_id)
    time.sleep(0.3)
    assert told == []
    with pytest.raises(HostGone):
        other.survey()


def test_a_survey_that_the_daemons_death_cuts_off_is_gone(
    libvirt_rig: Rig, private_host: PrivateHost, libvirt_settings: LibvirtSettings
) -> None:
    hasty = LibvirtHypervisor(
        LibvirtSettings(
            uri=libvirt_settings.uri,
            storage_dir=libvirt_settings.storage_dir,
            state_dir=libvirt_settings.state_dir,
            console_dir=libvirt_settings.console_dir,
            patience_s=0.3,
        )
    )
    server = run(libvirt_rig)
    domain = server.thing(hasty, "domain")
    private_host.kill_daemon()
    try:
        for ask in (hasty.survey, lambda: hasty.quarantine(domain), lambda: hasty.discard(domain)):
            with pytest.raises(HostGone):
                ask()
    finally:
        private_host.start_daemon()
        hasty.close()


def test_a_survey_of_two_hundred_servers_is_quick(
    libvirt_rig: Rig, private_host: PrivateHost, libvirt_settings: LibvirtSettings
) -> None:
    jobs, host = [make_job() for _ in range(200)], libvirt_rig.host
    spec = libvirt_rig.server().spec([]).model_copy(update={"ports": []})
    try:
        for job in jobs:
            host.define(job, spec)
            (libvirt_settings.storage_dir / f"{job.server_id}.root.qcow2").touch()
        started = time.monotonic()
        things = host.survey()
        took_s = time.monotonic() - started
    finally:
        for job in jobs:
            host.remove_domain(job.server_id)
            host.remove_disks(job.server_id)
    assert len(things) == 400
    assert took_s < 2.0


def test_a_connection_that_is_left_is_closed(
    private_host: PrivateHost, libvirt_settings: LibvirtSettings
) -> None:
    """A registration for events must not keep it open."""
    with by_hand(private_host.uri) as handle:
        host = LibvirtHypervisor(libvirt_settings)
        host.watch(lambda _server_id, _state: None)
        before = _clients(private_host)
        host.survey()
        assert _clients(private_host) == before + 1
        host.close()
        eventually(lambda: _clients(private_host) == before)
        assert isinstance(handle, libvirt.virConnect)


def _clients(private_host: PrivateHost) -> int:
    """Return how many connections the daemon's socket has."""
    table = Path("/proc/net/unix").read_text().splitlines()
    return sum(line.endswith("/run/libvirt/libvirt-sock") for line in table)
