"""Cases of server groups and scheduler hints that change nothing."""

from typing import Any

from tests.http.cases import Case, Like, compute_fault
from tests.http.table_compute import NOT_ALLOWED
from tests.http.table_refusals import GOOD
from tests.http.world import BETA_SERVER

GROUPS = "/compute/v2.1/os-server-groups"
SERVERS = "/compute/v2.1/servers"
NOWHERE = "00000000-0000-4000-8000-00000000dead"
GROUP = {"name": "web", "policies": ["anti-affinity"]}


def _bad(case: str, message: str, **changes: Any) -> Case:
    answer = compute_fault(400, Like(f".*{message}.*"))
    body = {"server_group": {**GROUP, **changes}}
    return Case(f"server group: {case}", "alice", "POST", GROUPS, 400, answer, send=body)


def _hint(name: str, message: str, key: str = "os:scheduler_hints", **hints: Any) -> Case:
    answer = compute_fault(400, Like(f".*{message}.*"))
    body = {"server": GOOD, key: hints}
    return Case(f"hint: {name}", "alice", "POST", SERVERS, 400, answer, send=body)


def _missing(group: str) -> dict[str, Any]:
    return compute_fault(404, f"Instance group {group} could not be found.")


def _refused(who: str, method: str, path: str = "", send: Any = None) -> Case:
    answer = compute_fault(403, NOT_ALLOWED)
    return Case(f"{who}'s {method} of groups", who, method, f"{GROUPS}{path}", 403, answer, send)


CASES = [
    Case("server groups", "rita", "GET", GROUPS, 200, {"server_groups": []}),
    Case(
        "server groups of all projects",
        "root",
        "GET",
        f"{GROUPS}?all_projects=True&limit=5&offset=2",
        200,
        {"server_groups": []},
    ),
    Case(
        "server groups of all projects for a member",
        "alice",
        "GET",
        f"{GROUPS}?all_projects=True",
        403,
        compute_fault(403, Like(".*server_groups:list:all_projects.*")),
    ),
    Case("a group by name", "rita", "GET", f"{GROUPS}/web", 404, _missing("web")),
    Case("no such group", "alice", "DELETE", f"{GROUPS}/{NOWHERE}", 404, _missing(NOWHERE)),
    _refused("rita", "POST", send={"server_group": GROUP}),
    _refused("rita", "DELETE", f"/{NOWHERE}"),
    _bad("blank name", "name: must not begin or end with a blank", name=" web"),
    _bad("no policy", "policies", policies=[]),
    _bad("two policies", "policies", policies=["affinity", "anti-affinity"]),
    _bad("unknown policy", "policies", policies=["soft-affinity"]),
    _bad("a later field", "policy: Unknown field", policy="affinity"),
    _hint("group by name", "os:scheduler_hints.group: Not a valid UUID", group="web"),
    _hint(
        "no such group",
        f"group: instance group {NOWHERE} could not be found",
        "OS-SCH-HNT:scheduler_hints",
        group=NOWHERE,
    ),
    _hint("unknown", "os:scheduler_hints.query: Unknown field", query="[]"),
    _hint("no server", "os:scheduler_hints.same_host: Not a valid UUID", same_host="web"),
    _hint("many", "different_host: names more than 100", different_host=[NOWHERE] * 101),
    _hint(
        "a foreign server",
        f"different_host: instance {BETA_SERVER} could not be found",
        different_host=[BETA_SERVER],
    ),
]
