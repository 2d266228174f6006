"""Hypervisors give images their bytes, with a ticket and no token."""

import time
from typing import Any

import pytest

from app.db.models import Image
from app.runs.tickets import image_url, upload_url
from app.services import uploads
from tests.http.cases import Api
from tests.http.table_byre import fault
from tests.http.test_images import IMAGES, OCTETS, make, qcow2, upload
from tests.http.world import ALPHA_IMAGE
from tests.rows import make_settings

DISK = qcow2()


def way(api: Api, image_id: str, *, of: Any = upload_url, in_s: float = 60, **other: Any) -> str:
    """Return the path by which a hypervisor sends the image, with a ticket."""
    settings = api.app.extensions["byre"].settings
    url = of(make_settings(**other) if other else settings, image_id, time.time() + in_s)
    return str(url).removeprefix(settings.internal_api_url)


def send(api: Api, path: str, data: bytes = DISK, kind: dict[str, str] = OCTETS) -> Any:
    return api.call(None, "PUT", path, data=data, headers=kind)


def state(api: Api, path: str) -> Any:
    return api.call(None, "GET", path).get_json()


def test_a_hypervisor_gives_an_image_its_bytes(api: Api) -> None:
    image_id = make(api, disk_format="qcow2")
    path = way(api, image_id)
    assert state(api, path) == {"status": "queued", "size_bytes": None}

    answer = send(api, path)

    assert (answer.status_code, answer.data) == (204, b"")
    # A ticket is good for a look afterwards: the answer may have been lost.
    assert state(api, path) == {"status": "active", "size_bytes": len(DISK)}
    shown = api.call("alice", "GET", f"{IMAGES}/{image_id}").get_json()
    assert (shown["virtual_size"], len(shown["os_hash_value"])) == (10 * 1024**2, 128)
    again = send(api, path, qcow2(20 * 1024**2))
    assert again.status_code == 409
    with api.call("alice", "GET", f"{IMAGES}/{image_id}/file") as got:
        assert got.data == DISK


def test_an_upload_that_broke_off_can_be_repeated(api: Api) -> None:
    image_id = make(api, disk_format="qcow2")
    path = way(api, image_id)
    longer = {"CONTENT_LENGTH": str(len(DISK))}
    short = api.call(None, "PUT", path, data=DISK[:9], headers=OCTETS, environ_overrides=longer)
    assert short.status_code == 400
    assert state(api, path)["status"] == "queued"
    assert send(api, path).status_code == 204


def test_a_hypervisors_bytes_are_looked_into(api: Api) -> None:
    image_id = make(api, disk_format="qcow2")
    path = way(api, image_id)
    refused = send(api, path, qcow2(backing=10))
    assert (refused.status_code, "backing file" in refused.get_data(as_text=True)) == (400, True)
    assert state(api, path)["status"] == "killed"


def test_ticket_for_reading_is_none_for_writing(api: Api) -> None:
    image_id = make(api, disk_format="qcow2")
    upload(api, image_id, DISK)
    reading, writing = way(api, image_id, of=image_url), way(api, image_id)
    for path in (reading.replace("/file?", "/upload?"), writing.replace("/upload?", "/file?")):
        answer = api.call(None, "GET", path)
        told = fault(403, "Forbidden", "The ticket is not valid.", "forbidden")
        assert answer.get_json() == told
    assert send(api, reading.replace("/file?", "/upload?")).status_code == 403


@pytest.mark.parametrize(
    "wrong", [{"in_s": -1}, {"secret_key": "another" * 6}, {"image_id": ALPHA_IMAGE}]
)
def test_ticket_that_is_not_good_is_refused(api: Api, wrong: dict[str, Any]) -> None:
    image_id = make(api, disk_format="qcow2")
    named = wrong.get("image_id", image_id)
    wrong = {name: value for name, value in wrong.items() if name != "image_id"}
    path = way(api, named, **wrong).replace(named, image_id)
    assert send(api, path).status_code == 403
    assert api.call(None, "GET", path).status_code == 403
    assert state(api, way(api, image_id))["status"] == "queued"


def test_what_is_no_image_file_is_refused(api: Api) -> None:
    path = way(api, make(api, disk_format="qcow2"))
    assert send(api, path, kind={"Content-Type": "text/plain"}).status_code == 415


def test_image_that_was_given_up_takes_nothing(api: Api) -> None:
    image_id = make(api, disk_format="qcow2")
    path = way(api, image_id)
    with api.sessions.begin() as session:
        session.get_one(Image, image_id).status = "pending_delete"
    assert send(api, path).status_code == 404
    assert api.call(None, "GET", path).status_code == 404
    assert api.call("alice", "GET", IMAGES).get_json()["images"]
    assert image_id not in str(api.call("alice", "GET", IMAGES).get_json())
    uploads.finish_deletions(api.app.extensions["byre"], -1)
    assert api.call("alice", "GET", f"{IMAGES}/{image_id}").status_code == 404
