"""Cases of image that change nothing."""

import hashlib
from typing import Any

from tests.http.cases import BASE, Case, image_fault
from tests.http.world import (
    ALPHA,
    ALPHA_IMAGE,
    BETA_IMAGE,
    BIG_IMAGE,
    BYTES,
    OPERATIONS,
    PUBLIC_IMAGE,
    QUEUED_IMAGE,
    uid,
)

VERSIONS = {
    "versions": [
        {"id": version, "status": status, "links": [{"rel": "self", "href": f"{BASE}/image/v2/"}]}
        for version, status in (("v2.1", "CURRENT"), ("v2.0", "SUPPORTED"))
    ]
}


def _image(image_id: str, name: str, owner: str, age: int, **changes: Any) -> dict[str, Any]:
    moment = f"2026-11-23T03:33:{44 - age}Z"
    return {
        "id": image_id,
        "name": name,
        "status": "active",
        "visibility": "private",
        "disk_format": "qcow2",
        "container_format": "bare",
        "min_disk": 0,
        "min_ram": 0,
        "size": len(BYTES),
        "virtual_size": 64 * 1024**2,
        "checksum": hashlib.md5(BYTES, usedforsecurity=False).hexdigest(),
        "os_hash_algo": "sha512",
        "os_hash_value": hashlib.sha512(BYTES).hexdigest(),
        "os_hidden": False,
        "protected": False,
        "owner": owner,
        "tags": [],
        "created_at": moment,
        "updated_at": moment,
        "self": f"/v2/images/{image_id}",
        "file": f"/v2/images/{image_id}/file",
        "schema": "/v2/schemas/image",
        **changes,
    }


GUEST = _image(PUBLIC_IMAGE, "guest", OPERATIONS, 0, visibility="public", byre_boot_proof="running")
OURS = _image(ALPHA_IMAGE, "ours", ALPHA, 1)
LATER = _image(
    QUEUED_IMAGE,
    "later",
    ALPHA,
    3,
    status="queued",
    size=None,
    virtual_size=None,
    checksum=None,
    os_hash_algo=None,
    os_hash_value=None,
)
BIG = _image(BIG_IMAGE, "big", OPERATIONS, 4, visibility="public", virtual_size=10 * 1024**3)

IMAGES = "/image/v2/images"


def _listed(query: str, *images: dict[str, Any], **more: Any) -> Case:
    path = f"{IMAGES}?{query}" if query else IMAGES
    first = path.removeprefix("/image").replace(":", "%3A").replace("in%3A", "in%3A")
    body = {
        "images": list(images),
        "first": first.replace(",", "%2C"),
        "schema": "/v2/schemas/images",
        **more,
    }
    return Case(f"images?{query}", "alice", "GET", path, 200, body)


def _missing(image_id: str) -> dict[str, Any]:
    return image_fault(404, "Not Found", f"No image found with ID {image_id}")


CASES = [
    Case("versions", None, "GET", "/image/", 300, VERSIONS),
    Case("versions without slash", None, "GET", "/image", 300, VERSIONS),
    Case("versions by name", None, "GET", "/image/versions", 200, VERSIONS),
    _listed("", GUEST, OURS, LATER, BIG),
    _listed("name=ours", OURS),
    _listed("status=queued", LATER),
    _listed("visibility=public", GUEST, BIG),
    _listed(f"owner={ALPHA}", OURS, LATER),
    _listed(f"id=in:{PUBLIC_IMAGE},{BETA_IMAGE},{BIG_IMAGE}", GUEST, BIG),
    _listed("sort=name:asc", BIG, GUEST, LATER, OURS),
    _listed("sort_key=name&sort_dir=desc", OURS, LATER, GUEST, BIG),
    _listed("byre_boot_proof=running", GUEST),
    _listed("a%22b%27%29=1"),
    _listed("a.b%5B0%5D=1"),
    _listed("os_hidden=True"),
    _listed("tag=none"),
    _listed("limit=1", GUEST, next=f"/v2/images?limit=1&marker={PUBLIC_IMAGE}"),
    Case(
        "next page",
        "alice",
        "GET",
        f"{IMAGES}?limit=1&marker={PUBLIC_IMAGE}",
        200,
        {
            "images": [OURS],
            "first": "/v2/images?limit=1",
            "schema": "/v2/schemas/images",
            "next": f"/v2/images?limit=1&marker={ALPHA_IMAGE}",
        },
    ),
    Case("image", "alice", "GET", f"{IMAGES}/{PUBLIC_IMAGE}", 200, GUEST),
    Case("image for a reader", "rita", "GET", f"{IMAGES}/{ALPHA_IMAGE}", 200, OURS),
    Case("another's image", "alice", "GET", f"{IMAGES}/{BETA_IMAGE}", 404, _missing(BETA_IMAGE)),
    Case("image by name", "alice", "GET", f"{IMAGES}/guest", 404, _missing("guest")),
    Case("no bytes yet", "alice", "GET", f"{IMAGES}/{QUEUED_IMAGE}/file", 204),
    Case(
        "another's bytes",
        "alice",
        "GET",
        f"{IMAGES}/{BETA_IMAGE}/file",
        404,
        _missing(BETA_IMAGE),
    ),
    Case(
        "delete a public one",
        "alice",
        "DELETE",
        f"{IMAGES}/{PUBLIC_IMAGE}",
        403,
        image_fault(
            403, "Forbidden", "You are not permitted to change an image of another project."
        ),
    ),
    Case("delete none", "alice", "DELETE", f"{IMAGES}/{uid(99)}", 404, _missing(uid(99))),
    Case(
        "a reader deletes",
        "rita",
        "DELETE",
        f"{IMAGES}/{ALPHA_IMAGE}",
        403,
        image_fault(403, "Forbidden", "Policy doesn't allow image:images:delete to be performed."),
    ),
    Case(
        "publish as a member",
        "alice",
        "POST",
        IMAGES,
        403,
        image_fault(403, "Forbidden", "You are not authorized to complete publicize_image action."),
        send={"name": "x", "visibility": "public"},
    ),
]
