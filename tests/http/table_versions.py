"""Cases of compute's gates that change nothing: what is there at a microversion, and not below."""

from typing import Any

from tests.http.cases import Case, Like, compute_fault
from tests.http.table_compute import BROKEN, KEY, NOT_ALLOWED, ON_HOST, WEB
from tests.http.table_refusals import GOOD
from tests.http.table_servers import HIDDEN, PRIVATE
from tests.http.world import ACTIVE, BETA_SERVER, FAILED

COMPUTE = "/compute/v2.1"


def get(at: int, who: str, path: str, answer: Any, status: int = 200) -> Case:
    """Return a case of a GET at a minor version."""
    return Case(f"2.{at} {path} {who}", who, "GET", f"{COMPUTE}{path}", status, answer, at=at)


def refused(at: int, method: str, path: str, send: Any, status: int, words: str) -> Case:
    """Return a case of alice's request that is refused with these words."""
    name = f"2.{at} {method} {path[:40]} {words}"
    answer = compute_fault(status, Like(f".*{words}.*"))
    return Case(name, "alice", method, f"{COMPUTE}{path}", status, answer, send=send, at=at)


def _keypair(**more: Any) -> dict[str, Any]:
    return {"keypair": {"name": "x", **more}}


KEYPAIRS = [
    get(2, "alice", "/os-keypairs", {"keypairs": [{"keypair": {**KEY, "type": "ssh"}}]}),
    refused(1, "POST", "/os-keypairs", _keypair(type="ssh"), 400, "keypair.type: Unknown field"),
    refused(2, "POST", "/os-keypairs", _keypair(type="x509"), 400, "keypair.type: must be ssh"),
]


ONE = f"/servers/{ACTIVE}"
LOCKED = {"locked": False}
DESCRIBED = {**LOCKED, "description": None}
TAGGED: dict[str, Any] = {**DESCRIBED, "tags": []}
FLAVOR = {
    "original_name": "m1.nano",
    "vcpus": 1,
    "ram": 256,
    "disk": 1,
    "ephemeral": 0,
    "swap": 0,
    "extra_specs": {},
}
EMBEDDED = {**TAGGED, "flavor": FLAVOR}
CERTIFIED = {**EMBEDDED, "trusted_image_certificates": None}
ATTRIBUTES = {
    "OS-EXT-SRV-ATTR:reservation_id": "",
    "OS-EXT-SRV-ATTR:launch_index": 0,
    "OS-EXT-SRV-ATTR:hostname": "web",
    "OS-EXT-SRV-ATTR:kernel_id": "",
    "OS-EXT-SRV-ATTR:ramdisk_id": "",
    "OS-EXT-SRV-ATTR:root_device_name": "/dev/vda",
    "OS-EXT-SRV-ATTR:user_data": None,
}
HOSTED = {**ON_HOST, "OS-EXT-SRV-ATTR:instance_name": f"byre-{ACTIVE}"}


def _create(at: int, words: str, /, **more: Any) -> Case:
    bare = {name: value for name, value in GOOD.items() if name != "networks"}
    return refused(at, "POST", "/servers", {"server": {**bare, **more}}, 400, words)


def _listed(at: int, query: str, *servers: dict[str, Any]) -> Case:
    brief = [{key: server[key] for key in ("id", "name", "links")} for server in servers]
    return get(at, "alice", f"/servers?{query}", {"servers": brief})


SHOWN_SERVERS = [
    get(2, "root", ONE, {"server": {**WEB, **HOSTED}}),
    get(3, "root", ONE, {"server": {**WEB, **HOSTED, **ATTRIBUTES}}),
    get(8, "alice", ONE, {"server": WEB}),
    get(9, "alice", ONE, {"server": {**WEB, **LOCKED}}),
    get(
        16,
        "root",
        ONE,
        {"server": {**WEB, **HOSTED, **ATTRIBUTES, **LOCKED, "host_status": "UP"}},
    ),
    get(18, "alice", ONE, {"server": {**WEB, **LOCKED}}),
    get(19, "alice", ONE, {"server": {**WEB, **DESCRIBED}}),
    get(26, "alice", ONE, {"server": {**WEB, **TAGGED}}),
    get(46, "alice", ONE, {"server": {**WEB, **TAGGED}}),
    get(47, "alice", ONE, {"server": {**WEB, **EMBEDDED}}),
    get(
        63,
        "alice",
        "/servers/detail",
        {"servers": [{**WEB, **CERTIFIED}, {**BROKEN, **CERTIFIED}]},
    ),
    Case(
        "2.63 update",
        "alice",
        "PUT",
        f"/compute/v2.1{ONE}",
        200,
        {
            "server": {
                **{key: value for key, value in WEB.items() if not key.startswith(HIDDEN)},
                "addresses": {"private": PRIVATE},
                **CERTIFIED,
            }
        },
        send={"server": {}},
        at=63,
    ),
]

ASKED_SERVERS = [
    _create(18, "server.description: Unknown field", description="x"),
    _create(19, "server.description: must be at most", description="x" * 256),
    refused(18, "PUT", ONE, {"server": {"description": "x"}}, 400, "description: Unknown field"),
    _create(31, "server.networks.0.tag: Unknown field", networks=[{"uuid": "x", "tag": "nic"}]),
    _create(32, "networks.0.tag: devices cannot be", networks=[{"uuid": "x", "tag": "nic"}]),
    _create(36, "networks: Not a valid list", networks="none"),
    _create(37, "server.networks: Missing data for required field"),
    _create(37, "server.networks: Not a valid list", networks="some"),
    _create(51, "server.tags: Unknown field", networks="none", tags=["a"]),
    _create(52, "server.tags.0: Tag 'a,b' is invalid", networks="none", tags=["a,b"]),
    _create(52, "server.tags: Longer than", networks="none", tags=["a"] * 51),
    _create(
        63,
        "trusted_image_certificates: must be null",
        networks="none",
        trusted_image_certificates=["x"],
    ),
    _listed(25, "tags=x&not-tags=y", WEB, BROKEN),
    _listed(26, "tags=x"),
    _listed(26, "tags-any=x,y"),
    _listed(26, "not-tags=x,y&not-tags-any=x", WEB, BROKEN),
    _listed(37, "status=nonsense"),
    refused(38, "GET", "/servers?status=nonsense", None, 400, "Invalid status value"),
    _listed(38, "status=active", WEB),
    _listed(38, "status=active&status=nonsense", WEB),
]

