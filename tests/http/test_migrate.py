"""Moves to another host as they are asked for: what is claimed and begun, what is refused, and what
is told of them."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select

from app.db.models import (
    Allocation,
    Flavor,
    Hypervisor,
    Image,
    Migration,
    Run,
    Server,
    ServerGroupMember,
)
from app.db.models.base import now
from app.db.session import reading
from tests.http.cases import BASE, Api
from tests.http.table_servers import ONE
from tests.http.test_resize import CONFIRM, MIGRATIONS, RESIZE, REVERT, held, resized, shown, used
from tests.http.test_server_actions import act, begun, change, reason
from tests.http.test_server_groups import make, plan, reasons
from tests.http.world import ACTIVE, HOST
from tests.rows import add_host

__all__ = ["held"]

LATEST = {"OpenStack-API-Version": "compute 2.56"}


@pytest.fixture
def elsewhere(api: Api) -> str:
    """Another host, which is large; return its id."""
    return add_host(api.sessions, "host-2", number=2, memory_mib=65536, vcpus=16, disk_gib=500)


def migrate(api: Api, host: str | None = None, user: str = "root") -> Any:
    """Ask for a move to the host, or to any."""
    said = {"host": host} if host else None
    return api.call(
        user, "POST", f"{ONE}/action", json={"migrate": said}, headers=LATEST if host else {}
    )


def rooms(api: Api) -> dict[str, int]:
    """Return the memory in MiB that the server holds, by host."""
    with reading(api.sessions) as session:
        found = session.scalars(select(Allocation).filter_by(server_id=ACTIVE))
        return {each.hypervisor_id: each.memory_mib for each in found}


def stages(api: Api, run: Run) -> list[str]:
    with reading(api.sessions) as session:
        return [stage.name for stage in session.get_one(Run, run.id).stages]


@pytest.mark.parametrize("host", [None, "host-2"])
def test_move_begins_with_room_on_both_hosts(api: Api, elsewhere: str, host: str | None) -> None:
    answer = migrate(api, host)

    assert (answer.status_code, answer.get_data()) == (202, b"")
    assert rooms(api) == {HOST: 256, elsewhere: 256}
    [run] = begun(api)
    assert (run.pipeline, run.hypervisor_id) == ("migrate", HOST)
    assert stages(api, run) == [
        *("shut_down", "pack_disks", "send_disks", "leave"),
        *("move", "clear", "fetch_disks", "reshape", "power_on"),
    ]
    server = shown(api)
    assert (server["status"], server["OS-EXT-STS:task_state"]) == ("RESIZE", "resize_prep")
    [told] = api.call("root", "GET", MIGRATIONS, headers=LATEST).get_json()["migrations"]
    assert (told["migration_type"], told["status"]) == ("migration", "migrating")
    assert (told["source_compute"], told["dest_compute"]) == ("host-1", "host-2")
    assert told["old_instance_type_id"] == told["new_instance_type_id"]


def test_as_much_room_is_held_there_as_here(api: Api, elsewhere: str) -> None:
    """How large a disk an image made that is gone is known by nothing else."""
    lose_image(api, made_of_gib=7)

    migrate(api)

    with reading(api.sessions) as session:
        assert session.get_one(Allocation, (ACTIVE, elsewhere)).disk_gib == 7


def lose_image(api: Api, made_of_gib: int) -> None:
    """Let the server's image, whose size its flavor left to it, be gone."""
    with api.sessions.begin() as session:
        server = session.get_one(Server, ACTIVE)
        server.root_gib = 0
        session.get_one(Allocation, (ACTIVE, HOST)).disk_gib = made_of_gib
        session.get_one(Hypervisor, HOST).disk_gib_used = made_of_gib
        session.execute(delete(Image).where(Image.id == server.image_id))


