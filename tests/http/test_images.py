"""Images are made, get their bytes, give them out, and go."""

import hashlib
import json
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from app.runs.tickets import image_url
from app.services import uploads
from app.services.context import Caller
from tasks.errors import NotFound
from tests.http.cases import SECOND, UUID, Api, image_fault
from tests.http.table_byre import fault
from tests.http.world import (
    ALICE,
    ALPHA,
    ALPHA_IMAGE,
    BETA_IMAGE,
    BYTES,
    PUBLIC_IMAGE,
    QUEUED_IMAGE,
)
from tests.rows import make_settings

IMAGES = "/image/v2/images"
OCTETS = {"Content-Type": "application/octet-stream"}


def qcow2(virtual_size: int = 10 * 1024**2, backing: int = 0) -> bytes:
    """Return a minimal image of version 2; `backing` is the length of a backing file's name."""
    header = struct.pack(
        ">4sIQIIQIIQQIIQ", b"QFI\xfb", 2, 512 if backing else 0, backing, 16, virtual_size, *[0] * 7
    )
    return header.ljust(65536, b"\0")


def make(api: Api, **changes: Any) -> str:
    """Make an image's record; return its id."""
    body = {"name": "x", "disk_format": "qcow2", "container_format": "bare", **changes}
    image_id: str = api.call("alice", "POST", IMAGES, json=body).get_json()["id"]
    return image_id


def upload(api: Api, image_id: str, data: bytes, who: str = "alice") -> Any:
    """Give an image its bytes."""
    return api.call(who, "PUT", f"{IMAGES}/{image_id}/file", data=data, headers=OCTETS)


def status(api: Api, image_id: str) -> str:
    """Return an image's status."""
    found: str = api.call("alice", "GET", f"{IMAGES}/{image_id}").get_json()["status"]
    return found


def stored(api: Api) -> set[str]:
    """Return the names in the image store."""
    directory: Path = api.app.extensions["byre"].settings.image_store
    return {path.name for path in directory.iterdir()}


def test_a_record_is_made(api: Api) -> None:
    body = {
        "name": "mine",
        "disk_format": "qcow2",
        "container_format": "bare",
        "min_disk": 1,
        "min_ram": 64,
        "tags": ["a", "a", "b"],
        "byre_boot_proof": "console",
        "byre_boot_text": "login:",
        "byre_boot_limit": "30",
        "owner_specified.openstack.md5": "",
    }

    answer = api.call("alice", "POST", IMAGES, json=body)

    image_id = answer.get_json()["id"]
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"http://localhost{IMAGES}/{image_id}"
    assert answer.get_json() == {
        **body,
        "id": UUID,
        "tags": ["a", "b"],
        "status": "queued",
        "visibility": "private",
        "size": None,
        "virtual_size": None,
        "checksum": None,
        "os_hash_algo": None,
        "os_hash_value": None,
        "os_hidden": False,
        "protected": False,
        "owner": ALPHA,
        "created_at": SECOND,
        "updated_at": SECOND,
        "self": f"/v2/images/{image_id}",
        "file": f"/v2/images/{image_id}/file",
        "schema": "/v2/schemas/image",
    }
    tagged = api.call("alice", "GET", f"{IMAGES}?tag=a&tag=b").get_json()["images"]
    assert [image["id"] for image in tagged] == [image_id]


@pytest.mark.parametrize(
    ("disk_format", "data", "virtual_size"),
    [("qcow2", qcow2(), 10 * 1024**2), ("raw", b"\x01" * 70_000, 70_000)],
)
def test_bytes_make_it_active(api: Api, disk_format: str, data: bytes, virtual_size: int) -> None:
    image_id = make(api, disk_format=disk_format)

    answer = upload(api, image_id, data)

    assert (answer.status_code, answer.data) == (204, b"")
    image = api.call("alice", "GET", f"{IMAGES}/{image_id}").get_json()
    assert (image["status"], image["size"], image["virtual_size"]) == (
        "active",
        len(data),
        virtual_size,
    )
    assert image["checksum"] == hashlib.md5(data, usedforsecurity=False).hexdigest()
    assert image["os_hash_value"] == hashlib.sha512(data).hexdigest()
    with api.call("alice", "GET", f"{IMAGES}/{image_id}/file") as got:
        assert (got.data, got.headers["Content-MD5"]) == (data, image["checksum"])


