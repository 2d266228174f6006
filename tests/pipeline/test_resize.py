"""Resizes over a real broker: what the host does, and what the server is in the end."""

import pytest

from tasks.errors import HostError
from tests.pipeline.conftest import Plane
from tests.pipeline.test_actions import shown, state_of
from workers.hypervisor.fake import FakeHypervisor


def machine(fake: FakeHypervisor, server_id: str) -> tuple[int, int]:
    found = fake.spec_of(server_id).machine
    return found.vcpus, found.memory_mib


@pytest.mark.parametrize(
    ("end", "size"), [("confirm_resize", (2, 512)), ("revert_resize", (1, 256))]
)
def test_server_is_resized_and_has_its_way_back_until_a_word_is_said(
    plane: Plane, end: str, size: tuple[int, int]
) -> None:
    with plane.host("h1") as fake:
        server_id = plane.ended(plane.create()).server_id

        assert plane.act(server_id, "resize").state == "done"
        assert shown(plane, server_id) == ("VERIFY_RESIZE", None)
        assert (machine(fake, server_id), state_of(fake, server_id)) == ((2, 512), "running")
        assert fake.keeps_disks(server_id)

        assert plane.act(server_id, end).state == "done"
        assert shown(plane, server_id) == ("ACTIVE", None)
        assert (machine(fake, server_id), state_of(fake, server_id)) == (size, "running")
        assert not fake.keeps_disks(server_id)
        server = plane.server(server_id)
        assert (server.vcpus, server.memory_mib) == size

        plane.ended(plane.delete(server_id))
    assert plane.held(server_id) == (0, 0)


@pytest.mark.parametrize("end", ["confirm_resize", "revert_resize"])
def test_server_that_was_stopped_stays_so(plane: Plane, end: str) -> None:
    with plane.host("h1") as fake:
        server_id = plane.ended(plane.create()).server_id
        plane.act(server_id, "stop")

        assert plane.act(server_id, "resize").state == "done"
        assert (shown(plane, server_id)[0], plane.server(server_id).power_state) == (
            "VERIFY_RESIZE",
            4,
        )
        assert plane.act(server_id, end).state == "done"
        assert shown(plane, server_id) == ("SHUTOFF", None)
        assert state_of(fake, server_id) == "shutoff"


@pytest.mark.parametrize("verb", ["keep_disks", "reshape_disks", "define", "start"])
def test_failed_resize_leaves_the_server_as_it_was(plane: Plane, verb: str) -> None:
    with plane.host("h1") as fake:
        server_id = plane.ended(plane.create()).server_id
        fake.faults.before[verb] = [HostError("The hypervisor says no.")]

        run = plane.act(server_id, "resize")

        assert (run.state, run.reason) == ("failed", "The hypervisor says no.")
        [undo] = plane.runs(server_id, "undo_resize")
        assert plane.ended(undo).state == "done"
        assert shown(plane, server_id) == ("ACTIVE", None)
        assert (machine(fake, server_id), state_of(fake, server_id)) == ((1, 256), "running")
        assert not fake.keeps_disks(server_id)
        assert plane.act(server_id, "resize").state == "done"


def test_what_could_not_be_put_back_is_in_error_and_can_be_reverted(plane: Plane) -> None:
    with plane.host("h1") as fake:
        server_id = plane.ended(plane.create()).server_id
        fake.faults.before["define"] = [HostError("No."), HostError("Still no.")]
        plane.act(server_id, "resize")
        [undo] = plane.runs(server_id, "undo_resize")
        assert plane.ended(undo).state == "failed"
        assert shown(plane, server_id) == ("ERROR", None)

        assert plane.act(server_id, "revert_resize").state == "done"
        assert shown(plane, server_id) == ("ACTIVE", None)
        assert plane.server(server_id).fault is None
        assert machine(fake, server_id) == (1, 256)
