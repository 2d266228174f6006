"""Cases of Byre's own that change nothing."""

from typing import Any

from app.services.server_views import host_id
from tests.http.cases import Case, Like
from tests.http.table_refusals import GOOD
from tests.http.world import (
    ACTIVE,
    ALPHA,
    BETA_SERVER,
    BIG_IMAGE,
    LOST,
    NETWORK,
    PUBLIC_IMAGE,
    QUEUED_IMAGE,
    RUN,
    SUBNET,
)

THEN, LATER = "2026-11-23T03:33:44.123456Z", "2026-11-23T03:33:46.123456Z"

RUNNING = {
    "proof": "running",
    "state": "seen",
    "seen_at": LATER,
    "after_s": 0.5,
    "detail": "",
    "addresses": [],
}
UNKNOWN: dict[str, Any] = {
    "state": "unknown",
    "seen_at": None,
    "after_s": None,
    "detail": "",
    "addresses": [],
}

STAGES: list[dict[str, Any]] = [
    {
        "name": "validate",
        "side": "control",
        "attempt": 1,
        "state": "done",
        "queued_at": THEN,
        "started_at": "2026-11-23T03:33:44.623456Z",
        "finished_at": LATER,
        "queued_ms": 500.0,
        "duration_ms": 1500.0,
        "reason_code": None,
        "reason": None,
        "proofs": [],
    },
    {
        "name": "poll_boot",
        "side": "compute",
        "attempt": 1,
        "state": "done",
        "queued_at": LATER,
        "started_at": LATER,
        "finished_at": LATER,
        "queued_ms": 0.0,
        "duration_ms": 0.0,
        "reason_code": None,
        "reason": None,
        "proofs": [RUNNING],
    },
]

RUN_BODY = {
    "id": RUN,
    "pipeline": "create",
    "state": "done",
    "attempt": 1,
    "host_id": host_id(ALPHA, "host-1"),
    "request_id": "req-1",
    "reason_code": None,
    "reason": None,
    "created_at": THEN,
    "published_at": THEN,
    "finished_at": LATER,
    "deadline": "2026-11-23T04:33:44.123456Z",
    "duration_ms": 2000.0,
}
ATTEMPT = {
    "number": 1,
    "host_id": host_id(ALPHA, "host-1"),
    "state": "done",
    "started_at": THEN,
    "finished_at": LATER,
    "reason_code": None,
    "reason": None,
}
WORKERS = ("control@here", "compute@host-1")


def fault(status: int, title: str, message: Any, reason: str) -> dict[str, Any]:
    """Return Byre's form of an error."""
    return {"error": {"code": status, "message": message, "title": title, "reason": reason}}


DRIFT = "/byre/v1/drift"
HOSTS = [{"host": "host-1", "alive": True, "surveyed_at": None}]
SEEN = {"host": "host-1", "kind": "disk", "first_seen_at": THEN, "last_seen_at": LATER}
LACKED = {
    **SEEN,
    "direction": "missing",
    "name": ACTIVE,
    "server_id": ACTIVE,
    "state": "reported",
    "next_action": None,
    "next_action_at": None,
}
UNOWNED = {
    **SEEN,
    "direction": "unowned",
    "name": f"{LOST}.root.qcow2",
    "server_id": LOST,
    "state": "quarantined",
    "next_action": "remove",
    "next_action_at": "2026-11-24T03:33:46.123456Z",
}

CACHE = "/byre/v1/hypervisors/host-1/cache"
NO_HOST = "/byre/v1/hypervisors/nobody/cache"
CACHED = {
    "image_id": PUBLIC_IMAGE,
    "sha256": "a" * 64,
    "disk_format": "qcow2",
    "state": "ready",
    "reason": None,
    "size_bytes": 3 * 1024**3,
    "allocated_bytes": 3 * 1024**3 // 2,
    "used_at": THEN,
    "in_use": True,
}
UNKNOWN_HOST = fault(404, "Not Found", "No hypervisor is named nobody.", "not_found")


def _refused(name: str, body: Any, message: Any, status: int = 400, reason: str = "") -> Case:
    """Return the case of a warming that is refused."""
    title = {400: "Bad Request", 404: "Not Found", 409: "Conflict"}[status]
    answer = fault(status, title, message, reason or "bad_request")
    return Case(f"warming: {name}", "root", "POST", CACHE, status, answer, send=body)


