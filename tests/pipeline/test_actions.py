"""Actions over a real broker: what the host does, and what the server is shown as in the end."""

import pytest

from tasks.errors import HostError
from tests.pipeline.conftest import Plane
from tests.processes import wait_until
from workers.hypervisor.fake import FakeHypervisor

#: pipeline, what the server is in the end, and its domain
LIFE = [
    ("stop", "SHUTOFF", "shutoff"),
    ("start", "ACTIVE", "running"),
    ("reboot", "ACTIVE", "running"),
    ("hard_reboot", "ACTIVE", "running"),
    ("pause", "PAUSED", "paused"),
    ("unpause", "ACTIVE", "running"),
    ("suspend", "SUSPENDED", "shutoff"),
    ("resume", "ACTIVE", "running"),
]


def state_of(fake: FakeHypervisor, server_id: str) -> str | None:
    domain = fake.find(server_id)
    return domain.state if domain else None


def disks_of(fake: FakeHypervisor, server_id: str) -> list[str]:
    """Return the roles of its domain's disks."""
    return [disk.role for disk in fake.spec_of(server_id).disks]


def shown(plane: Plane, server_id: str) -> tuple[str, str | None]:
    server = plane.server(server_id)
    return server.status, server.task_state


def test_a_server_is_led_through_its_life(plane: Plane) -> None:
    with plane.host("h1") as fake:
        server_id = plane.ended(plane.create()).server_id
        for pipeline, status, state in LIFE:
            run = plane.act(server_id, pipeline)
            assert (pipeline, run.state) == (pipeline, "done")
            assert shown(plane, server_id) == (status, None)
            assert state_of(fake, server_id) == state
        assert fake.calls["cut_power"] == 1
        plane.ended(plane.delete(server_id))
    assert plane.held(server_id) == (0, 0)


def test_guest_that_does_not_listen_loses_its_power(plane: Plane) -> None:
    with plane.host("h1") as fake:
        server_id = plane.ended(plane.create()).server_id
        fake.never_boot.add(server_id)
        run = plane.act(server_id, "stop")
        assert run.state == "done"
        assert state_of(fake, server_id) == "shutoff"
    assert fake.calls["cut_power"] == 1
    [stage] = plane.told(run)
    grace_s = plane.settings.shutdown_grace_s
    assert stage.finished_at is not None
    assert stage.started_at is not None
    assert (stage.finished_at - stage.started_at).total_seconds() >= grace_s


def test_action_that_fails_leaves_the_server_where_it_was(plane: Plane) -> None:
    with plane.host("h1") as fake:
        server_id = plane.ended(plane.create()).server_id
        fake.faults.before["pause"] = [HostError("The hypervisor says no.")]
        run = plane.act(server_id, "pause")

        assert (run.state, run.reason) == ("failed", "The hypervisor says no.")
        assert shown(plane, server_id) == ("ACTIVE", None)
        assert state_of(fake, server_id) == "running"
        assert plane.held(server_id) == (1, 1)
        assert plane.server(server_id).fault is None
        assert plane.act(server_id, "pause").state == "done"


def test_what_a_failed_reboot_left_is_seen_by_the_survey(plane: Plane) -> None:
    with plane.host("h1") as fake:
        server_id = plane.ended(plane.create()).server_id
        fake.faults.before["start"] = [HostError("No.")]
        run = plane.act(server_id, "reboot")
        assert run.state == "failed"
        wait_until(lambda: shown(plane, server_id) == ("SHUTOFF", None), "the survey", 30)
        assert plane.act(server_id, "start").state == "done"
    assert shown(plane, server_id) == ("ACTIVE", None)


@pytest.mark.parametrize("pipeline", ["reboot", "hard_reboot"])
def test_reboot_whose_report_is_lost_is_not_done_twice(plane: Plane, pipeline: str) -> None:
    with plane.host("h1") as fake:
        server_id = plane.ended(plane.create()).server_id
        before = fake.calls["start"]
        run = plane.act(server_id, pipeline)
        plane.forget_end(run)
        again = plane.ended(run)
        assert (again.state, again.attempt) == ("done", 2)
    assert fake.calls["start"] == before + 1


@pytest.mark.parametrize(("before", "status"), [("start", "ACTIVE"), ("stop", "SHUTOFF")])
def test_server_is_made_anew_on_its_host(plane: Plane, before: str, status: str) -> None:
    with plane.host("h1") as fake:
        server_id = plane.ended(plane.create()).server_id
        if before == "stop":
            plane.act(server_id, "stop")
        fake.calls.clear()
        run = plane.act(server_id, "rebuild")

        assert (run.state, run.parameters) == ("done", None)
        assert shown(plane, server_id) == (status, None)
        assert state_of(fake, server_id) == ("running" if status == "ACTIVE" else "shutoff")
        assert plane.held(server_id) == (1, 1)
        assert [fake.calls[verb] for verb in ("remove_disks", "define", "start")] == [1, 1, 1]
        plane.forget_end(run)
        assert plane.ended(run).state == "done"
        assert fake.calls["remove_disks"] == 1, "the new disk was wiped"


def test_failed_rebuild_is_told_and_can_be_tried_again(plane: Plane) -> None:
    with plane.host("h1") as fake:
        server_id = plane.ended(plane.create()).server_id
        fake.faults.before["define"] = [HostError("The hypervisor says no.")]
        assert plane.act(server_id, "rebuild").state == "failed"
        server = plane.server(server_id)
        assert (server.status, server.task_state, server.fault is not None) == ("ERROR", None, True)
        assert plane.held(server_id) == (1, 1)
        assert plane.act(server_id, "rebuild").state == "done"
        assert plane.server(server_id).fault is None
    assert shown(plane, server_id) == ("ACTIVE", None)