@pytest.mark.parametrize("is_full", [False, True])
def test_disk_of_an_image_that_is_gone_is_claimed_again_by_a_resize(
    api: Api, elsewhere: str, *, is_full: bool
) -> None:
    lose_image(api, made_of_gib=7)
    with api.sessions.begin() as session:
        session.get_one(Flavor, "43").root_gib = 0
        session.get_one(Hypervisor, HOST).memory_mib = 2048 if is_full else 65536

    assert act(api, RESIZE).status_code == 202

    with reading(api.sessions) as session:
        there = session.get_one(Allocation, (ACTIVE, elsewhere if is_full else HOST))
        # Where it is, both disks are there.
        assert there.disk_gib == (7 if is_full else 14)


def test_disk_of_an_image_that_is_gone_gets_no_smaller(api: Api) -> None:
    lose_image(api, made_of_gib=81)

    refused = act(api, RESIZE)

    assert (refused.status_code, "80 GiB of 81 GiB" in reason(refused)) == (400, True)


def test_company_of_a_server_that_moves_goes_where_it_goes(api: Api, elsewhere: str) -> None:
    group = make(api, policies=["affinity"])
    with api.sessions.begin() as session:
        session.add(ServerGroupMember(server_id=ACTIVE, group_id=group["id"]))
    migrate(api)
    assert homes(api, group) == ["host-2"]

    with api.sessions.begin() as session:
        migration = session.scalars(select(Migration)).one()
        migration.status = "reverting"
        # As the stage `move` has done, which `move_back` takes back.
        session.get_one(Server, ACTIVE).hypervisor_id = elsewhere

    assert homes(api, group) == ["host-1"]


def homes(api: Api, group: dict[str, Any]) -> list[str]:
    """Return the names of the hosts to which one more server of the group may go."""
    allowed = []
    for host in ("host-1", "host-2"):
        with api.sessions.begin() as session:
            for each in session.scalars(select(Hypervisor)):
                each.enabled = each.name == host
        if reasons(plan(api, {"group": group["id"]})) == [None]:
            allowed.append(host)
    return allowed


def test_images_in_which_disks_travel_are_in_nobodys_way(api: Api, elsewhere: str) -> None:
    migrate(api)

    with reading(api.sessions) as session:
        [image] = session.scalars(select(Image).where(Image.hidden.is_(True)))
        assert image.properties == {"image_type": "migration", "instance_uuid": ACTIVE}
    images = api.call("alice", "GET", f"{BASE}/image/v2/images").get_json()["images"]
    assert image.id not in [each["id"] for each in images]


@pytest.mark.parametrize(
    ("verb", "path", "how"),
    [
        ("PUT", "/file", {"data": b"foreign", "content_type": "application/octet-stream"}),
        ("PATCH", "", {"data": '[{"op": "replace", "path": "/disk_format", "value": "raw"}]'}),
        ("PUT", "/tags/mine", {}),
        ("DELETE", "", {}),
    ],
)
def test_nobody_meddles_with_a_disk_that_travels(
    api: Api, elsewhere: str, verb: str, path: str, how: dict[str, Any]
) -> None:
    migrate(api)
    with reading(api.sessions) as session:
        [image] = session.scalars(select(Image).where(Image.hidden.is_(True)))
    if verb == "PATCH":
        how = {**how, "content_type": "application/openstack-images-v2.1-json-patch"}

    refused = [
        api.call(user, verb, f"{BASE}/image/v2/images/{image.id}{path}", **how)
        for user in ("alice", "root")
    ]

    assert [answer.status_code for answer in refused] == [403, 403]
    with reading(api.sessions) as session:
        found = session.get_one(Image, image.id)
        assert (found.status, found.disk_format, found.tags) == ("queued", "qcow2", [])


def test_flavor_for_which_the_host_has_no_room_takes_the_server_elsewhere(
    api: Api, elsewhere: str
) -> None:
    with api.sessions.begin() as session:
        session.get_one(Hypervisor, HOST).memory_mib = 2048

    assert act(api, RESIZE).status_code == 202

    assert rooms(api) == {HOST: 256, elsewhere: 4096}
    [run] = begun(api)
    assert run.pipeline == "resize_away"
    actions = api.call("alice", "GET", f"{ONE}/os-instance-actions").get_json()["instanceActions"]
    assert actions[0]["action"] == "resize"


