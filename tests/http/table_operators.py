"""Cases of what operators are shown of hosts and usage; extensions; other services' events."""

from typing import Any

from app.api.compute.extensions import EXTENSIONS
from tests.http.cases import BASE, Case, Like, compute_fault
from tests.http.table_compute import HYPERVISOR, NOT_ALLOWED
from tests.http.world import ACTIVE, ALPHA, BETA, BETA_SERVER, FAILED, HOST, THEN_MICRO, uid

V21 = "/compute/v2.1"
HOSTS, USAGE, AUDITS = (
    f"{V21}/os-hosts",
    f"{V21}/os-simple-tenant-usage",
    "os-instance_usage_audit_log",
)
EVENTS = f"{V21}/os-server-external-events"

ONE_HOST = {"host_name": "host-1", "service": "compute", "zone": "nova"}
NO_HOST = "Compute host nope could not be found."
#: Four hours and a half of a day, within which the servers came up.
SPAN = "start=2026-11-23T00:00:00&end=2026-11-23T04:33:44.123456"
_QUOTED = "?" + SPAN.replace(":", "%3A")

LOG = {
    "hosts_not_run": ["host-1"],
    "log": {},
    "num_hosts": 1,
    "num_hosts_done": 0,
    "num_hosts_not_run": 1,
    "num_hosts_running": 0,
    "overall_status": "0 of 1 hosts done. 0 errors.",
    "period_beginning": "2025-12-01 00:00:00",
    "period_ending": "2026-01-01 00:00:00",
    "total_errors": 0,
    "total_instances": 0,
}