WARMINGS = [
    Case("warming", "root", "POST", CACHE, 202, send={"image_id": PUBLIC_IMAGE}),
    Case("warming by list", "root", "POST", CACHE, 202, send={"image_ids": [BIG_IMAGE] * 2}),
    Case("warming: no host", "root", "POST", NO_HOST, 404, UNKNOWN_HOST, send={"image_id": LOST}),
    _refused("no image", {"image_id": LOST}, f"No image found with ID {LOST}", 404, "not_found"),
    _refused(
        "not active",
        {"image_id": QUEUED_IMAGE},
        f"Image {QUEUED_IMAGE} cannot be cached: its status is queued.",
        409,
        "conflict",
    ),
    _refused("nothing", {}, Like(".*image_id: Give either.*")),
    _refused("both", {"image_id": LOST, "image_ids": [LOST]}, Like(".*image_id: Give either.*")),
    _refused("none", {"image_ids": []}, Like(".*image_ids: .*between 1 and 100.*")),
    _refused("many", {"image_ids": [LOST] * 101}, Like(".*image_ids: .*between 1 and 100.*")),
    _refused("a word", {"image_id": "../etc"}, Like(".*image_id: Not a valid UUID.*")),
    _refused("a number", {"image_ids": 7}, Like(".*image_ids: Not a valid list.*")),
    _refused("a word in it", {"image_ids": ["x"]}, Like(".*image_ids.*Not a valid UUID.*")),
    _refused("more", {"image_id": LOST, "now": True}, Like(".*now: Unknown field.*")),
    Case(
        "warming for a member",
        "alice",
        "POST",
        CACHE,
        403,
        fault(403, "Forbidden", Like(".*byre:cache:warm.*"), "forbidden"),
        send={"image_id": PUBLIC_IMAGE},
    ),
]

FILE = f"/byre/v1/images/{PUBLIC_IMAGE}/file"
UPLOAD = f"/byre/v1/images/{PUBLIC_IMAGE}/upload"

PLAN = {
    "possible": True,
    "servers": [
        {
            "name": "new",
            "host_id": host_id(ALPHA, "host-1"),
            "addresses": [{"network_id": NETWORK, "subnet_id": SUBNET, "address": "10.77.0.2"}],
            "reason": None,
        }
    ],
    "hosts": 1,
    "rules": [
        {"rule": rule, "refuses": 0}
        for rule in (
            "zone",
            "host",
            "enabled",
            "elsewhere",
            "not_forced",
            "alive",
            "taken_back",
            "hears",
            "untried",
            "affinity",
            "anti_affinity",
            "aggregate_extra_specs",
            "tenant_isolation",
            "uefi",
            "vif_limits",
            "physical_networks",
            "dedicated_vcpus",
            "vcpus",
            "memory",
            "disk",
        )
    ],
    "stages": [
        {"name": "validate", "side": "control", "limit_s": 30.0},
        {"name": "schedule", "side": "control", "limit_s": 30.0},
        {"name": "build_resources", "side": "compute", "limit_s": 900.0},
        {"name": "define_domain", "side": "compute", "limit_s": 60.0},
        {"name": "launch", "side": "compute", "limit_s": 120.0},
        {"name": "poll_boot", "side": "compute", "limit_s": 3600.0},
    ],
}

