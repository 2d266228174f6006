"""Images of servers over a real broker: what becomes of the image, and of the copy on the host."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from app.db.models import Image, Run, Server
from app.db.session import reading
from tasks.errors import HostError, ImageRefused
from tasks.messages import ImageUpload
from tests.pipeline.conftest import Plane
from tests.processes import wait_until
from workers.hypervisor.fake import FakeHypervisor


def arriving(plane: Plane) -> Callable[[Path, ImageUpload, float], None]:
    """Return what takes the place of the API: an image is active when its bytes have come."""

    def send(path: Path, upload: ImageUpload, _: float) -> None:
        with plane.sessions.begin() as session:
            image = session.get_one(Image, upload.image_id)
            if image.status == "queued":
                image.status, image.size_bytes = "active", path.stat().st_size
                image.sha256 = hashlib.sha256(path.read_bytes()).hexdigest()

    return send


def image(plane: Plane, run: Run) -> Image:
    with reading(plane.sessions) as session:
        return session.get_one(Image, run.image_id)


def copies(fake: FakeHypervisor) -> list[str]:
    return [thing.name for thing in fake.survey() if thing.kind == "snapshot"]


def test_image_is_made_of_a_running_server(plane: Plane) -> None:
    with plane.host("h1") as fake:
        fake.send = arriving(plane)
        server_id = plane.ended(plane.create()).server_id
        run = plane.act(server_id, "create_image")

        assert (run.state, image(plane, run).status) == ("done", "active")
        assert image(plane, run).size_bytes == 256 * 1024
        server = plane.server(server_id)
        assert (server.status, server.task_state) == ("ACTIVE", None)
        assert copies(fake) == []


@pytest.mark.parametrize(
    ("verb", "error"),
    [
        ("take_snapshot", HostError("The disk cannot be read.")),
        ("send_snapshot", ImageRefused("The image of the snapshot is killed.")),
    ],
)
def test_image_that_failed_leaves_nothing(plane: Plane, verb: str, error: Exception) -> None:
    with plane.host("h1") as fake:
        fake.send = arriving(plane)
        server_id = plane.ended(plane.create()).server_id
        fake.faults.before[verb] = [error]
        run = plane.act(server_id, "create_image")

        assert (run.state, run.reason) == ("failed", str(error))
        assert image(plane, run).status == "pending_delete"
        server = plane.server(server_id)
        assert (server.status, server.task_state, server.fault) == ("ACTIVE", None, None)
        [discard] = plane.runs(server_id, "discard_snapshot")
        assert plane.ended(discard).state == "done"
        assert copies(fake) == []
        assert plane.act(server_id, "create_image").state == "done"


def test_delete_overtakes_an_image(plane: Plane) -> None:
    with plane.host("h1") as fake:
        fake.send = arriving(plane)
        server_id = plane.ended(plane.create()).server_id
        fake.faults.delay_s["send_snapshot"] = 1.5
        run = plane.ask(server_id, "create_image")
        wait_until(lambda: bool(copies(fake)), "the copy", 10)
        plane.ended(plane.delete(server_id))

        assert plane.ended(run).state == "cancelled"
        assert image(plane, run).status == "pending_delete"
        assert fake.survey() == []


def test_backups_take_the_place_of_older_ones(plane: Plane) -> None:
    with plane.host("h1") as fake:
        fake.send = arriving(plane)
        server_id = plane.ended(plane.create()).server_id
        before = plane.act(server_id, "create_image")
        made = [plane.act(server_id, "create_backup") for _ in range(3)]

    assert [run.state for run in made] == ["done"] * 3
    # One is kept, and what is no backup is left alone.
    statuses = [image(plane, run).status for run in made]
    assert statuses == ["pending_delete", "pending_delete", "active"]
    assert image(plane, before).status == "active"


def addresses(plane: Plane, server_id: str) -> list[str]:
    with reading(plane.sessions) as session:
        ports = session.get_one(Server, server_id).ports
        return [fixed.address for port in ports for fixed in port.addresses]


def shelved(plane: Plane, fake: FakeHypervisor) -> tuple[str, str]:
    """Put a new server away; return its id and that of its image."""
    fake.send = arriving(plane)
    server_id = plane.ended(plane.create()).server_id
    run = plane.act(server_id, "shelve")
    assert (run.state, run.reason) == ("done", None)
    [offload] = plane.runs(server_id, "offload")
    assert plane.ended(offload).state == "done"
    return server_id, str(run.image_id)


def test_shelved_server_leaves_its_host_and_comes_back(plane: Plane) -> None:
    with plane.host("h1") as fake:
        server_id, image_id = shelved(plane, fake)
        held = addresses(plane, server_id)

        server = plane.server(server_id)
        assert (server.status, server.task_state) == ("SHELVED_OFFLOADED", None)
        assert (server.hypervisor_id, server.shelved_image_id) == (None, image_id)
        assert (plane.held(server_id)[0], fake.survey()) == (0, [])
        assert held

        run = plane.act(server_id, "unshelve")

        assert (run.state, run.reason) == ("done", None)
        server = plane.server(server_id)
        assert (server.status, server.task_state) == ("ACTIVE", None)
        assert (server.hypervisor_id, server.shelved_image_id) == (run.hypervisor_id, None)
        assert addresses(plane, server_id) == held
        assert [image.image_id for image in fake.cached_images() if image.in_use] == [image_id]
        with reading(plane.sessions) as session:
            assert session.get_one(Image, image_id).status == "pending_delete"
        plane.ended(plane.delete(server_id))
        assert fake.survey() == []
    assert plane.held(server_id) == (0, 0)


def test_unshelved_servers_disk_lies_over_what_it_was_shelved_into(plane: Plane) -> None:
    with plane.host("h1") as fake:
        server_id, image_id = shelved(plane, fake)
        assert plane.act(server_id, "unshelve").state == "done"
        made_of = plane.server(server_id).image_id

        def below() -> set[str]:
            return {image.image_id for image in fake.cached_images() if image.in_use}

        for pipeline, images in (
            ("create_image", {image_id}),
            ("resize", {image_id}),
            ("confirm_resize", {image_id}),
            # As in Nova, a rescue is made from what the server was once made of.
            ("rescue", {image_id, made_of}),
            ("unrescue", {image_id}),
            ("rebuild", {made_of}),
        ):
            run = plane.act(server_id, pipeline)
            assert (pipeline, run.state, run.reason) == (pipeline, "done", None)
            assert (pipeline, below()) == (pipeline, images)


def test_server_that_cannot_be_taken_out_stays_in_its_image(plane: Plane) -> None:
    with plane.host("h1") as fake:
        server_id, image_id = shelved(plane, fake)
        held = addresses(plane, server_id)
        fake.faults.before["start"] = [HostError("No.")]
        run = plane.act(server_id, "unshelve")

        assert run.state == "failed"
        assert "tried before without luck" in str(run.reason)
        [unwind] = plane.runs(server_id, "unwind")
        plane.ended(unwind)
        server = plane.server(server_id)
        assert (server.status, server.task_state) == ("SHELVED_OFFLOADED", None)
        assert (server.hypervisor_id, server.shelved_image_id) == (None, image_id)
        assert (addresses(plane, server_id), fake.survey()) == (held, [])
        assert plane.act(server_id, "unshelve").state == "done"


def test_shelve_that_failed_leaves_the_server_on_its_host(plane: Plane) -> None:
    with plane.host("h1") as fake:
        fake.send = arriving(plane)
        server_id = plane.ended(plane.create()).server_id
        fake.faults.before["send_snapshot"] = [ImageRefused("No.")]
        run = plane.act(server_id, "shelve")

        assert (run.state, run.reason) == ("failed", "No.")
        assert plane.runs(server_id, "offload") == []
        assert plane.server(server_id).hypervisor_id is not None
        assert image(plane, run).status == "pending_delete"


def test_delete_overtakes_an_offload(plane: Plane) -> None:
    with plane.host("h1") as fake:
        fake.send = arriving(plane)
        server_id = plane.ended(plane.create()).server_id
        fake.faults.delay_s["remove_domain"] = 1.0
        run = plane.act(server_id, "shelve")
        plane.ended(plane.delete(server_id))
        assert plane.server(server_id).status == "DELETED"
        assert fake.survey() == []
        assert image(plane, run).status == "pending_delete"
    assert plane.held(server_id) == (0, 0)
