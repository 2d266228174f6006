"""Room on a host that nobody needs is released."""

from sqlalchemy import select

from app.db.models import Allocation, Hypervisor
from app.db.models.base import now
from tests.services.drift.scene import GRACE, Scene, whole


def used(scene: Scene) -> tuple[int, int, int]:
    with scene.sessions() as session:
        host = session.get_one(Hypervisor, scene.host)
        return host.vcpus_used, host.memory_mib_used, host.disk_gib_used


def test_room_of_a_server_that_is_not_here_is_released_after_the_grace(scene: Scene) -> None:
    here = scene.server()
    deleted, owed = (scene.server(deleted_at=now()) for _ in range(2))
    nowhere = scene.server(run="running", hypervisor_id=None)
    for server in (here, deleted, nowhere, owed):
        scene.room(server)
    scene.owe(owed, "purge")
    lost = sorted(("unowned", "allocation", server) for server in (deleted, nowhere))

    scene.look(*whole(here))
    assert scene.rows() == lost
    assert used(scene) == (4, 1024, 4)

    assert scene.look(*whole(here), after=GRACE) is None
    assert scene.rows() == []
    assert used(scene) == (2, 512, 2)
    with scene.sessions() as session:
        assert set(session.scalars(select(Allocation.server_id))) == {here, owed}

    scene.look(*whole(here))
    assert used(scene) == (2, 512, 2)
