"""Cases of host aggregates that change nothing: who may, and what is refused."""

from typing import Any

from tests.http.cases import Case, Like, compute_fault
from tests.http.table_compute import NOT_ALLOWED
from tests.http.table_refusals import GOOD

AGGREGATES = "/compute/v2.1/os-aggregates"
MISSING = "Aggregate 7 could not be found."


def _refused(what: str, method: str, path: str, send: Any, status: int, message: Any) -> Case:
    body = compute_fault(status, message)
    return Case(
        f"aggregate: {what}", "root", method, f"{AGGREGATES}{path}", status, body, send=send
    )


def _bad(what: str, aggregate: Any, words: str) -> Case:
    return _refused(what, "POST", "", {"aggregate": aggregate}, 400, Like(f".*{words}.*"))


CASES: list[Case] = [
    *(
        Case(
            f"a member's {method} of aggregates{path}",
            "alice",
            method,
            f"{AGGREGATES}{path}",
            403,
            compute_fault(403, NOT_ALLOWED),
            send=send,
        )
        for method, path, send in (
            ("GET", "", None),
            ("POST", "", {"aggregate": {"name": "rack"}}),
            ("GET", "/7", None),
            ("PUT", "/7", {"aggregate": {"name": "rack"}}),
            ("DELETE", "/7", None),
            ("POST", "/7/action", {"add_host": {"host": "host-1"}}),
        )
    ),
    *(
        _refused(
            f"{method} of none, {send}",
            method,
            f"/7{path}",
            send,
            404,
            MISSING,
        )
        for method, path, send in (
            ("GET", "", None),
            ("PUT", "", {"aggregate": {"name": "rack"}}),
            ("DELETE", "", None),
            ("POST", "/action", {"add_host": {"host": "host-1"}}),
            ("POST", "/action", {"remove_host": {"host": "host-1"}}),
            ("POST", "/action", {"set_metadata": {"metadata": {"a": "b"}}}),
        )
    ),
    _refused("by name", "GET", "/rack", None, 404, "Aggregate rack could not be found."),
    _bad("no name", {}, "aggregate.name: Missing data"),
    _bad("blank name", {"name": " "}, "aggregate.name"),
    _bad("name of another kind", {"name": 5}, "aggregate.name"),
    _bad("zone with a host", {"name": "r", "availability_zone": "a:b"}, "availability_zone.*colon"),
    _bad("unknown field", {"name": "r", "hosts": []}, "aggregate.hosts: Unknown field"),
    *(
        _refused(f"{send}", "POST", "/7/action", send, 400, Like(f".*{words}.*"))
        for send, words in (
            ({}, "must be one, and only one"),
            ({"add_host": {}}, "add_host.host"),
            ({"add_host": {"host": "a"}, "remove_host": {"host": "a"}}, "only one"),
            ({"set_metadata": {"metadata": {"a": 1}}}, "metadata.*'a' must be text"),
            ({"set_metadata": {"metadata": {"a/b": "c"}}}, "metadata.*'a/b'"),
            ({"set_metadata": {"metadata": {"availability_zone": "a:b"}}}, "colon"),
            ({"set_metadata": {"metadata": {str(n): "x" for n in range(129)}}}, "more than 128"),
        )
    ),
    _refused("nothing to change", "PUT", "/7", {"aggregate": {}}, 400, Like(".*must hold name.*")),
    *(
        Case(
            f"server in zone {zone} by {who}",
            who,
            "POST",
            "/compute/v2.1/servers",
            status,
            compute_fault(status, Like(f".*{words}.*")),
            send={"server": {**GOOD, "availability_zone": zone}},
        )
        for who, zone, status, words in (
            ("alice", "nova:host-1", 403, "servers:create:on_host"),
            ("root", "nova:host-9", 400, "availability_zone: compute host host-9 could not"),
            ("root", "nova:host-1:other", 400, "availability_zone: .* is not ZONE, ZONE:HOST"),
            ("root", "a:b:c:d", 400, "availability_zone: .* is not ZONE"),
        )
    ),
]
