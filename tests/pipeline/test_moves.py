"""Servers that move to another host over a real broker, with their disks by way of a real API, or
are made anew there: where they are, what each host has of them, and what they are in the end.

One host is in this process, so that it can be made to fail; the others have processes of their own.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import pytest

from app.db.models import Drift, Hypervisor, Image, Migration
from app.db.models.base import now
from app.db.session import reading
from tasks.errors import HostError
from tests.pipeline.conftest import Plane
from tests.pipeline.test_actions import shown
from tests.processes import wait_until
from workers.hypervisor.fake import FakeHypervisor
from workers.hypervisor.image_upload import Uploader

WITH_API = True


@dataclass(frozen=True)
class Host:
    """A host, and how to look into it."""

    name: str
    look: Callable[[], FakeHypervisor]

    def kinds(self, server_id: str) -> set[str]:
        """Return the kinds of what it has of the server."""
        return {thing.kind for thing in self.look().survey() if thing.server_id == server_id}

    def state(self, server_id: str) -> str | None:
        """Return the state of the server's domain."""
        found = self.look().find(server_id)
        return found.state if found else None

    def size(self, server_id: str) -> tuple[int, int]:
        """Return the server's processors and its memory in MiB."""
        machine = self.look().spec_of(server_id).machine
        return machine.vcpus, machine.memory_mib


@contextmanager
def inside(plane: Plane, name: str, fake: FakeHypervisor | None = None) -> Iterator[Host]:
    """Run a host in this process."""
    with plane.host(name, fake) as found:
        found.send = Uploader().send
        yield Host(name, lambda: found)


@contextmanager
def outside(plane: Plane, name: str, **settings: str) -> Iterator[Host]:
    """Run a host in a process of its own."""
    worker = plane.byre.start_compute(name, BYRE_SURVEY_INTERVAL_S="1", **settings)
    wait_until(lambda: plane.alive(name), f"host {name}", 20)
    state = plane.byre.directory / name / "state" / "fake.db"
    yield Host(name, lambda: FakeHypervisor(state=state))
    worker.stop()


def host_of(plane: Plane, server_id: str) -> str:
    with reading(plane.sessions) as session:
        return session.get_one(Hypervisor, plane.server(server_id).hypervisor_id).name


def carried(plane: Plane) -> list[str]:
    """Return the status of each image in which servers' disks have travelled, and are not gone."""
    with reading(plane.sessions) as session:
        found = session.query(Image).filter(Image.hidden.is_(True)).all()
        return [image.status for image in found if image.status != "pending_delete"]


def sent(plane: Plane, server_id: str, source: Host, dest: Host) -> None:
    """Have the server moved, and see that it is."""
    run = plane.act(server_id, "migrate")
    assert (run.state, run.reason) == ("done", None)
    expected = ("VERIFY_RESIZE", None)
    assert (shown(plane, server_id), host_of(plane, server_id)) == (expected, dest.name)
    assert dest.kinds(server_id) >= {"domain", "disk", "config_drive"}
    assert source.state(server_id) == "shutoff"
    assert source.kinds(server_id) >= {"domain", "disk"}
    assert carried(plane) == []


@pytest.mark.parametrize("end", ["confirm_resize", "revert_resize"])
def test_server_is_on_another_host_and_has_its_way_back_until_a_word_is_said(
    plane: Plane, end: str
) -> None:
    with inside(plane, "h1") as source:
        server_id = plane.ended(plane.create()).server_id
        with outside(plane, "h2") as dest:
            sent(plane, server_id, source, dest)
            assert dest.state(server_id) == "running"
            assert plane.held(server_id) == (2, 1)
            assert plane.server(server_id).power_state == 1

            assert plane.act(server_id, end).state == "done"
            plane.settled(server_id)

            home, left = (dest, source) if end == "confirm_resize" else (source, dest)
            assert shown(plane, server_id) == ("ACTIVE", None)
            assert host_of(plane, server_id) == home.name
            assert home.state(server_id) == "running"
            assert left.kinds(server_id) == set()
            assert plane.held(server_id) == (1, 1)

            # It may come again to where it was.
            sent(plane, server_id, home, left)
            plane.ended(plane.delete(server_id))
            plane.settled(server_id)
            assert plane.held(server_id) == (0, 0)
            assert [source.kinds(server_id), dest.kinds(server_id)] == [set(), set()]


