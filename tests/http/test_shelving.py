"""Servers put away and taken out again, as it is asked for."""

from datetime import timedelta

import pytest

from app.db.models import Image, Server
from app.db.models.base import now
from app.db.session import reading
from app.runs.shelving import offload_due
from tests.http.cases import Api
from tests.http.table_servers import ONE
from tests.http.test_server_actions import act, begun, change, put_into, reason
from tests.http.test_server_images import made, shown
from tests.http.world import ACTIVE, ALPHA, PUBLIC_IMAGE
from tests.rows import make_settings


def put_away(api: Api) -> str:
    """Let the server be in an image, and on no host; return the image's id."""
    act(api, {"shelve": None})
    [image] = made(api)
    with api.sessions.begin() as session:
        session.get_one(Image, image.id).status = "active"
        for run in begun(api):
            session.merge(run).state = "done"
    change(
        api,
        vm_state="shelved_offloaded",
        status="SHELVED_OFFLOADED",
        task_state=None,
        hypervisor_id=None,
        shelved_image_id=image.id,
    )
    return image.id


@pytest.mark.parametrize("vm_state", ["active", "stopped", "paused", "suspended"])
def test_server_is_shelved_into_an_image_of_its_owners(api: Api, vm_state: str) -> None:
    put_into(api, vm_state)
    answer = act(api, {"shelve": None}, user="root")

    assert (answer.status_code, answer.get_data()) == (202, b"")
    [image] = made(api)
    server = api.call("rita", "GET", ONE).get_json()["server"]
    assert server["OS-EXT-STS:task_state"] == "shelving"
    assert shown(api, image.id)["name"] == f"{server['name']}-shelved"
    assert (image.project_id, image.properties["image_type"]) == (ALPHA, "snapshot")
    assert [run.pipeline for run in begun(api)] == ["shelve"]


def test_shelved_servers_are_counted_and_shown(api: Api) -> None:
    put_away(api)
    server = api.call("rita", "GET", ONE).get_json()["server"]
    assert (server["status"], server["OS-EXT-STS:vm_state"]) == (
        "SHELVED_OFFLOADED",
        "shelved_offloaded",
    )
    assert (server["hostId"], server["image"]["id"]) == ("", PUBLIC_IMAGE)
    listed = api.call("rita", "GET", "/compute/v2.1/servers?status=SHELVED_OFFLOADED")
    assert [each["id"] for each in listed.get_json()["servers"]] == [ACTIVE]
    refused = act(api, {"os-start": None})
    assert reason(refused).endswith("while it is in vm_state shelved_offloaded")


def test_server_on_no_host_is_taken_out_on_any(api: Api) -> None:
    put_away(api)
    assert act(api, {"unshelve": None}).status_code == 202
    [run] = begun(api)
    assert (run.pipeline, run.hypervisor_id) == ("unshelve", None)
    listed = api.call("alice", "GET", f"{ONE}/os-instance-actions").get_json()["instanceActions"]
    assert [each["action"] for each in listed[:2]] == ["unshelve", "shelve"]


def test_deleted_servers_disk_goes_with_it(api: Api) -> None:
    image_id = put_away(api)
    assert api.call("alice", "DELETE", ONE).status_code == 204
    with reading(api.sessions) as session:
        assert session.get_one(Image, image_id).status == "pending_delete"


def test_server_that_has_been_shelved_for_long_leaves_its_host(api: Api) -> None:
    image_id = put_away(api)
    with reading(api.sessions) as session:
        host = session.query(Server).filter(Server.hypervisor_id.is_not(None)).first()
    assert host is not None
    change(api, hypervisor_id=host.hypervisor_id, vm_state="shelved", status="SHELVED",
           shelved_at=now() - timedelta(hours=1))  # fmt: skip
    for seconds, count in ((-1, 0), (7200, 0), (1800, 1), (1800, 0)):
        settings = make_settings(shelved_offload_s=seconds)
        assert len(offload_due(api.sessions, settings, now())) == count
    assert [run.pipeline for run in begun(api)] == ["offload"]
    assert shown(api, image_id)["status"] == "active"
