"""Cases of what an owner says of a server: its name, its metadata; and of its addresses."""

from typing import Any

from tests.http.cases import Case, Like, compute_fault
from tests.http.table_compute import NOT_ALLOWED, SERVERS, WEB, missing
from tests.http.world import ACTIVE, ALICE, ALPHA, BETA, BETA_SERVER, FAILED, THEN_MICRO, uid
from tests.rows import make_settings

ONE = f"{SERVERS}/{ACTIVE}"
META = f"{ONE}/metadata"
PRIVATE = [{"version": 4, "addr": "10.77.0.5"}]
#: What who has changed a server is not shown.
HIDDEN = ("OS-EXT-", "OS-SRV-USG", "os-extended", "config_drive", "key_name", "security_groups")
CHANGED = {
    **{key: value for key, value in WEB.items() if not key.startswith(HIDDEN)},
    "addresses": {"private": PRIVATE},
}
NO_ITEM = compute_fault(404, "Metadata item was not found")
FULL = {f"k{number}": "v" for number in range(129)}
TOO_MANY = compute_fault(403, "Maximum number of metadata items exceeds 128")


def _put(name: str, body: dict[str, Any], answer: Any, status: int = 400) -> Case:
    return Case(f"update: {name}", "alice", "PUT", ONE, status, answer, send={"server": body})


def _bad(message: str) -> dict[str, Any]:
    return compute_fault(400, Like(f".*{message}.*"))


def _meta(method: str, path: str, status: int, answer: Any, send: Any = None) -> Case:
    name = f"{method} metadata{path}: {str(send)[:40]}, {status}"
    return Case(name, "alice", method, f"{META}{path}", status, answer, send=send)


def _foreign(method: str, path: str, send: Any = None) -> Case:
    where = f"{SERVERS}/{BETA_SERVER}{path}"
    return Case(f"{method} foreign{path}", "alice", method, where, 404, missing(BETA_SERVER), send)


def _reader(method: str, path: str, send: Any) -> Case:
    answer = compute_fault(403, NOT_ALLOWED)
    return Case(f"a reader's {method}{path}", "rita", method, f"{ONE}{path}", 403, answer, send)


MADE = {
    "action": "create",
    "instance_uuid": ACTIVE,
    "request_id": "req-1",
    "user_id": ALICE,
    "project_id": ALPHA,
    "start_time": THEN_MICRO,
    "message": None,
}
LATER = "2026-11-23T03:33:46.123456"
EVENTS = [
    {
        "event": "poll_boot",
        "start_time": LATER,
        "finish_time": LATER,
        "result": "Success",
        "traceback": None,
    },
    {
        "event": "validate",
        "start_time": "2026-11-23T03:33:44.623456",
        "finish_time": LATER,
        "result": "Success",
        "traceback": None,
    },
]

QUOTAS = "/compute/v2.1/os-quota-sets"
FIXED = {
    "key_pairs": 100,
    "metadata_items": 128,
    "server_groups": 10,
    "server_group_members": 10,
    "security_groups": 10,
    "security_group_rules": 100,
    "injected_files": 5,
    "injected_file_content_bytes": 10240,
    "injected_file_path_bytes": 255,
    "floating_ips": 50,
    "fixed_ips": -1,
}
LIMITS = {"instances": 5, "cores": 20, "ram": 8192, **FIXED}
SETTINGS = make_settings()
DEFAULTS = {
    "instances": SETTINGS.quota_servers,
    "cores": SETTINGS.quota_vcpus,
    "ram": SETTINGS.quota_memory_mib,
    **FIXED,
}
USED = {
    "instances": 2,
    "cores": 2,
    "ram": 512,
    "security_groups": 4,
    "security_group_rules": 3,
}
DETAILS = {
    name: {"limit": limit, "in_use": USED.get(name, 0), "reserved": 0}
    for name, limit in LIMITS.items()
}
MORE = {"quota_set": {"cores": 40}}
NOBODY = compute_fault(404, "Project none could not be found.")


def _quota(name: str, who: str, path: str, status: int, answer: Any, project: str = ALPHA) -> Case:
    return Case(f"quota {name}", who, "GET", f"{QUOTAS}/{project}{path}", status, answer)


CLASSES = "/compute/v2.1/os-quota-class-sets"
#: What a class has at 2.1.
CLASS = {name: limit for name, limit in DEFAULTS.items() if not name.startswith("server_group")}
NO_CLASS = "Quota class gold could not be found; there is default."


def _class(method: str, name: str, who: str, status: int, answer: Any, limits: Any = None) -> Case:
    send = None if limits is None else {"quota_class_set": limits}
    title = f"quota class {name} by {method} of {who}: {limits}"
    return Case(title, who, method, f"{CLASSES}/{name}", status, answer, send=send)


def _of_user(method: str, send: Any) -> Case:
    answer = compute_fault(400, "user_id: users have no limits of their own.")
    path = f"{QUOTAS}/{ALPHA}?user_id={ALICE}"
    return Case(f"quota of a user by {method}", "root", method, path, 400, answer, send=send)