def test_server_that_was_stopped_stays_so(plane: Plane) -> None:
    with inside(plane, "h1") as source:
        server_id = plane.ended(plane.create()).server_id
        plane.act(server_id, "stop")
        with outside(plane, "h2") as dest:
            sent(plane, server_id, source, dest)
            assert (dest.state(server_id), plane.server(server_id).power_state) == ("shutoff", 4)

            assert plane.act(server_id, "confirm_resize").state == "done"
            assert shown(plane, server_id) == ("SHUTOFF", None)


def test_server_is_resized_elsewhere_if_its_host_has_no_room(plane: Plane) -> None:
    # Too little memory for both sizes, after what every host keeps for itself.
    small = FakeHypervisor(memory_mib=512 + 256)
    with inside(plane, "small", small) as source:
        server_id = plane.ended(plane.create()).server_id
        with outside(plane, "large", BYRE_FAKE_MEMORY_MIB="65536") as dest:
            run = plane.act(server_id, "resize")

            assert (run.state, run.pipeline) == ("done", "resize_away")
            assert host_of(plane, server_id) == dest.name
            assert (source.size(server_id), dest.size(server_id)) == ((1, 256), (2, 512))
            assert plane.act(server_id, "revert_resize").state == "done"
            assert (host_of(plane, server_id), source.state(server_id)) == ("small", "running")
            assert dest.kinds(server_id) == set()


@pytest.mark.parametrize("verb", ["take_snapshot", "send_snapshot", "remove_ports"])
def test_server_stays_where_it_was_if_it_cannot_leave(plane: Plane, verb: str) -> None:
    with inside(plane, "h1") as source:
        server_id = plane.ended(plane.create()).server_id
        with outside(plane, "h2") as dest:
            source.look().faults.before[verb] = [HostError("The hypervisor says no.")]
            run = plane.act(server_id, "migrate")
            assert (run.state, run.reason) == ("failed", "The hypervisor says no.")
            unchanged(plane, server_id, source, dest)


@pytest.mark.parametrize("verb", ["fetch_disk", "start"])
def test_server_comes_back_if_it_cannot_arrive(plane: Plane, verb: str) -> None:
    with outside(plane, "h1") as source:
        server_id = plane.ended(plane.create()).server_id
        with inside(plane, "h2") as dest:
            dest.look().faults.before[verb] = [HostError("The hypervisor says no.")]
            run = plane.act(server_id, "migrate")
            assert run.state == "failed"
            # No third host is there: that is why it ended, and what came before is told too.
            assert "No valid host" in str(run.reason)
            unchanged(plane, server_id, source, dest)


def unchanged(plane: Plane, server_id: str, source: Host, dest: Host) -> None:
    """See that the server is as before, that nothing is left of its journey, and that it may begin
    another one."""
    plane.settled(server_id)
    assert shown(plane, server_id) == ("ACTIVE", None)
    assert host_of(plane, server_id) == source.name
    assert source.state(server_id) == "running"
    kinds = {thing.kind for thing in source.look().survey()}
    assert {"dhcp_entry", "filter"} <= kinds
    assert "snapshot" not in kinds
    assert dest.kinds(server_id) == set()
    assert plane.held(server_id) == (1, 1)
    assert carried(plane) == []
    sent(plane, server_id, source, dest)


def test_server_goes_on_to_a_third_host_if_the_second_one_fails(plane: Plane) -> None:
    with outside(plane, "h1") as source, ExitStack() as stack:
        server_id = plane.ended(plane.create()).server_id
        # Larger, so chosen first.
        failing = stack.enter_context(inside(plane, "h2", FakeHypervisor(memory_mib=131072)))
        failing.look().faults.before["fetch_disk"] = [HostError("The disk is gone.")]
        third = stack.enter_context(outside(plane, "h3"))
        run = plane.act(server_id, "migrate")
        plane.settled(server_id)

        assert run.state == "done"
        assert host_of(plane, server_id) == third.name
        assert failing.kinds(server_id) == set()
        assert source.state(server_id) == "shutoff"
        assert plane.held(server_id) == (2, 1)


