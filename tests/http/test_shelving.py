"""Servers put away and taken out again, as it is asked for."""

from datetime import timedelta
from typing import Any

import pytest

from app.db.models import Allocation, Flavor, Image, RequestSpec, Server
from app.db.models.base import now
from app.db.session import reading
from app.runs.shelving import offload_due
from tests.http.cases import Api
from tests.http.table_servers import ONE
from tests.http.test_server_actions import act, begun, change, put_into, reason
from tests.http.test_server_images import made, shown
from tests.http.world import ACTIVE, ALPHA, HOST, PUBLIC_IMAGE, uid
from tests.rows import make_settings

GONE_IMAGE = uid(29)


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


@pytest.fixture
def without_image(api: Api) -> None:
    """The server's image was deleted while it was shelved: its disk is over another one now."""
    sizes = {"vcpus": 1, "memory_mib": 256, "disk_gib": 1}
    with api.sessions.begin() as session:
        session.add(Flavor(id="44", name="m1.more", vcpus=2, memory_mib=512, root_gib=2))
        if session.get(RequestSpec, ACTIVE) is None:
            session.add(RequestSpec(server_id=ACTIVE))
        session.add(
            Allocation(server_id=ACTIVE, hypervisor_id=HOST, run_id="r", attempt=1, **sizes)
        )
    change(api, image_id=GONE_IMAGE)


@pytest.mark.usefixtures("without_image")
@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"createImage": {"name": "kept"}}, 202),
        ({"resize": {"flavorRef": "44"}}, 202),
        ({"rescue": {"rescue_image_ref": PUBLIC_IMAGE}}, 200),
        ({"rebuild": {"imageRef": PUBLIC_IMAGE}}, 202),
        ({"shelve": None}, 202),
    ],
)
def test_unshelved_server_needs_no_image_that_it_was_made_from(
    api: Api, body: Any, status: int
) -> None:
    answer = act(api, body)
    assert answer.status_code == status, reason(answer)


@pytest.mark.usefixtures("without_image")
def test_rescue_from_an_image_that_is_gone_is_refused(api: Api) -> None:
    refused = act(api, {"rescue": None})
    told = f"rescue_image_ref: image {GONE_IMAGE} could not be found."
    assert (refused.status_code, reason(refused)) == (400, told)