TAGS = [
    *(
        refused(25, method, f"{ONE}/tags{path}", send, 404, "API version 2.25 is not supported")
        for method, path, send in (
            ("GET", "", None),
            ("PUT", "", {"tags": []}),
            ("DELETE", "", None),
            ("GET", "/x", None),
            ("PUT", "/x", None),
            ("DELETE", "/x", None),
        )
    ),
    get(26, "rita", f"{ONE}/tags", {"tags": []}),
    refused(26, "GET", f"{ONE}/tags/x", None, 404, "has no tag 'x'"),
    refused(26, "DELETE", f"{ONE}/tags/x", None, 404, "has no tag 'x'"),
    refused(26, "PUT", f"{ONE}/tags/a,b", None, 400, "Tag 'a,b' is invalid"),
    refused(26, "PUT", f"{ONE}/tags/{'x' * 61}", None, 400, "is invalid"),
    refused(26, "PUT", f"{ONE}/tags", {"tags": ["a/b"]}, 400, "tags.0: Tag 'a/b' is invalid"),
    refused(26, "PUT", f"{ONE}/tags", {}, 400, "tags: Missing data"),
    refused(26, "PUT", f"/servers/{FAILED}/tags/x", None, 409, "Cannot 'update tag' .* error"),
    refused(26, "PUT", f"/servers/{BETA_SERVER}/tags/x", None, 404, "could not be found"),
    get(26, "alice", f"/servers/{BETA_SERVER}/tags", compute_fault(404, Like(".*")), 404),
    Case(
        "2.26 a reader's tag",
        "rita",
        "PUT",
        f"{COMPUTE}{ONE}/tags/x",
        403,
        compute_fault(403, NOT_ALLOWED),
        at=26,
    ),
]

LIVE = f"{ONE}/migrations"
LIVE_MIGRATIONS = [
    get(22, "root", LIVE, compute_fault(404, Like(".*not supported on.*")), 404),
    get(23, "root", LIVE, {"migrations": []}),
    get(23, "root", f"{LIVE}/1", compute_fault(404, Like("Migration 1 not found.*")), 404),
    get(23, "root", "/servers/none/migrations", compute_fault(404, Like(".*none.*")), 404),
    get(23, "alice", LIVE, compute_fault(403, NOT_ALLOWED), 403),
    *(
        Case(
            f"2.{at} live migration {method}",
            "root",
            method,
            f"{COMPUTE}{LIVE}/1{path}",
            404,
            compute_fault(404, Like(words)),
            send=send,
            at=at,
        )
        for at, method, path, send, words in (
            (21, "POST", "/action", {"force_complete": None}, ".*not supported on.*"),
            (22, "POST", "/action", {"force_complete": None}, "Migration 1 not found.*"),
            (23, "DELETE", "", None, ".*not supported on.*"),
            (24, "DELETE", "", None, "Migration 1 not found.*"),
        )
    ),
]


def _group(at: int, words: str, /, **group: Any) -> Case:
    body = {"server_group": {"name": "x", **group}}
    return refused(at, "POST", "/os-server-groups", body, 400, words)


GROUPS = [
    _group(14, "policies.0: Must be one of: affinity, anti-aff", policies=["soft-affinity"]),
    _group(15, "policies.0: Must be one of: .*soft-affinity", policies=["hard"]),
    _group(63, "policies: Missing data"),
    _group(63, "policy: Unknown field", policy="affinity"),
    _group(64, "policy: Missing data"),
    _group(64, "policies: Unknown field", policies=["affinity"]),
    _group(64, "rules.max_server_per_host", policy="affinity", rules={"max_server_per_host": 0}),
    _group(64, "rules: Only anti-aff", policy="affinity", rules={"max_server_per_host": 2}),
]


def _console(protocol: str, console_type: str) -> dict[str, Any]:
    return {"remote_console": {"protocol": protocol, "type": console_type}}


_SPICE = _console("spice", "spice-html5")
_NOT_HERE = "is not supported on this method"
_TOKEN = "/os-console-auth-tokens/none"
_VNC = {"os-getVNCConsole": {"type": "novnc"}}

#: URLs that are given are in tests.http.test_remote_consoles.
CONSOLES = [
    refused(5, "POST", f"{ONE}/remote-consoles", _SPICE, 404, _NOT_HERE),
    refused(6, "POST", f"{ONE}/remote-consoles", _SPICE, 400, "Unavailable console type spice"),
    refused(6, "POST", f"{ONE}/action", _VNC, 404, _NOT_HERE),
    get(30, "root", _TOKEN, compute_fault(404, "Token not found"), 404),
    get(31, "root", _TOKEN, compute_fault(404, "Token not found"), 404),
]

CASES: list[Case] = [
    *KEYPAIRS,
    *SHOWN_SERVERS,
    *ASKED_SERVERS,
    *TAGS,
    *LIVE_MIGRATIONS,
    *GROUPS,
    *CONSOLES,
]