class _Any:
    """Equal to every number: seconds until now."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, int)

    def __hash__(self) -> int:
        return 0


class _Extensions:
    """Equal to a list of them by their aliases."""

    def __eq__(self, other: object) -> bool:
        listed = other["extensions"] if isinstance(other, dict) else []
        return [one["alias"] for one in listed] == sorted(EXTENSIONS)

    def __hash__(self) -> int:
        return 0


def _used(server_id: str, project: str, name: str, flavor: str = "m1.nano") -> dict[str, Any]:
    return {
        "instance_id": server_id,
        "name": name,
        "hours": 1.0,
        "tenant_id": project,
        "flavor": flavor,
        "memory_mb": 256,
        "local_gb": 1,
        "vcpus": 1,
        "started_at": THEN_MICRO,
        "ended_at": None,
        "state": "active",
        "uptime": _Any(),
    }


def _sums(project: str) -> dict[str, Any]:
    return {
        "tenant_id": project,
        "start": "2026-11-23T00:00:00.000000",
        "stop": "2026-11-23T04:33:44.123456",
        "total_hours": 1.0,
        "total_memory_mb_usage": 256.0,
        "total_vcpus_usage": 1.0,
        "total_local_gb_usage": 1.0,
    }


DETAILED = {**_sums(ALPHA), "server_usages": [_used(ACTIVE, ALPHA, "web")]}


def _usage(at: int, who: str, path: str, status: int, body: Any) -> Case:
    return Case(f"2.{at} {path}", who, "GET", f"{USAGE}{path}", status, body, at=at)


def _more(name: str, path: str) -> dict[str, Any]:
    """Return the link to what comes after the server that the path ends with."""
    return {name: [{"rel": "next", "href": f"{BASE}{USAGE}{path}"}]}


_ONE_OF = f"?{SPAN}&limit=1"
USAGE_PAGES = [
    _usage(39, "root", f"{_ONE_OF}&marker=x", 200, {"tenant_usages": [_sums(ALPHA), _sums(BETA)]}),
    _usage(
        40,
        "root",
        _ONE_OF,
        200,
        {
            "tenant_usages": [_sums(ALPHA)],
            **_more("tenant_usages_links", f"{_QUOTED}&limit=1&marker={ACTIVE}"),
        },
    ),
    _usage(40, "root", f"?{SPAN}&marker={ACTIVE}", 200, {"tenant_usages": [_sums(BETA)]}),
    _usage(
        40,
        "rita",
        f"/{ALPHA}{_ONE_OF}",
        200,
        {
            "tenant_usage": DETAILED,
            **_more("tenant_usage_links", f"/{ALPHA}{_QUOTED}&limit=1&marker={ACTIVE}"),
        },
    ),
    _usage(40, "rita", f"/{ALPHA}?{SPAN}&marker={ACTIVE}", 200, {"tenant_usage": {}}),
    *(
        _usage(40, "root", f"/{ALPHA}?{query}", 400, compute_fault(400, Like(f".*{words}.*")))
        for query, words in (
            ("marker=none", "marker .none. not found"),
            # Another project's server is in no page of this one.
            (f"{SPAN}&marker={BETA_SERVER}", "marker .* not found"),
            ("limit=-1", "limit"),
            ("limit=x", "limit"),
        )
    ),
]


def _resource(project: str, cpu: int, memory_mb: int, disk_gb: int) -> dict[str, Any]:
    sizes = {"cpu": cpu, "memory_mb": memory_mb, "disk_gb": disk_gb}
    return {"resource": {"host": "host-1", "project": project, **sizes}}


def _get(who: str, path: str, body: Any, status: int = 200) -> Case:
    return Case(f"{path} for {who}", who, "GET", path, status, body)


def _refused(who: str, method: str, path: str, status: int, words: str, send: Any = None) -> Case:
    body = compute_fault(status, Like(f".*{words}.*"))
    if status == 501:
        body = {"notImplemented": {"code": 501, "message": Like(f".*{words}.*")}}
    name = f"{method} {path} of {who}: {str(send)[:60]}, {status}"
    return Case(name, who, method, path, status, body, send=send)


def _told(*events: tuple[str, str, int, str]) -> dict[str, Any]:
    return {
        "events": [
            {"name": name, "server_uuid": server, "code": code, "status": status}
            for name, server, code, status in events
        ]
    }


def _event(server_id: str, **more: Any) -> dict[str, Any]:
    return {"name": "network-changed", "server_uuid": server_id, **more}


CASES: list[Case] = [
    _get("root", HOSTS, {"hosts": [ONE_HOST]}),
    _get("root", f"{HOSTS}?zone=nova&service=compute", {"hosts": [ONE_HOST]}),
    _get("root", f"{HOSTS}?zone=east", {"hosts": []}),
    _get(
        "root",
        f"{HOSTS}/host-1",
        {
            "host": [
                _resource("(total)", 8, 16_384, 100),
                _resource("(used_now)", 1, 256, 1),
                _resource("(used_max)", 0, 0, 0),
            ]
        },
    ),
    _refused("root", "GET", f"{HOSTS}/nope", 404, NO_HOST),
    _refused("root", "PUT", f"{HOSTS}/nope", 404, NO_HOST, {"status": "enable"}),
    _refused("root", "PUT", f"{HOSTS}/host-1", 501, "host disabled status", {"status": "disable"}),
    _refused(
        "root", "PUT", f"{HOSTS}/host-1", 501, "maintenance mode", {"maintenance_mode": "enable"}
    ),
    _refused("root", "PUT", f"{HOSTS}/host-1", 400, "status: Must be one of", {"status": "off"}),
    _refused("root", "PUT", f"{HOSTS}/host-1", 400, "status: must hold", {}),
    _refused("root", "GET", f"{HOSTS}/host-1/reboot", 501, "power management"),
    _refused("root", "GET", f"{HOSTS}/nope/startup", 404, NO_HOST),
    _refused("root", "GET", f"{HOSTS}/nope/shutdown", 404, NO_HOST),
    *(
        Case(
            f"a member's {method} {path}",
            "alice",
            method,
            f"{V21}/{path}",
            403,
            compute_fault(403, NOT_ALLOWED),
            send=send,
        )
        for method, path, send in (
            ("GET", "os-hosts", None),
            ("GET", "os-hosts/nope", None),
            ("PUT", "os-hosts/nope", {"status": "enable"}),
            ("GET", "os-hosts/nope/shutdown", None),
            ("GET", "os-hypervisors/host/search", None),
            ("GET", "os-hypervisors/host/servers", None),
            ("DELETE", "os-services/1", None),
            ("GET", "os-simple-tenant-usage", None),
            ("GET", f"os-simple-tenant-usage/{BETA}", None),
            ("GET", AUDITS, None),
            ("GET", f"{AUDITS}/2026-01-02", None),
            ("POST", "os-server-external-events", {"events": [_event(ACTIVE)]}),
        )
    ),
    _get("root", f"{V21}/os-hypervisors/ost/search", {"hypervisors": [HYPERVISOR]}),
    _get(
        "root",
        f"{V21}/os-hypervisors/host-1/servers",
        {
            "hypervisors": [
                {
                    **HYPERVISOR,
                    "servers": [
                        {"name": f"byre-{one}", "uuid": one} for one in (BETA_SERVER, ACTIVE)
                    ],
                }
            ]
        },
    ),
    *(
        _refused(
            "root", "GET", f"{V21}/os-hypervisors/%25/{what}", 404, "No hypervisor matching '%'"
        )
        for what in ("search", "servers")
    ),
    _refused("root", "DELETE", f"{V21}/os-services/1", 409, "is not given up"),
    _refused("root", "DELETE", f"{V21}/os-services/9", 404, "Service 9 not found."),
    _refused("root", "DELETE", f"{V21}/os-services/{HOST}", 400, "is no number"),
    _get("root", f"{USAGE}?{SPAN}", {"tenant_usages": [_sums(ALPHA), _sums(BETA)]}),
    _get(
        "root",
        f"{USAGE}?{SPAN}&detailed=1",
        {
            "tenant_usages": [
                DETAILED,
                {**_sums(BETA), "server_usages": [_used(BETA_SERVER, BETA, "foreign")]},
            ]
        },
    ),
    _get("root", f"{USAGE}?start=2026-01-01&end=2026-01-02", {"tenant_usages": []}),
    *USAGE_PAGES,
    _get("rita", f"{USAGE}/{ALPHA}?{SPAN}", {"tenant_usage": DETAILED}),
    _get("root", f"{USAGE}/{ALPHA}?{SPAN}", {"tenant_usage": DETAILED}),
    _get("root", f"{USAGE}/{uid(99)}", {"tenant_usage": {}}),
    _refused("rita", "GET", f"{USAGE}/{ALPHA}?start=yesterday", 400, "start"),
    _refused("rita", "GET", f"{USAGE}/{ALPHA}?end=0001-01-01T00:00:00", 400, "end"),
    _refused(
        "rita", "GET", f"{USAGE}/{ALPHA}?start=2026-02-01&end=2026-01-01", 400, "Invalid start time"
    ),
    _get("root", f"{V21}/{AUDITS}/2026-01-31%2010:00:00", {"instance_usage_audit_log": LOG}),
    _get(
        "root",
        f"{V21}/{AUDITS}",
        {
            "instance_usage_audit_logs": {
                **LOG,
                "period_beginning": Like(r"\d{4}-\d\d-01 00:00:00"),
                "period_ending": Like(r"\d{4}-\d\d-01 00:00:00"),
            }
        },
    ),
    _refused("root", "GET", f"{V21}/{AUDITS}/soon", 400, "Invalid timestamp for date soon"),
    _refused("root", "GET", f"{V21}/{AUDITS}/0001-01-01", 400, "Invalid timestamp"),
    _get("rita", f"{V21}/extensions", _Extensions()),
    _get(
        "rita",
        f"{V21}/extensions/os-aggregates",
        {
            "extension": {
                "alias": "os-aggregates",
                "name": "Aggregates",
                "description": "Hosts that belong together.",
                "namespace": "http://docs.openstack.org/compute/ext/fake_xml",
                "updated": "2014-12-03T00:00:00Z",
                "links": [],
            }
        },
    ),
    _refused("rita", "GET", f"{V21}/extensions/os-cells", 404, "Extension os-cells could not"),
    Case(
        "event",
        "root",
        "POST",
        EVENTS,
        200,
        {"events": [{**_event(ACTIVE, tag="port"), "code": 200, "status": "completed"}]},
        send={"events": [_event(ACTIVE, tag="port")]},
    ),
    Case(
        "events of which some are not taken",
        "root",
        "POST",
        EVENTS,
        207,
        _told(
            ("network-changed", ACTIVE, 200, "in-progress"),
            ("network-changed", FAILED, 422, "failed"),
            ("network-changed", uid(99), 404, "failed"),
        ),
        send={
            "events": [
                _event(ACTIVE, status="in-progress"),
                _event(FAILED),
                _event(uid(99)),
            ]
        },
    ),
    _refused("root", "POST", EVENTS, 404, "No instances found", {"events": [_event(uid(99))]}),
    _refused("root", "POST", EVENTS, 400, "events", {"events": []}),
    _refused("root", "POST", EVENTS, 400, "server_uuid", {"events": [_event("x")]}),
    _refused("root", "POST", EVENTS, 400, "name", {"events": [{**_event(ACTIVE), "name": "rain"}]}),
]
