"""Cases of compute's gates that change nothing: what is there at a microversion, and not below."""

from typing import Any

from app.services.server_views import host_id
from tests.http.cases import BASE, Case, Like, compute_fault
from tests.http.table_compute import (
    ABSOLUTE,
    BROKEN,
    KEY,
    NANO,
    NOT_ALLOWED,
    ON_HOST,
    REF,
    SERVICE,
    WEB,
)
from tests.http.table_refusals import GOOD
from tests.http.table_servers import EVENTS, HIDDEN, LATER, LIMITS, MADE, PRIVATE
from tests.http.world import ACTIVE, ALICE, ALPHA, BETA_SERVER, BOB, FAILED, GONE, HOST

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

_TAGGED_DISK = {
    "uuid": GOOD["imageRef"],
    "boot_index": 0,
    "source_type": "image",
    "destination_type": "local",
    "tag": "root",
}

ASKED_SERVERS = [
    _create(18, "server.description: Unknown field", description="x"),
    _create(19, "server.description: must be at most", description="x" * 256),
    refused(18, "PUT", ONE, {"server": {"description": "x"}}, 400, "description: Unknown field"),
    _create(31, "server.networks.0.tag: Unknown field", networks=[{"uuid": "x", "tag": "nic"}]),
    _create(32, "networks.0.tag: Tag 'a,b' is invalid", networks=[{"uuid": "x", "tag": "a,b"}]),
    _create(37, "networks.0.tag: Unknown field", networks=[{"uuid": "x", "tag": "nic"}]),
    _create(42, "networks.0.tag: Tag '' is invalid", networks=[{"uuid": "x", "tag": ""}]),
    _create(41, "v2.0.tag: Unknown field", networks="none", block_device_mapping_v2=[_TAGGED_DISK]),
    *(
        _create(
            at,
            "v2.0.tag: Tag 'a/b' is invalid",
            networks=networks,
            block_device_mapping_v2=[{**_TAGGED_DISK, "tag": "a/b"}],
        )
        for at, networks in ((32, []), (42, "none"))
    ),
    _create(33, "v2.0.tag: Unknown field", block_device_mapping_v2=[_TAGGED_DISK]),
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

_DUMP = {"trigger_crash_dump": None}
CRASH_DUMP = [
    refused(16, "POST", f"{ONE}/action", _DUMP, 404, "is not supported on this method"),
    refused(17, "POST", f"{ONE}/action", {"trigger_crash_dump": {}}, 400, "must be null"),
]


def _move(at: int, words: str, **action: Any) -> Case:
    body = {name.replace("live", "os-migrateLive"): said for name, said in action.items()}
    return refused(at, "POST", f"{ONE}/action", body, 400, words)


_ANYWHERE = {"host": None, "block_migration": False}
_WITH_DISKS = {**_ANYWHERE, "disk_over_commit": False}
MOVES = [
    _move(55, "migrate: must be null", migrate={"host": "host-2"}),
    _move(56, "migrate.host: is not a host", migrate={"host": "host 2"}),
    _move(56, "migrate.host: Length must be", migrate={"host": ""}),
    _move(56, "migrate.disk: Unknown field", migrate={"disk": 1}),
    _move(56, "migrate", migrate="host-2"),
    _move(24, "os-migrateLive: ", live=None),
    _move(24, "os-migrateLive.host: Missing data", live={}),
    _move(24, "os-migrateLive.disk_over_commit: Missing data", live=_ANYWHERE),
    _move(24, "block_migration: Not a valid", live={**_WITH_DISKS, "block_migration": "auto"}),
    _move(25, "block_migration: Not a valid", live={**_ANYWHERE, "block_migration": "no way"}),
    _move(25, "block_migration: Missing data", live={"host": None}),
    _move(25, "disk_over_commit: Unknown field", live=_WITH_DISKS),
    _move(29, "force: Unknown field", live={**_ANYWHERE, "force": True}),
    _move(30, "force: Can't force", live={**_ANYWHERE, "force": True}),
    _move(13, "evacuate.onSharedStorage: Missing data", evacuate={}),
    _move(14, "evacuate.onSharedStorage: Unknown field", evacuate={"onSharedStorage": True}),
    _move(14, "evacuate.host: is not a host", evacuate={"host": "a/b"}),
    _move(28, "evacuate.force: Unknown field", evacuate={"force": False}),
    _move(29, "evacuate.force: Can't force", evacuate={"force": True}),
    _move(29, "evacuate: ", evacuate=None),
]


def _attach(at: int, words: str, tag: str = "nic") -> Case:
    body = {"interfaceAttachment": {"tag": tag}}
    return refused(at, "POST", f"{ONE}/os-interface", body, 400, words)


ATTACHED = [
    _attach(48, "interfaceAttachment.tag: Unknown field"),
    _attach(49, "interfaceAttachment.tag: Tag 'a,b' is invalid", tag="a,b"),
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


def _without(whole: dict[str, Any], *words: str) -> dict[str, Any]:
    return {name: value for name, value in whole.items() if not any(w in name for w in words)}


_OF_NETWORKS = ("ecurity", "loating")


def _limits(at: int, *gone: str) -> Case:
    body = {"limits": {"rate": [], "absolute": _without(ABSOLUTE, *gone)}}
    return get(at, "alice", "/limits", body)


def _quotas(at: int, *gone: str) -> Case:
    body = {"quota_set": {"id": ALPHA, **_without(LIMITS, *gone)}}
    return get(at, "rita", f"/os-quota-sets/{ALPHA}", body)


NUMBERS = [
    _limits(35),
    _limits(36, *_OF_NETWORKS),
    _limits(39, *_OF_NETWORKS, "ImageMeta"),
    _limits(57, *_OF_NETWORKS, "ImageMeta", "Personality"),
    _quotas(35),
    _quotas(36, "security", "floating", "fixed"),
    _quotas(57, "security", "floating", "fixed", "injected"),
    Case(
        "2.57 no quota of files",
        "root",
        "PUT",
        f"{COMPUTE}/os-quota-sets/{ALPHA}",
        400,
        compute_fault(400, Like(".*injected_files: Unknown field.*")),
        send={"quota_set": {"injected_files": 9}},
        at=57,
    ),
]

DESCRIBED_NANO = {**NANO, "description": None}
FLAVORS = [
    get(54, "alice", "/flavors/42", {"flavor": NANO}),
    get(55, "alice", "/flavors/42", {"flavor": DESCRIBED_NANO}),
    get(61, "alice", "/flavors/42", {"flavor": {**DESCRIBED_NANO, "extra_specs": {}}}),
    refused(54, "PUT", "/flavors/42", {"flavor": {"description": "x"}}, 404, "2.54 is not sup"),
    refused(55, "PUT", "/flavors/42", {"flavor": {"description": "x"}}, 403, "Policy"),
    Case(
        "2.55 describe no flavor",
        "root",
        "PUT",
        f"{COMPUTE}/flavors/none",
        404,
        compute_fault(404, "Flavor none could not be found."),
        send={"flavor": {"description": "x"}},
        at=55,
    ),
]

HYPERVISORS_PATH = "/os-hypervisors"
BRIEF = {"hypervisor_hostname": "host-1", "state": "up", "status": "enabled"}
NUMBERED, NAMED = {"id": 1, **BRIEF}, {"id": HOST, **BRIEF}
THERE = [{"uuid": one, "name": f"byre-{one}"} for one in (BETA_SERVER, ACTIVE)]


def _hosts(at: int, query: str, *found: dict[str, Any], **more: Any) -> Case:
    return get(at, "root", f"{HYPERVISORS_PATH}{query}", {"hypervisors": list(found), **more})


def _no_host(at: int, path: str, status: int, words: str) -> Case:
    answer = compute_fault(status, Like(f".*{words}.*"))
    return get(at, "root", f"{HYPERVISORS_PATH}{path}", answer, status)


def _next(query: str, marker: object) -> list[dict[str, str]]:
    href = f"{BASE}{COMPUTE}{HYPERVISORS_PATH}?{query}&marker={marker}"
    return [{"rel": "next", "href": href}]


HYPERVISORS = [
    _hosts(32, "?limit=1&marker=none", NUMBERED),
    _hosts(33, "?limit=1", NUMBERED, hypervisors_links=_next("limit=1", 1)),
    _hosts(33, "?limit=1&marker=1"),
    _no_host(33, "?marker=7", 400, "Marker .7. not found"),
    _hosts(52, "?with_servers=True&hypervisor_hostname_pattern=none", NUMBERED),
    _hosts(53, "", NAMED),
    _hosts(53, "?limit=1", NAMED, hypervisors_links=_next("limit=1", HOST)),
    _hosts(53, "?hypervisor_hostname_pattern=ost-", NAMED),
    _hosts(53, "?with_servers=True", {**NAMED, "servers": THERE}),
    _no_host(53, "?hypervisor_hostname_pattern=none", 404, "No hypervisor matching 'none'"),
    _no_host(53, "?hypervisor_hostname_pattern=host&limit=1", 400, "Paging over"),
    _no_host(53, "?colour=red", 400, "colour: Unknown field"),
    _no_host(53, "/1", 400, "Invalid uuid 1"),
    _no_host(53, f"/{ACTIVE}", 404, "could not be found"),
]

SERVICE_PATH = "/os-services"
UPDATED = {**SERVICE, "forced_down": False}


def _service(at: int, path: str, send: Any, status: int, words: str) -> Case:
    answer = compute_fault(status, Like(f".*{words}.*"))
    where = f"{COMPUTE}{SERVICE_PATH}/{path}"
    return Case(f"2.{at} {path} {words}", "root", "PUT", where, status, answer, send=send, at=at)


COMPUTE_SERVICES = [
    get(10, "root", SERVICE_PATH, {"services": [SERVICE]}),
    get(11, "root", SERVICE_PATH, {"services": [UPDATED]}),
    get(53, "root", SERVICE_PATH, {"services": [{**UPDATED, "id": HOST}]}),
    _service(10, "force-down", {**REF, "forced_down": True}, 404, "2.10 is not supported"),
    _service(11, "force-down", REF, 400, "forced_down: Missing data"),
    _service(53, "force-down", {**REF, "forced_down": True}, 404, "2.53 is not supported"),
    _service(53, "enable", REF, 404, "2.53 is not supported"),
    _service(52, HOST, {"status": "enabled"}, 404, "2.52 is not supported"),
    _service(53, HOST, {}, 400, "No updates were requested"),
    _service(53, HOST, {"status": "enabled", "disabled_reason": "x"}, 400, "disabled_reason: is"),
    _service(53, HOST, {"status": "off"}, 400, "status: Must be one of"),
    _service(53, "1", {"status": "enabled"}, 400, "Invalid uuid 1"),
    _service(53, ACTIVE, {"status": "enabled"}, 404, "could not be found"),
]

ACTIONS_PATH = f"{ONE}/os-instance-actions"
CHANGED_AT = {**MADE, "updated_at": LATER}
ON_CONTROL = {"hostId": ""}
ON_COMPUTE = {"hostId": host_id(ALPHA, "host-1")}
PLACED = [{**EVENTS[0], **ON_COMPUTE}, {**EVENTS[1], **ON_CONTROL}]
NEXT = [{"rel": "next", "href": f"{BASE}{COMPUTE}{ACTIONS_PATH}?limit=1&marker=req-1"}]
DONE = [
    get(20, "alice", f"/servers/{GONE}/os-instance-actions", compute_fault(404, Like(".*")), 404),
    get(21, "alice", f"/servers/{GONE}/os-instance-actions", {"instanceActions": []}),
    get(57, "alice", f"{ACTIONS_PATH}?limit=0&colour=red", {"instanceActions": [MADE]}),
    get(58, "alice", ACTIONS_PATH, {"instanceActions": [CHANGED_AT]}),
    get(58, "alice", f"{ACTIONS_PATH}?limit=1", {"instanceActions": [CHANGED_AT], "links": NEXT}),
    get(58, "alice", f"{ACTIONS_PATH}?limit=1&marker=req-1", {"instanceActions": []}),
    get(
        58,
        "alice",
        f"{ACTIONS_PATH}?changes-since=2030-01-01T00:00:00Z",
        {"instanceActions": []},
    ),
    refused(58, "GET", f"{ACTIONS_PATH}?marker=req-9", None, 400, "marker .req-9. not found"),
    refused(58, "GET", f"{ACTIONS_PATH}?colour=red", None, 400, "colour: Unknown field"),
    get(
        62,
        "alice",
        f"{ACTIONS_PATH}/req-1",
        {"instanceAction": {**CHANGED_AT, "events": PLACED}},
    ),
    get(
        62,
        "root",
        f"{ACTIONS_PATH}/req-1",
        {
            "instanceAction": {
                **CHANGED_AT,
                "events": [{**PLACED[0], "host": "host-1"}, {**PLACED[1], "host": None}],
            }
        },
    ),
]

TYPED = {**KEY, "type": "ssh"}
MORE_KEYPAIRS = [
    get(9, "root", f"/os-keypairs?user_id={ALICE}", {"keypairs": []}),
    get(10, "root", f"/os-keypairs?user_id={ALICE}", {"keypairs": [{"keypair": TYPED}]}),
    refused(10, "GET", f"/os-keypairs?user_id={BOB}", None, 403, "keypairs:list:others"),
    refused(10, "GET", f"/os-keypairs/key?user_id={BOB}", None, 403, "keypairs:show:others"),
    refused(10, "DELETE", f"/os-keypairs/key?user_id={BOB}", None, 403, "keypairs:delete:others"),
    refused(10, "POST", "/os-keypairs", _keypair(user_id=BOB), 403, "keypairs:create:others"),
    refused(9, "POST", "/os-keypairs", _keypair(user_id=BOB), 400, "user_id: Unknown field"),
    Case(
        "2.10 a keypair of nobody",
        "root",
        "POST",
        f"{COMPUTE}/os-keypairs",
        400,
        compute_fault(400, "user_id: user none could not be found."),
        send=_keypair(user_id="none"),
        at=10,
    ),
    get(34, "alice", "/os-keypairs?limit=0", {"keypairs": [{"keypair": TYPED}]}),
    get(35, "alice", "/os-keypairs?limit=0", {"keypairs": []}),
    get(35, "alice", "/os-keypairs?marker=key", {"keypairs": []}),
    get(
        35,
        "alice",
        "/os-keypairs?limit=1",
        {
            "keypairs": [{"keypair": TYPED}],
            "keypairs_links": [
                {"rel": "next", "href": f"{BASE}{COMPUTE}/os-keypairs?limit=1&marker=key"}
            ],
        },
    ),
    refused(35, "GET", "/os-keypairs?marker=none", None, 400, "marker .none. not found"),
]

CASES: list[Case] = [
    *MORE_KEYPAIRS,
    *NUMBERS,
    *FLAVORS,
    *HYPERVISORS,
    *COMPUTE_SERVICES,
    *DONE,
    *KEYPAIRS,
    *SHOWN_SERVERS,
    *ASKED_SERVERS,
    *TAGS,
    *LIVE_MIGRATIONS,
    *GROUPS,
    *CONSOLES,
    *CRASH_DUMP,
    *MOVES,
    *ATTACHED,
]