def test_server_is_rescued_and_as_it_was_again(plane: Plane) -> None:
    with plane.host("h1") as fake:
        server_id = plane.ended(plane.create()).server_id
        before = [disk.role for disk in fake.own_disks(server_id)]
        assert plane.act(server_id, "rescue").state == "done"
        assert shown(plane, server_id) == ("RESCUE", None)
        assert disks_of(fake, server_id) == ["rescue", "config", "root"]
        assert plane.act(server_id, "hard_reboot").state == "done"
        assert shown(plane, server_id) == ("RESCUE", None)
        assert disks_of(fake, server_id) == ["rescue", "config", "root"]

        assert plane.act(server_id, "unrescue").state == "done"
        assert shown(plane, server_id) == ("ACTIVE", None)
        assert disks_of(fake, server_id) == before == ["root", "config"]
        assert not [thing for thing in fake.survey() if "rescue" in thing.name]
        # A rescue that is deleted leaves nothing either.
        assert plane.act(server_id, "rescue").state == "done"
        plane.ended(plane.delete(server_id))
        assert fake.survey() == []


def test_failed_rescue_is_told_and_can_be_tried_again(plane: Plane) -> None:
    with plane.host("h1") as fake:
        server_id = plane.ended(plane.create()).server_id
        fake.faults.before["start"] = [HostError("The hypervisor says no.")]
        assert plane.act(server_id, "rescue").state == "failed"
        assert shown(plane, server_id) == ("ERROR", None)
        assert plane.act(server_id, "rescue").state == "done"
        fake.faults.before["define"] = [HostError("The hypervisor says no.")]
        assert plane.act(server_id, "unrescue").state == "failed"
        assert shown(plane, server_id) == ("RESCUE", None)
        assert plane.act(server_id, "unrescue").state == "done"
        assert disks_of(fake, server_id) == ["root", "config"]
    assert shown(plane, server_id) == ("ACTIVE", None)


def interfaces(fake: FakeHypervisor, server_id: str) -> int:
    """Return how many its domain has."""
    return len(fake.spec_of(server_id).ports)


def test_interfaces_come_and_go(plane: Plane) -> None:
    with plane.host("h1") as fake:
        server_id = plane.ended(plane.create()).server_id
        assert plane.act(server_id, "attach_interface").state == "done"
        assert (interfaces(fake, server_id), plane.held(server_id)) == (2, (1, 2))
        assert shown(plane, server_id) == ("ACTIVE", None)
        assert plane.act(server_id, "change_addresses").state == "done"
        assert plane.act(server_id, "detach_interface").state == "done"
        assert (interfaces(fake, server_id), plane.held(server_id)) == (1, (1, 1))
        plane.act(server_id, "stop")
        assert plane.act(server_id, "attach_interface").state == "done"
        assert (interfaces(fake, server_id), plane.held(server_id)) == (2, (1, 2))
        assert shown(plane, server_id) == ("SHUTOFF", None)
        plane.ended(plane.delete(server_id))
        assert fake.survey() == []


def test_interface_that_cannot_be_plugged_in_is_nowhere(plane: Plane) -> None:
    with plane.host("h1") as fake:
        server_id = plane.ended(plane.create()).server_id
        before = sorted(map(repr, fake.survey()))
        fake.faults.after["attach_port"] = [HostError("The hypervisor says no.")]
        run = plane.act(server_id, "attach_interface")
        assert (run.state, run.reason) == ("failed", "The hypervisor says no.")
        assert (interfaces(fake, server_id), plane.held(server_id)) == (1, (1, 1))
        assert sorted(map(repr, fake.survey())) == before
        assert shown(plane, server_id) == ("ACTIVE", None)


def test_password_is_set_by_the_guests_agent(plane: Plane) -> None:
    with plane.host("h1") as fake:
        server_id = plane.ended(plane.create()).server_id
        run = plane.change_password(server_id, "secret")
        assert (run.state, run.parameters) == ("done", None)
        assert shown(plane, server_id) == ("ACTIVE", None)
        set_to = fake.passwords[server_id]
        assert (set_to.user, set_to.password) == ("root", "secret")
        assert "secret" not in f"{set_to!r}"
        fake.never_boot.add(server_id)
        run = plane.change_password(server_id, "other")
        assert (run.state, run.reason) == ("failed", "QEMU guest agent is not enabled")
    assert shown(plane, server_id) == ("ACTIVE", None)


def test_guest_is_interrupted_to_dump_its_memory(plane: Plane) -> None:
    with plane.host("h1") as fake:
        server_id = plane.ended(plane.create()).server_id
        plane.act(server_id, "pause")
        run = plane.act(server_id, "trigger_crash_dump")
        plane.forget_end(run)
        assert plane.ended(run).state == "done"
        assert shown(plane, server_id) == ("PAUSED", None)
    assert fake.nmis == {server_id: 1}, "its report was lost, and it was done again"


def test_console_is_read_on_the_servers_host(plane: Plane) -> None:
    with plane.host("h1"):
        server_id = plane.ended(plane.create()).server_id
        assert plane.console(server_id) == f"{server_id} login: "
        assert plane.diagnosis(server_id).driver == "fake"
