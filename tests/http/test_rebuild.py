"""Rebuilds as they are asked for: what is begun, what changes at once, and what is refused."""

from typing import Any

import pytest

from app.db.models import Allocation, Image, RequestSpec, Server
from app.db.session import reading
from tests.http.cases import Api
from tests.http.table_servers import CHANGED, ONE
from tests.http.test_server_actions import act, begun, change, put_into, reason
from tests.http.world import ACTIVE, FAILED, HOST, PUBLIC_IMAGE

WORDS = {"hw_disk_bus": "scsi"}


def rebuild(api: Api, path: str = ONE, **said: Any) -> Any:
    return act(api, {"rebuild": {"imageRef": PUBLIC_IMAGE, **said}}, path=path)


def change_image(api: Api, **columns: Any) -> None:
    with api.sessions.begin() as session:
        image = session.get_one(Image, PUBLIC_IMAGE)
        for name, value in columns.items():
            setattr(image, name, value)


@pytest.fixture(autouse=True)
def _launched(api: Api) -> None:
    """The server has been active once, and was asked for with a password."""
    with api.sessions.begin() as session:
        server = session.get_one(Server, ACTIVE)
        server.launched_at = server.created_at
        if session.get(RequestSpec, ACTIVE) is None:
            session.add(RequestSpec(server_id=ACTIVE))


def test_rebuild_is_told_whole(api: Api) -> None:
    change_image(api, properties=WORDS)
    answer = rebuild(
        api,
        name="new name",
        adminPass="secret",
        metadata={"a": "b"},
        preserve_ephemeral=True,
        **{"OS-DCF:diskConfig": "AUTO"},
    )

    assert answer.status_code == 202
    assert answer.headers["Location"].endswith(ONE)
    told = answer.get_json()["server"]
    assert told == {
        **CHANGED,
        "name": "new name",
        "metadata": {"a": "b"},
        "OS-DCF:diskConfig": "AUTO",
        "status": "REBUILD",
        "progress": 0,
        "adminPass": "secret",
        "updated": told["updated"],
        "image": told["image"],
    }
    assert told["image"]["id"] == PUBLIC_IMAGE
    [run] = begun(api)
    assert (run.pipeline, run.hypervisor_id) == ("rebuild", HOST)
    assert run.parameters == {"kept": {"ephemeral": True}}
    with reading(api.sessions) as session:
        spec = session.get_one(RequestSpec, ACTIVE)
        assert (spec.admin_pass, spec.image_words) == ("secret", WORDS)
        assert session.get_one(Server, ACTIVE).task_state == "rebuilding"


def test_a_password_is_made_and_what_is_not_said_stays(api: Api) -> None:
    before = api.call("alice", "GET", ONE).get_json()["server"]
    told = rebuild(api).get_json()["server"]
    assert len(told["adminPass"]) == 12
    assert (told["name"], told["metadata"]) == (before["name"], before["metadata"])


@pytest.mark.parametrize(
    ("vm_state", "pipeline"),
    [("active", "rebuild"), ("stopped", "rebuild_stopped"), ("error", "rebuild")],
)
def test_stopped_server_is_stopped_again(api: Api, vm_state: str, pipeline: str) -> None:
    put_into(api, vm_state)
    assert rebuild(api).status_code == 202
    assert [run.pipeline for run in begun(api)] == [pipeline]


@pytest.mark.parametrize("vm_state", ["paused", "suspended"])
def test_rebuild_is_refused_where_nova_refuses_it(api: Api, vm_state: str) -> None:
    put_into(api, vm_state)
    refused = rebuild(api)
    told = f"Cannot 'rebuild' instance {ACTIVE} while it is in vm_state {vm_state}"
    assert (refused.status_code, reason(refused)) == (409, told)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({}, []),
        (
            {"personality": [{"path": "/etc/motd", "contents": "aGVs\nbG8="}]},
            [{"path": "/etc/motd", "contents": "aGVsbG8="}],
        ),
    ],
)
def test_guest_finds_only_the_files_of_its_rebuild(api: Api, said: Any, kept: Any) -> None:
    with api.sessions.begin() as session:
        session.get_one(RequestSpec, ACTIVE).files = [{"path": "/old", "contents": ""}]
    assert rebuild(api, **said).status_code == 202
    with reading(api.sessions) as session:
        assert session.get_one(RequestSpec, ACTIVE).files == kept


def test_files_of_a_rebuild_are_limited(api: Api) -> None:
    file = {"path": "/etc/motd", "contents": ""}
    refused = rebuild(api, personality=[file] * 6)
    assert (refused.status_code, reason(refused)) == (403, "Personality file limit exceeded")
    change(api, config_drive=False)
    assert rebuild(api, personality=[file]).status_code == 400
    assert begun(api) == []


def test_what_was_never_up_is_not_rebuilt(api: Api) -> None:
    refused = rebuild(api, path=ONE.replace(ACTIVE, FAILED))
    told = f"Cannot 'rebuild' instance {FAILED} while it has never been active"
    assert (refused.status_code, reason(refused)) == (409, told)


@pytest.mark.parametrize(
    ("image", "told"),
    [
        ({"min_disk_gib": 2}, "disk is too small"),
        ({"min_ram_mib": 4096}, "memory is too small"),
        ({"status": "queued"}, "is not active"),
        ({"virtual_size_bytes": 2 * 1024**3}, "disk is too small"),
        ({"properties": {"hw_firmware_type": "uefi"}}, "needs UEFI"),
        ({"properties": {"byre_boot_proof": "hope"}}, "byre_boot_proof"),
    ],
)
def test_image_that_does_not_fit_changes_nothing(api: Api, image: Any, told: str) -> None:
    change_image(api, **image)
    refused = rebuild(api, name="new name")
    assert (refused.status_code, told in reason(refused)) == (400, True), reason(refused)
    assert begun(api) == []
    assert api.call("alice", "GET", ONE).get_json()["server"]["name"] != "new name"


@pytest.mark.parametrize("ephemeral_gib", [0, 10])
def test_disk_as_large_as_the_image_stays_within_what_is_claimed(
    api: Api, ephemeral_gib: int
) -> None:
    change(api, root_gib=0, ephemeral_gib=ephemeral_gib)
    with api.sessions.begin() as session:
        if session.get(Allocation, (ACTIVE, HOST)) is None:
            session.add(
                Allocation(
                    server_id=ACTIVE, hypervisor_id=HOST, run_id="r", attempt=1,
                    vcpus=1, memory_mib=256, disk_gib=1 + ephemeral_gib,
                )
            )  # fmt: skip
    change_image(api, virtual_size_bytes=2 * 1024**3)
    refused = rebuild(api)
    assert (refused.status_code, "has 1 GiB for it on its host" in reason(refused)) == (400, True)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"imageRef": "nothing"}, "imageRef"),
        ({"imageRef": ""}, "rebuild.imageRef"),
        ({"name": ""}, "rebuild.name"),
        ({"adminPass": ""}, "rebuild.adminPass"),
        ({"metadata": {"": "b"}}, "rebuild.metadata"),
        ({"preserve_ephemeral": "perhaps"}, "rebuild.preserve_ephemeral"),
        ({"OS-DCF:diskConfig": "?"}, "rebuild.OS-DCF:diskConfig"),
        ({"colour": "red"}, "rebuild.colour"),
    ],
)
def test_bad_rebuild_is_told_by_its_field(api: Api, said: Any, told: str) -> None:
    refused = rebuild(api, **said)
    assert (refused.status_code, told in reason(refused)) == (400, True), reason(refused)
    assert begun(api) == []