VOLUME = uid(998)
ATTACH = {"volumeAttachment": {"volumeId": VOLUME}}
NO_VOLUME = f"Volume {VOLUME} could not be found: there is no block storage service."
NOT_ATTACHED = f"Instance {ACTIVE} is not attached to volume {VOLUME}"


def _no_volume(method: str, path: str, words: str, send: Any = None, who: str = "alice") -> Case:
    where, title = f"{ONE}/os-volume_attachments{path}", f"no volume by {method} of {who}: {send}"
    return Case(title, who, method, where, 404, compute_fault(404, words), send=send)


ITEM = {"meta": {"role": "db"}}
CASES: list[Case] = [
    Case("volumes", "rita", "GET", f"{ONE}/os-volume_attachments", 200, {"volumeAttachments": []}),
    _foreign("GET", "/os-volume_attachments"),
    _foreign("GET", f"/os-volume_attachments/{VOLUME}"),
    _foreign("POST", "/os-volume_attachments", ATTACH),
    _foreign("DELETE", f"/os-volume_attachments/{VOLUME}"),
    _no_volume("GET", f"/{VOLUME}", NOT_ATTACHED, who="rita"),
    _no_volume("DELETE", f"/{VOLUME}", NOT_ATTACHED),
    _no_volume("PUT", f"/{VOLUME}", NOT_ATTACHED, ATTACH, who="root"),
    _no_volume("POST", "", NO_VOLUME, ATTACH),
    _no_volume("POST", "", NO_VOLUME, {"volumeAttachment": {"volumeId": VOLUME, "device": None}}),
    Case(
        "volume of no id",
        "alice",
        "POST",
        f"{ONE}/os-volume_attachments",
        400,
        _bad("volumeAttachment.volumeId"),
        send={"volumeAttachment": {"volumeId": "mine"}},
    ),
    Case(
        "tagged volume",
        "alice",
        "POST",
        f"{ONE}/os-volume_attachments",
        400,
        _bad("volumeAttachment.tag: Unknown field"),
        send={"volumeAttachment": {"volumeId": VOLUME, "tag": "data"}},
        at=48,
    ),
    Case(
        "tagged volume, later",
        "alice",
        "POST",
        f"{ONE}/os-volume_attachments",
        404,
        compute_fault(404, NO_VOLUME),
        send={"volumeAttachment": {"volumeId": VOLUME, "tag": "data"}},
        at=49,
    ),
    Case("password", "rita", "GET", f"{ONE}/os-server-password", 200, {"password": ""}),
    _foreign("GET", "/os-server-password"),
    Case("no password", "alice", "DELETE", f"{ONE}/os-server-password", 204),
    _foreign("DELETE", "/os-server-password"),
    _put("nothing", {}, {"server": CHANGED}, 200),
    _put("blank name", {"name": ""}, _bad("name")),
    _put("name of a hostile kind", {"name": "a\n<x>"}, _bad("name")),
    _put("no address", {"accessIPv4": "fe80::1"}, _bad("accessIPv4")),
    _put("unknown field", {"flavorRef": "1"}, _bad("flavorRef")),
    _meta("GET", "", 200, {"metadata": {"role": "web"}}),
    _meta("GET", "/role", 200, {"meta": {"role": "web"}}),
    _meta("GET", "/none", 404, NO_ITEM),
    _meta("POST", "", 403, TOO_MANY, {"metadata": FULL}),
    _meta("PUT", "", 400, _bad("metadata"), {"metadata": {" ": "b"}}),
    _meta("PUT", "", 400, _bad("metadata"), {"metadata": {"a": 1}}),
    _meta("PUT", "", 400, _bad("byre_boot_proof"), {"metadata": {"byre_boot_proof": "luck"}}),
    _meta("PUT", "/other", 400, compute_fault(400, "Request body and URI mismatch"), ITEM),
    _meta("PUT", "/role", 400, _bad("one item"), {"meta": {"role": "db", "a": "b"}}),
    _meta("DELETE", "/none", 404, NO_ITEM),
    Case(
        "metadata of what failed",
        "alice",
        "POST",
        f"{SERVERS}/{FAILED}/metadata",
        409,
        compute_fault(
            409, f"Cannot 'update metadata' instance {FAILED} while it is in vm_state error"
        ),
        send={"metadata": {"a": "b"}},
    ),
    Case("addresses", "rita", "GET", f"{ONE}/ips", 200, {"addresses": {"private": PRIVATE}}),
    Case("addresses of a network", "rita", "GET", f"{ONE}/ips/private", 200, {"private": PRIVATE}),
    Case(
        "addresses of another network",
        "rita",
        "GET",
        f"{ONE}/ips/none",
        404,
        compute_fault(404, "Network label: none not found"),
    ),
    *(
        _foreign(method, path, send)
        for method, path, send in (
            ("PUT", "", {"server": {"name": "x"}}),
            ("GET", "/metadata", None),
            ("POST", "/metadata", {"metadata": {}}),
            ("PUT", "/metadata", {"metadata": {}}),
            ("GET", "/metadata/role", None),
            ("PUT", "/metadata/role", ITEM),
            ("DELETE", "/metadata/role", None),
            ("GET", "/ips", None),
            ("GET", "/ips/private", None),
        )
    ),
    *(
        _reader(method, path, send)
        for method, path, send in (
            ("PUT", "", {"server": {"name": "x"}}),
            ("POST", "/metadata", {"metadata": {}}),
            ("PUT", "/metadata", {"metadata": {}}),
            ("PUT", "/metadata/role", ITEM),
            ("DELETE", "/metadata/role", None),
        )
    ),
    Case("actions", "rita", "GET", f"{ONE}/os-instance-actions", 200, {"instanceActions": [MADE]}),
    Case(
        "action",
        "alice",
        "GET",
        f"{ONE}/os-instance-actions/req-1",
        200,
        {"instanceAction": {**MADE, "events": EVENTS}},
    ),
    Case(
        "no action",
        "alice",
        "GET",
        f"{ONE}/os-instance-actions/req-2",
        404,
        compute_fault(404, f"Action for request_id req-2 on instance {ACTIVE} not found"),
    ),
    _foreign("GET", "/os-instance-actions"),
    _foreign("GET", "/os-instance-actions/req-1"),
    _quota("own", "rita", "", 200, {"quota_set": {"id": ALPHA, **LIMITS}}),
    _quota("of a user", "rita", "?user_id=x", 200, {"quota_set": {"id": ALPHA, **LIMITS}}),
    _quota("defaults", "rita", "/defaults", 200, {"quota_set": {"id": ALPHA, **DEFAULTS}}),
    _quota("details", "alice", "/detail", 200, {"quota_set": {"id": ALPHA, **DETAILS}}),
    _quota("others'", "alice", "", 403, compute_fault(403, NOT_ALLOWED), BETA),
    _quota("nobody's", "root", "", 404, NOBODY, "none"),
    *(
        Case(f"quota by {method} of {who}", who, method, path, status, answer, send=send)
        for method, who, path, status, answer, send in (
            ("PUT", "alice", f"{QUOTAS}/{ALPHA}", 403, compute_fault(403, NOT_ALLOWED), MORE),
            ("DELETE", "alice", f"{QUOTAS}/{ALPHA}", 403, compute_fault(403, NOT_ALLOWED), None),
            ("PUT", "root", f"{QUOTAS}/none", 404, NOBODY, MORE),
            ("DELETE", "root", f"{QUOTAS}/none", 404, NOBODY, None),
        )
    ),
    _of_user("PUT", MORE),
    _of_user("DELETE", None),
    _class("GET", "default", "root", 200, {"quota_class_set": {"id": "default", **CLASS}}),
    _class("GET", "gold", "root", 404, compute_fault(404, NO_CLASS)),
    _class("PUT", "gold", "root", 404, compute_fault(404, NO_CLASS), {"cores": 5}),
    _class("PUT", "default", "root", 400, _bad("cores"), {"cores": "many"}),
    _class("PUT", "default", "root", 400, _bad("floating_ips"), {"floating_ips": 5}),
    _class("GET", "default", "alice", 403, compute_fault(403, NOT_ALLOWED)),
    _class("PUT", "default", "alice", 403, compute_fault(403, NOT_ALLOWED), {"cores": 5}),
    *(
        Case(
            f"quota: {limits}",
            "root",
            "PUT",
            f"{QUOTAS}/{ALPHA}",
            400,
            _bad(words),
            send={"quota_set": limits},
        )
        for limits, words in (
            ({"cores": -2}, "cores"),
            ({"cores": "many"}, "cores"),
            ({"ram": 2**31}, "ram"),
            ({"injected_files": -2}, "injected_files"),
            ({"security_groups": 5}, "security_groups: Unknown field"),
            ({"key_pairs": -2}, "key_pairs"),
            ({"cores": 1}, "Quota limit 1 for cores must be .* used and reserved 2"),
            ({"instances": 9, "ram": 0}, "Quota limit 0 for ram"),
        )
    ),
    *(
        Case(f"servers by {query}", "alice", "GET", f"{SERVERS}?{query}", 200, {"servers": found})
        for query, found in (
            ("ip6=fd00", []),
            ("availability_zone=nova", [{"id": ACTIVE, "name": "web", "links": WEB["links"]}]),
            ("availability_zone=other", []),
            ("vm_state=active", [{"id": ACTIVE, "name": "web", "links": WEB["links"]}]),
            ("power_state=4", []),
            ("config_drive=False", []),
            ("locked_by=admin", []),
            ("reservation_id=r-none", []),
            ("launch_index=1", []),
            ("access_ip_v4=192.0.2.9", []),
            ("access_ip_v6=fd00::1", []),
            ("hostname=nobody", []),
        )
    ),
]