@pytest.mark.parametrize(
    "data",
    [b"plain text".ljust(70_000), qcow2(backing=11), qcow2()[:40], b""],
    ids=["another format", "a backing file", "half a header", "nothing"],
)
def test_bytes_that_cannot_be_used_kill_it(api: Api, data: bytes) -> None:
    image_id = make(api)

    answer = upload(api, image_id, data)

    assert answer.status_code == 400
    assert (status(api, image_id), stored(api)) == ("killed", {PUBLIC_IMAGE})


def test_an_empty_image_is_none(api: Api) -> None:
    image_id = make(api, disk_format="raw")

    assert upload(api, image_id, b"").get_json() == image_fault(
        400, "Bad Request", "The image is empty."
    )


def test_bytes_over_the_limit_are_refused(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.services.uploads.GIB", 1024)
    image_id = make(api)

    answer = upload(api, image_id, qcow2())

    assert answer.get_json() == image_fault(
        413, "Request Entity Too Large", "The image is larger than the limit of 1024 bytes."
    )
    assert (status(api, image_id), stored(api)) == ("queued", {PUBLIC_IMAGE})


def test_bytes_are_given_once(api: Api) -> None:
    answer = upload(api, ALPHA_IMAGE, qcow2())

    assert answer.get_json() == image_fault(
        409, "Conflict", f"Image {ALPHA_IMAGE} has its data already: its status is active."
    )


def test_bytes_need_their_type_said(api: Api) -> None:
    answer = api.call("alice", "PUT", f"{IMAGES}/{QUEUED_IMAGE}/file", json={})

    assert answer.get_json() == image_fault(
        415, "Unsupported Media Type", "The body must be application/octet-stream."
    )


def test_bytes_need_a_format(api: Api) -> None:
    image_id = make(api, disk_format=None)

    answer = upload(api, image_id, qcow2())

    assert answer.get_json() == image_fault(
        400, "Bad Request", "disk_format and container_format must be set before the upload."
    )


def test_nobody_elses_image_gets_bytes(api: Api) -> None:
    assert upload(api, QUEUED_IMAGE, qcow2(), who="bob").status_code == 404
    assert upload(api, QUEUED_IMAGE, qcow2(), who="rita").status_code == 403


def test_a_deleted_image_takes_its_bytes_along(api: Api) -> None:
    image_id = make(api)
    upload(api, image_id, qcow2())

    assert api.call("alice", "DELETE", f"{IMAGES}/{image_id}").status_code == 204

    assert api.call("alice", "GET", f"{IMAGES}/{image_id}").status_code == 404
    assert stored(api) == {PUBLIC_IMAGE}


class DeletedMeanwhile:
    """Bytes of an image that is deleted while they arrive."""

    def __init__(self, api: Api, image_id: str) -> None:
        self._api, self._image_id, self._left = api, image_id, [qcow2(), b""]

    def read(self, _: int, /) -> bytes:
        """Delete the image, and go on as if nothing were."""
        self._api.call("alice", "DELETE", f"{IMAGES}/{self._image_id}")
        return self._left.pop(0)


def test_an_image_deleted_during_its_upload_leaves_nothing(api: Api) -> None:
    image_id = make(api)
    context = api.app.extensions["byre"]
    alice = Caller(ALICE, "alice", ALPHA, "alpha", ("member",), "req-x")

    with pytest.raises(NotFound, match="deleted during its upload"):
        uploads.upload(context, alice, image_id, DeletedMeanwhile(api, image_id), None)

    assert stored(api) == {PUBLIC_IMAGE}


def test_a_protected_image_stays(api: Api) -> None:
    image_id = make(api, protected=True)

    answer = api.call("alice", "DELETE", f"{IMAGES}/{image_id}")

    assert answer.get_json() == image_fault(
        403, "Forbidden", f"Image {image_id} is protected and cannot be deleted."
    )


def ticket(api: Api, expires_at: float) -> str:
    """Return the path by which a hypervisor fetches the public image."""
    settings = api.app.extensions["byre"].settings
    url = image_url(settings, PUBLIC_IMAGE, expires_at)
    return url.removeprefix(settings.internal_api_url)


def test_a_hypervisor_fetches_with_its_ticket(api: Api) -> None:
    with api.call(None, "GET", ticket(api, time.time() + 60)) as got:
        assert (got.status_code, got.data) == (200, BYTES)

    part = {"Range": "bytes=4000-"}
    with api.call(None, "GET", ticket(api, time.time() + 60), headers=part) as got:
        assert (got.status_code, got.data) == (206, BYTES[4000:])


@pytest.mark.parametrize(("tag", "status"), [('"{}"', 206), ('"another"', 200)])
def test_a_download_is_resumed_if_the_image_is_the_same(api: Api, tag: str, status: int) -> None:
    image_id = make(api, disk_format="raw")
    data = bytes(range(256)) * 300
    upload(api, image_id, data)
    url = image_url(api.app.extensions["byre"].settings, image_id, time.time() + 60)
    digest = hashlib.sha256(data).hexdigest()
    asked = {"Range": "bytes=70000-", "If-Range": tag.format(digest)}

    path = url.removeprefix(api.app.extensions["byre"].settings.internal_api_url)
    with api.call(None, "GET", path, headers=asked) as got:
        assert (got.status_code, got.headers["ETag"]) == (status, f'"{digest}"')
        assert got.data == (data[70000:] if status == 206 else data)
        expected = f"bytes 70000-{len(data) - 1}/{len(data)}" if status == 206 else None
        assert got.headers.get("Content-Range") == expected


def test_a_range_behind_the_end_is_refused(api: Api) -> None:
    part = {"Range": "bytes=4096-"}
    assert api.call(None, "GET", ticket(api, time.time() + 60), headers=part).status_code == 416


def test_a_ticket_expires(api: Api) -> None:
    answer = api.call(None, "GET", ticket(api, time.time() - 1))

    expected = "The ticket is for another image or has expired."
    assert answer.get_json() == fault(403, "Forbidden", expected, "forbidden")


def test_a_ticket_is_for_one_image(api: Api) -> None:
    path = ticket(api, time.time() + 60).replace(PUBLIC_IMAGE, ALPHA_IMAGE)

    assert api.call(None, "GET", path).status_code == 403


def test_a_ticket_of_another_secret_is_worth_nothing(api: Api) -> None:
    others = make_settings(secret_key="another" * 6)
    url = image_url(others, PUBLIC_IMAGE, time.time() + 60)

    assert api.call(None, "GET", url.removeprefix(others.internal_api_url)).status_code == 403


def test_a_ticket_for_an_image_that_is_gone(api: Api) -> None:
    path = ticket(api, time.time() + 60)
    api.call("root", "DELETE", f"{IMAGES}/{PUBLIC_IMAGE}")

    answer = api.call(None, "GET", path)

    expected = f"No image found with ID {PUBLIC_IMAGE}"
    assert answer.get_json() == fault(404, "Not Found", expected, "not_found")


def test_changes_at_one_moment_are_all_kept(api: Api) -> None:
    image_id = make(api)

    def add(number: int) -> int:
        change = {"op": "add", "path": f"/word{number}", "value": "x"}
        code: int = patch(api, image_id, change).status_code
        return code

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(add, range(6))) == {200}
    shown = api.call("alice", "GET", f"{IMAGES}/{image_id}").get_json()
    assert [name for name in sorted(shown) if name.startswith("word")] == [
        f"word{number}" for number in range(6)
    ]


PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}


def patch(api: Api, image_id: str, *operations: Any, who: str = "alice") -> Any:
    """Change an image."""
    return api.call(
        who, "PATCH", f"{IMAGES}/{image_id}", data=json.dumps(operations), headers=PATCH
    )


def op(kind: str, name: str, value: Any = "") -> dict[str, Any]:
    """Return one operation of a patch."""
    return {"op": kind, "path": f"/{name}", "value": value}


def test_an_image_is_changed(api: Api) -> None:
    image_id = make(api, os_distro="debian", old="x")

    answer = patch(
        api,
        image_id,
        op("replace", "name", "new"),
        op("add", "min_ram", 512),
        op("replace", "tags", ["a", "b", "a"]),
        op("add", "hw_disk_bus", "scsi"),
        op("add", "a~1b", "slash"),
        {"op": "remove", "path": "/old"},
    )

    image = api.call("alice", "GET", f"{IMAGES}/{image_id}").get_json()
    assert (answer.status_code, answer.get_json()) == (200, image)
    assert (image["name"], image["min_ram"], image["tags"]) == ("new", 512, ["a", "b"])
    assert (image["hw_disk_bus"], image["a/b"], image["os_distro"]) == ("scsi", "slash", "debian")
    assert "old" not in image


@pytest.mark.parametrize(
    ("operation", "code", "named"),
    [
        (op("replace", "status", "active"), 403, "status"),
        (op("replace", "id", "x"), 403, "id"),
        (op("replace", "owner", ALICE), 403, "owner"),
        (op("replace", "visibility", "public"), 403, "publicize_image"),
        ({"op": "remove", "path": "/name"}, 403, "name"),
        ({"op": "remove", "path": "/none"}, 409, "none"),
        (op("replace", "none", "x"), 409, "none"),
        (op("add", "hw_disk_bus", "floppy"), 400, "hw_disk_bus"),
        (op("add", "os_distro", 5), 400, "os_distro"),
        (op("replace", "min_disk", -1), 400, "min_disk"),
        (op("replace", "tags", ["a", "\x07"]), 400, "tags"),
        (op("replace", "name", "a\x1b"), 400, "name"),
        (op("replace", "name", "a\x00"), 400, "Invalid character"),
        (op("move", "name"), 400, "op"),
        (op("add", "a/b", "x"), 400, "path"),
        ({"op": "add", "path": "/x"}, 400, "x"),
        ({"op": "add", "path": 5, "value": "x"}, 400, "path"),
        ("x", 400, "op"),
    ],
)
def test_a_change_that_cannot_be_is_refused_whole(
    api: Api, operation: Any, code: int, named: str
) -> None:
    image_id = make(api)
    before = api.call("alice", "GET", f"{IMAGES}/{image_id}").get_json()

    answer = patch(api, image_id, op("replace", "name", "first"), operation)

    assert (answer.status_code, named in answer.get_json()["message"]) == (code, True)
    assert api.call("alice", "GET", f"{IMAGES}/{image_id}").get_json() == before


def test_nobody_elses_image_is_changed(api: Api) -> None:
    change = op("replace", "name", "mine")

    assert patch(api, BETA_IMAGE, change).status_code == 404
    assert patch(api, PUBLIC_IMAGE, change).status_code == 403
    assert patch(api, ALPHA_IMAGE, change, who="rita").status_code == 403
    assert patch(api, ALPHA_IMAGE, op("replace", "disk_format", "raw")).status_code == 403


@pytest.mark.parametrize(
    ("data", "kind", "code"),
    [
        (b"{", PATCH["Content-Type"], 400),
        (b"{}", PATCH["Content-Type"], 400),
        (b"[" * 100_000, PATCH["Content-Type"], 400),
        (b"[]", "application/json", 415),
    ],
)
def test_a_patch_is_a_list_of_its_type(api: Api, data: bytes, kind: str, code: int) -> None:
    path = f"{IMAGES}/{ALPHA_IMAGE}"
    answer = api.call("alice", "PATCH", path, data=data, headers={"Content-Type": kind})

    assert answer.status_code == code