CASES = [
    Case("plan", "alice", "POST", "/byre/v1/plan", 200, {"plan": PLAN}, send={"server": GOOD}),
    Case(
        "run",
        "alice",
        "GET",
        f"/byre/v1/servers/{ACTIVE}/run",
        200,
        {
            "run": {**RUN_BODY, "attempts": [ATTEMPT], "stages": STAGES},
            "earlier": [],
            "owed": [],
        },
    ),
    Case(
        "run for an operator",
        "root",
        "GET",
        f"/byre/v1/servers/{ACTIVE}/run",
        200,
        {
            "run": {
                **RUN_BODY,
                "host": "host-1",
                "attempts": [{**ATTEMPT, "host": "host-1"}],
                "stages": [
                    {**stage, "worker": worker}
                    for stage, worker in zip(STAGES, WORKERS, strict=True)
                ],
            },
            "earlier": [],
            "owed": [],
        },
    ),
    Case(
        "run of a foreign server",
        "alice",
        "GET",
        f"/byre/v1/servers/{BETA_SERVER}/run",
        404,
        fault(404, "Not Found", f"Instance {BETA_SERVER} could not be found.", "not_found"),
    ),
    Case(
        "boot",
        "alice",
        "GET",
        f"/byre/v1/servers/{ACTIVE}/boot",
        200,
        {
            "boot": {
                "server_id": ACTIVE,
                "state": "up",
                "wanted": None,
                "limit_s": None,
                "started_at": None,
                "ended_at": LATER,
                "proofs": [
                    RUNNING,
                    *(
                        {"proof": proof, **UNKNOWN}
                        for proof in ("address", "agent", "console", "first_boot")
                    ),
                ],
            }
        },
    ),
    Case(
        "boot in another project",
        "alice",
        "GET",
        f"/byre/v1/servers/{BETA_SERVER}/boot",
        404,
        fault(404, "Not Found", f"Instance {BETA_SERVER} could not be found.", "not_found"),
    ),
    Case("drift", "root", "GET", DRIFT, 200, {"drift": [LACKED, UNOWNED], "hosts": HOSTS}),
    Case(
        "drift of a server",
        "root",
        "GET",
        f"{DRIFT}?host=host-1&direction=unowned&kind=disk&server_id={LOST}",
        200,
        {"drift": [UNOWNED], "hosts": HOSTS},
    ),
    Case(
        "drift of an unknown host",
        "root",
        "GET",
        f"{DRIFT}?host=nobody",
        200,
        {"drift": [], "hosts": []},
    ),
    Case(
        "drift of no direction",
        "root",
        "GET",
        f"{DRIFT}?direction=sideways",
        400,
        fault(400, "Bad Request", Like(".*direction: Must be one of: .*"), "bad_request"),
    ),
    Case(
        "drift for a member",
        "alice",
        "GET",
        DRIFT,
        403,
        fault(403, "Forbidden", Like(".*byre:drift:list.*"), "forbidden"),
    ),
    Case(
        "cache",
        "root",
        "GET",
        CACHE,
        200,
        {
            "host": "host-1",
            "alive": True,
            "reported_at": THEN,
            "allocated_bytes": 3 * 1024**3 // 2,
            "images": [CACHED],
        },
    ),
    Case("cache of no host", "root", "GET", NO_HOST, 404, UNKNOWN_HOST),
    Case(
        "cache for a member",
        "alice",
        "GET",
        CACHE,
        403,
        fault(403, "Forbidden", Like(".*byre:cache:list.*"), "forbidden"),
    ),
    *WARMINGS,
    Case(
        "image without ticket",
        None,
        "GET",
        FILE,
        400,
        fault(
            400,
            "Bad Request",
            "Invalid input for field/attribute ticket: Missing data for required field.",
            "bad_request",
        ),
    ),
    Case(
        "image with a false ticket",
        None,
        "GET",
        f"{FILE}?ticket=WyJ4IiwxXQ.x",
        403,
        fault(403, "Forbidden", "The ticket is not valid.", "forbidden"),
    ),
    Case(
        "upload without ticket",
        None,
        "PUT",
        UPLOAD,
        400,
        fault(
            400,
            "Bad Request",
            "Invalid input for field/attribute ticket: Missing data for required field.",
            "bad_request",
        ),
    ),
    Case(
        "upload with a false ticket",
        None,
        "PUT",
        f"{UPLOAD}?ticket=WyJ4IiwxXQ.x",
        403,
        fault(403, "Forbidden", "The ticket is not valid.", "forbidden"),
        with_headers={"Content-Type": "application/octet-stream"},
    ),
    Case(
        "state of an upload with a false ticket",
        None,
        "GET",
        f"{UPLOAD}?ticket=WyJ4IiwxXQ.x",
        403,
        fault(403, "Forbidden", "The ticket is not valid.", "forbidden"),
    ),
    Case("health", None, "GET", "/healthz", 200, {"status": "ok", "database": "ok"}),
    Case(
        "readiness",
        None,
        "GET",
        "/readyz",
        200,
        {"status": "ready", "database": "ok", "broker": "ok", "control": "ok"},
    ),
    Case(
        "metrics",
        None,
        "GET",
        "/metrics",
        200,
        Like(
            r".*byre_servers\{status=\"ACTIVE\"\} 2\.0.*"
            r"byre_runs\{pipeline=\"create\",state=\"done\"\} 1\.0.*"
            r"byre_hypervisors\{state=\"alive\"\} 1\.0.*"
            r"byre_oldest_queued_stage_seconds 0\.0.*"
        ),
    ),
    Case("documentation", None, "GET", "/docs", 200, Like(".*docs/assets/swagger-ui-bundle.js.*")),
    Case("its start", None, "GET", "/docs/start.js", 200, Like(".*openapi.json.*")),
    Case("its style", None, "GET", "/docs/assets/swagger-ui.css", 200, Like(".*swagger-ui.*")),
    Case(
        "nothing else",
        None,
        "GET",
        "/docs/assets/..%2f__init__.py",
        404,
        fault(404, "Not Found", "The resource could not be found.", "http"),
    ),
    Case(
        "nothing here",
        None,
        "GET",
        "/byre/v1/nothing",
        404,
        fault(404, "Not Found", "The resource could not be found.", "http"),
    ),
]