def test_server_is_reverted_although_its_new_host_is_silent(plane: Plane) -> None:
    with inside(plane, "h1") as source:
        server_id = plane.ended(plane.create()).server_id
        with outside(plane, "h2") as dest:
            sent(plane, server_id, source, dest)
        with plane.sessions.begin() as session:
            row = session.query(Hypervisor).filter_by(name="h2").one()
            row.lost_at = row.last_seen_at

        assert plane.act(server_id, "revert_resize").state == "done"
        assert (shown(plane, server_id), host_of(plane, server_id)) == (("ACTIVE", None), "h1")
        assert source.state(server_id) == "running"
        assert dest.kinds(server_id) != set()

        with outside(plane, "h2") as dest:
            plane.settled(server_id, 40)
            assert dest.kinds(server_id) == set()
        assert plane.held(server_id) == (1, 1)


def test_nothing_that_waits_for_a_word_is_taken_for_drift(plane: Plane) -> None:
    with inside(plane, "h1") as source:
        server_id = plane.ended(plane.create()).server_id
        with outside(plane, "h2") as dest:
            sent(plane, server_id, source, dest)
            wait_until(partial(surveyed_since, plane, now()), "surveys of both hosts", 20)

            with reading(plane.sessions) as session:
                assert session.query(Drift).filter_by(server_id=server_id).all() == []
                assert session.query(Migration).one().status == "finished"


def surveyed_since(plane: Plane, moment: datetime) -> bool:
    """Say whether each host was looked through since then, twice: the first one may be older."""
    with reading(plane.sessions) as session:
        looks = [host.surveyed_at for host in session.query(Hypervisor)]
    return all(look is not None and look > moment + timedelta(seconds=2) for look in looks)


def silenced(plane: Plane, host: str) -> None:
    """Have the host not be heard of for long."""
    with plane.sessions.begin() as session:
        row = session.query(Hypervisor).filter_by(name=host).one()
        row.last_seen_at = row.lost_at = now() - timedelta(hours=1)


@pytest.mark.parametrize("before", ["ACTIVE", "SHUTOFF"])
def test_server_of_a_lost_host_is_made_anew_and_its_traces_go_when_that_is_back(
    plane: Plane, before: str
) -> None:
    with inside(plane, "h2") as dest:
        with plane.sessions.begin() as session:
            session.query(Hypervisor).filter_by(name="h2").one().enabled = False
        with outside(plane, "h1") as source:
            server_id = plane.ended(plane.create()).server_id
            if before == "SHUTOFF":
                plane.act(server_id, "stop")
        addresses = [port.mac for port in plane.server_ports(server_id)]
        silenced(plane, "h1")
        with plane.sessions.begin() as session:
            session.query(Hypervisor).filter_by(name="h2").one().enabled = True

        run = plane.act(server_id, "evacuate")

        assert (run.state, run.reason) == ("done", None)
        assert shown(plane, server_id) == (before, None)
        assert host_of(plane, server_id) == "h2"
        state = "running" if before == "ACTIVE" else "shutoff"
        assert dest.state(server_id) == state
        assert [port.mac for port in plane.server_ports(server_id)] == addresses
        assert source.kinds(server_id) != set()
        assert plane.held(server_id) == (2, 1)

        with outside(plane, "h1") as source:
            plane.settled(server_id, 40)
            assert source.kinds(server_id) == set()
        assert plane.held(server_id) == (1, 1)
        assert dest.state(server_id) == state


def test_evacuation_that_fails_leaves_the_server_to_its_host(plane: Plane) -> None:
    with inside(plane, "h2") as dest:
        with plane.sessions.begin() as session:
            session.query(Hypervisor).filter_by(name="h2").one().enabled = False
        with outside(plane, "h1") as source:
            server_id = plane.ended(plane.create()).server_id
        silenced(plane, "h1")
        with plane.sessions.begin() as session:
            session.query(Hypervisor).filter_by(name="h2").one().enabled = True
        dest.look().faults.before["define"] = [HostError("No.")]

        assert plane.act(server_id, "evacuate").state == "failed"
        plane.settled(server_id)

        assert (shown(plane, server_id), host_of(plane, server_id)) == (("ERROR", None), "h1")
        assert plane.server(server_id).fault is not None
        assert dest.kinds(server_id) == set()
        assert source.kinds(server_id) != set()
        assert plane.held(server_id) == (1, 1)
        # It may be tried again.
        assert plane.act(server_id, "evacuate").state == "done"
        assert host_of(plane, server_id) == "h2"
