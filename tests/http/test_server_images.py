"""Images and backups of servers, as they are asked for."""

from typing import Any

import pytest
from sqlalchemy import select

from app.db.models import Image, RequestSpec, Server
from app.db.session import reading
from tests.http.cases import BASE, SECOND, UUID, Api
from tests.http.table_servers import ONE
from tests.http.test_server_actions import act, begun, put_into, reason
from tests.http.world import ACTIVE, ALPHA, HOST, PUBLIC_IMAGE

IMAGE = {"createImage": {"name": "mine", "metadata": {"color": "green"}}}
BACKUP = {"createBackup": {"name": "b1", "backup_type": "daily", "rotation": "2"}}


def made(api: Api) -> list[Image]:
    with reading(api.sessions) as session:
        query = select(Image).where(Image.properties["instance_uuid"].as_string() == ACTIVE)
        return list(session.scalars(query))


def shown(api: Api, image_id: str) -> dict[str, Any]:
    answer = api.call("alice", "GET", f"/image/v2/images/{image_id}")
    found: dict[str, Any] = answer.get_json()
    return found


def test_image_of_a_server_is_written_first(api: Api) -> None:
    with api.sessions.begin() as session:
        session.get_one(Image, PUBLIC_IMAGE).properties = {
            "os_distro": "debian",
            "img_signature": "x",
        }
        session.get_one(RequestSpec, ACTIVE).image_words = {"hw_disk_bus": "scsi"}
    answer = act(api, IMAGE)

    assert (answer.status_code, answer.get_data()) == (202, b"")
    [image] = made(api)
    assert answer.headers["Location"] == f"{BASE}/compute/v2.1/images/{image.id}"
    [run] = begun(api)
    assert (run.pipeline, run.hypervisor_id, run.image_id) == ("create_image", HOST, image.id)
    with reading(api.sessions) as session:
        server = session.get_one(Server, ACTIVE)
        user_id = run.user_id
        min_disk = server.root_gib
    facts = shown(api, image.id)
    assert {
        name: facts[name] for name in facts if name not in {"links", "file", "schema", "self"}
    } == {
        "id": UUID,
        "name": "mine",
        "status": "queued",
        "visibility": "private",
        "owner": ALPHA,
        "owner_id": ALPHA,
        "user_id": user_id,
        "disk_format": "qcow2",
        "container_format": "bare",
        "min_disk": min_disk,
        "min_ram": 0,
        "protected": False,
        "os_hidden": False,
        "os_hash_algo": None,
        "os_hash_value": None,
        "checksum": None,
        "size": None,
        "virtual_size": None,
        "tags": [],
        "created_at": SECOND,
        "updated_at": SECOND,
        "image_type": "snapshot",
        "instance_uuid": ACTIVE,
        "base_image_ref": PUBLIC_IMAGE,
        "color": "green",
        "os_distro": "debian",
        "hw_disk_bus": "scsi",
    }


@pytest.mark.parametrize(
    ("body", "word", "task_state"),
    [(IMAGE, "createImage", "image_snapshot"), (BACKUP, "createBackup", "image_backup")],
)
def test_image_is_begun_where_nova_allows_it(
    api: Api, body: dict[str, Any], word: str, task_state: str
) -> None:
    put_into(api, "error")
    refused = act(api, body)
    told = f"Cannot '{word}' instance {ACTIVE} while it is in vm_state error"
    assert (refused.status_code, reason(refused)) == (409, told)
    assert made(api) == []
    put_into(api, "suspended")
    assert act(api, body).status_code == 202
    server = api.call("rita", "GET", ONE).get_json()["server"]
    assert (server["OS-EXT-STS:task_state"], server["status"]) == (task_state, "SUSPENDED")
    again = act(api, IMAGE)
    assert (again.status_code, len(made(api))) == (409, 1)
    listed = api.call("alice", "GET", f"{ONE}/os-instance-actions").get_json()["instanceActions"]
    assert listed[0]["action"] == word


def test_backup_says_its_kind_and_what_is_not_kept_is_not_named(api: Api) -> None:
    assert "Location" in act(api, BACKUP).headers
    [image] = made(api)
    assert (image.properties["image_type"], image.properties["backup_type"]) == ("backup", "daily")
    said = {"image_id": image.id, "backup_type": "daily", "rotation": 2}
    assert begun(api)[0].parameters == said


def test_backup_of_which_none_is_kept_is_not_named(api: Api) -> None:
    answer = act(api, {"createBackup": {"name": "b", "backup_type": "weekly", "rotation": 0}})
    assert (answer.status_code, "Location" in answer.headers) == (202, False)


def test_deleted_servers_image_is_given_up(api: Api) -> None:
    act(api, IMAGE)
    assert api.call("alice", "DELETE", ONE).status_code == 204
    assert [image.status for image in made(api)] == ["pending_delete"]


def test_locked_and_foreign_servers_are_refused(api: Api) -> None:
    act(api, {"lock": None})
    assert reason(act(api, IMAGE)) == f"Instance {ACTIVE} is locked"
    assert act(api, IMAGE, user="bob").status_code == 404
    assert act(api, IMAGE, user="rita").status_code == 403
    assert made(api) == []


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({"createImage": {}}, 400, "createImage.name"),
        ({"createImage": {"name": ""}}, 400, "createImage.name"),
        ({"createImage": {"name": "a", "metadata": {"a": 1}}}, 400, "createImage.metadata"),
        ({"createImage": {"name": "a", "color": "b"}}, 400, "color"),
        ({"createImage": {"name": "a", "metadata": {"hw_disk_bus": "x"}}}, 400, "hw_disk_bus"),
        (
            {"createImage": {"name": "a", "metadata": {str(n): "" for n in range(129)}}},
            403,
            "Image metadata limit exceeded",
        ),
        ({"createBackup": {"name": "a"}}, 400, "createBackup.backup_type"),
        (
            {"createBackup": {"name": "a", "backup_type": "b", "rotation": -1}},
            400,
            "createBackup.rotation",
        ),
    ],
)
def test_bad_image_request_is_told_by_its_field(
    api: Api, body: dict[str, Any], status: int, told: str
) -> None:
    answer = act(api, body)
    assert (answer.status_code, told in reason(answer)) == (status, True), reason(answer)
    assert (made(api), begun(api)) == ([], [])
