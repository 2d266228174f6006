"""Cases of what an owner says of a server: its name, its metadata; and of its addresses."""

from typing import Any

from tests.http.cases import Case, Like, compute_fault
from tests.http.table_compute import NOT_ALLOWED, SERVERS, WEB, missing
from tests.http.world import ACTIVE, BETA_SERVER, FAILED

ONE = f"{SERVERS}/{ACTIVE}"
META = f"{ONE}/metadata"
PRIVATE = [{"version": 4, "addr": "10.77.0.5"}]
#: What who has changed a server is not shown.
_HIDDEN = ("OS-EXT-", "OS-SRV-USG", "os-extended", "config_drive", "key_name", "security_groups")
CHANGED = {
    **{key: value for key, value in WEB.items() if not key.startswith(_HIDDEN)},
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


ITEM = {"meta": {"role": "db"}}
CASES: list[Case] = [
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
    *(
        Case(f"servers by {query}", "alice", "GET", f"{SERVERS}?{query}", 200, {"servers": found})
        for query, found in (
            ("ip6=fd00", []),
            ("availability_zone=nova", [{"id": ACTIVE, "name": "web", "links": WEB["links"]}]),
            ("availability_zone=other", []),
            ("vm_state=active", [{"id": ACTIVE, "name": "web", "links": WEB["links"]}]),
            ("power_state=4", []),
            ("hostname=nobody", []),
        )
    ),
]