def test_move_without_room_is_refused_at_once(api: Api) -> None:
    refused = migrate(api)

    assert (refused.status_code, reason(refused)) == (
        400,
        "No valid host was found among 1: 1 where it is.",
    )
    assert (begun(api), used(api)) == ([], (1, 256, 1))


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("host-1", "host: the server is on host-1 already."),
        ("nowhere", "host: compute host nowhere could not be found."),
    ],
)
def test_bad_destination_is_refused(api: Api, elsewhere: str, host: str, told: str) -> None:
    refused = migrate(api, host)

    assert (refused.status_code, reason(refused)) == (400, told)
    assert begun(api) == []


def test_who_may_move_servers_and_when(api: Api, elsewhere: str) -> None:
    assert [migrate(api, user=user).status_code for user in ("alice", "bob")] == [403, 404]
    change(api, vm_state="paused")
    assert "in vm_state paused" in reason(migrate(api))
    change(api, vm_state="active")
    with api.sessions.begin() as session:
        session.get_one(Hypervisor, HOST).last_seen_at = now() - timedelta(hours=1)
    refused = migrate(api)
    assert refused.status_code == 409
    assert reason(refused).endswith("its host does not answer")
    assert begun(api) == []


def moved(api: Api, elsewhere: str) -> None:
    """Let the move that was begun be at its end, and wait for a word."""
    resized(api)
    change(api, hypervisor_id=elsewhere)


def test_word_on_a_move_is_carried_out_where_it_has_to_be(api: Api, elsewhere: str) -> None:
    migrate(api)
    moved(api, elsewhere)
    assert act(api, REVERT).status_code == 202
    [run] = begun(api)
    assert stages(api, run) == ["teardown", "move_back", "reshape", "power_on", "settle"]
    assert run.hypervisor_id == elsewhere

    moved(api, elsewhere)
    assert act(api, CONFIRM).status_code == 204
    [run] = begun(api)
    assert (stages(api, run), run.hypervisor_id) == (["settle"], elsewhere)


def test_server_goes_home_without_its_new_host_only_if_that_is_given_up(
    api: Api, elsewhere: str
) -> None:
    migrate(api)
    moved(api, elsewhere)
    with api.sessions.begin() as session:
        session.get_one(Hypervisor, elsewhere).last_seen_at = now() - timedelta(seconds=30)
    refused = act(api, REVERT)
    assert (refused.status_code, "does not answer" in reason(refused)) == (409, True)
    assert begun(api) == []

    with api.sessions.begin() as session:
        session.get_one(Hypervisor, elsewhere).lost_at = now()
    assert act(api, REVERT).status_code == 202
    wanted = {("revert_resize", HOST), ("vacate", elsewhere)}
    assert {(run.pipeline, run.hypervisor_id) for run in begun(api)} == wanted


def test_move_from_a_host_that_is_gone_for_good_cannot_be_reverted(
    api: Api, elsewhere: str
) -> None:
    migrate(api)
    moved(api, elsewhere)
    with api.sessions.begin() as session:
        session.scalars(select(Migration)).one().source_id = None

    refused = act(api, REVERT)

    assert (refused.status_code, "its former host is gone" in reason(refused)) == (409, True)
    assert begun(api) == []


def test_delete_of_a_server_that_moves_is_owed_on_both_hosts(api: Api, elsewhere: str) -> None:
    migrate(api)
    moved(api, elsewhere)

    assert api.call("alice", "DELETE", ONE).status_code == 204

    wanted = {("delete", elsewhere), ("purge", HOST)}
    assert {(run.pipeline, run.hypervisor_id) for run in begun(api)} == wanted
