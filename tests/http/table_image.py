"""Cases of image that change nothing."""

import hashlib
from typing import Any

from tests.http.cases import BASE, Case, Like, image_fault
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
    first = path.removeprefix("/image")
    for plain, coded in ((":", "%3A"), (",", "%2C"), ('"', "%22")):
        first = first.replace(plain, coded)
    body = {
        "images": list(images),
        "first": first,
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
    _listed("os_hidden=False", GUEST, OURS, LATER, BIG),
    _listed("tag=none"),
    _listed("visibility=all", GUEST, OURS, LATER, BIG),
    _listed("visibility=shared"),
    _listed("name=in:ours,later", OURS, LATER),
    _listed('name=in:"ours",big', OURS, BIG),
    _listed("protected=True"),
    _listed("disk_format=qcow2&container_format=bare&min_disk=0", GUEST, OURS, LATER, BIG),
    _listed("disk_format=in:raw,iso"),
    _listed(f"checksum={OURS['checksum']}&visibility=private", OURS),
    _listed(f"size_min={len(BYTES)}&size_max={len(BYTES)}", GUEST, OURS, BIG),
    _listed(f"size_min={len(BYTES) + 1}"),
    _listed(f"size_max={len(BYTES) - 1}"),
    _listed("created_at=2026-11-23T03:33:43Z", OURS),
    _listed("created_at=eq:2026-11-23T03:33:43Z", OURS),
    _listed("created_at=neq:2026-11-23T03:33:43Z", GUEST, LATER, BIG),
    _listed("created_at=gt:2026-11-23T03:33:43Z", GUEST),
    _listed("created_at=gte:2026-11-23T03:33:43Z", GUEST, OURS),
    _listed("created_at=lt:2026-11-23T03:33:41Z", BIG),
    _listed("created_at=lte:2026-11-23T03:33:41", LATER, BIG),
    _listed("created_at=gt:2026-11-23T03:33:40Z&created_at=lt:2026-11-23T03:33:43Z", LATER),
    _listed("updated_at=gte:2026-11-23T04:33:43.9%2B01:00", GUEST, OURS),
    _listed("sort=size:asc,name:desc", LATER, OURS, GUEST, BIG),
    _listed("sort_key=updated_at&sort_dir=asc", BIG, LATER, OURS, GUEST),
    _listed("sort_dir=asc", BIG, LATER, OURS, GUEST),
    _listed("sort_key=disk_format&sort_key=name&sort_dir=asc", BIG, GUEST, LATER, OURS),
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
    Case(
        "next page by size",
        "alice",
        "GET",
        f"{IMAGES}?sort=size:asc,name:desc&limit=2&marker={QUEUED_IMAGE}",
        200,
        {
            "images": [OURS, GUEST],
            "first": "/v2/images?sort=size%3Aasc%2Cname%3Adesc&limit=2",
            "schema": "/v2/schemas/images",
            "next": f"/v2/images?sort=size%3Aasc%2Cname%3Adesc&limit=2&marker={PUBLIC_IMAGE}",
        },
    ),
    *(
        Case(
            f"images?{query}",
            "alice",
            "GET",
            f"{IMAGES}?{query}",
            400,
            image_fault(400, "Bad Request", message),
        )
        for query, message in (
            ("size_min=many", Like(".*size_min: .*")),
            ("size_max=-1", Like(".*size_max: .*")),
            (f"size_max={2**63}", Like(".*size_max: .*")),
            ("created_at=yesterday", Like("created_at: 'yesterday' is no time .*")),
            ("updated_at=gt:", Like("updated_at: 'gt:' is no time .*")),
            ("updated_at=eq:9999-12-31T23:59:59Z", Like("updated_at: .*")),
            ("created_at=ge:2026-11-23T03:33:43Z", Like("created_at: 'ge' is none of eq, .*")),
            ("sort=luck", Like("sort_key: luck is none of .*")),
            ("sort=name:up", Like("sort: .*")),
            ("sort=name&sort_key=name", Like("sort: .*")),
            ("sort_key=name&sort_dir=asc&sort_dir=asc", Like("sort_dir: .*")),
            ("sort_dir=up", Like(".*sort_dir.*")),
            ("limit=-1", Like(".*limit: .*")),
            ("limit=x", Like(".*limit: .*")),
            (f"marker={uid(99)}", f"marker [{uid(99)}] not found"),
            ("os_hidden=perhaps", Like(".*os_hidden: .*")),
        )
    ),
    Case("image", "alice", "GET", f"{IMAGES}/{PUBLIC_IMAGE}", 200, GUEST),
    Case("image for a reader", "rita", "GET", f"{IMAGES}/{ALPHA_IMAGE}", 200, OURS),
    Case("another's image", "alice", "GET", f"{IMAGES}/{BETA_IMAGE}", 404, _missing(BETA_IMAGE)),
    Case("image by name", "alice", "GET", f"{IMAGES}/guest", 404, _missing("guest")),
    Case(
        "no imports",
        "rita",
        "GET",
        "/image/v2/info/import",
        200,
        {
            "import-methods": {
                "type": "array",
                "description": "Import methods available.",
                "value": [],
            }
        },
    ),
    Case("no tasks", "rita", "GET", f"{IMAGES}/{ALPHA_IMAGE}/tasks", 200, {"tasks": []}),
    Case(
        "another's tasks",
        "alice",
        "GET",
        f"{IMAGES}/{BETA_IMAGE}/tasks",
        404,
        _missing(BETA_IMAGE),
    ),
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
