"""Operators put hosts into aggregates and zones; servers go where these let them."""

from typing import Any

from app.db.models import Hypervisor, RequestSpec, Server
from tests.http.cases import Api, Like
from tests.http.table_aggregates import AGGREGATES
from tests.http.table_compute import SERVERS, SERVICES
from tests.http.table_refusals import GOOD
from tests.http.world import ACTIVE, ALPHA, HOST
from tests.rows import add_host

MOMENT = Like(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}")
ZONES = "/compute/v2.1/os-availability-zone"


def call(api: Api, method: str, path: str, body: Any = None, status: int = 200) -> Any:
    more = {} if body is None else {"json": body}
    answer = api.call("root", method, f"{AGGREGATES}{path}", **more)
    assert answer.status_code == status, answer.get_data(as_text=True)
    return answer.get_json(silent=True)


def make(api: Api, name: str = "rack", zone: str | None = None, *hosts: str) -> int:
    """Make an aggregate with these hosts; return its number."""
    asked = {"name": name, "availability_zone": zone}
    number: int = call(api, "POST", "", {"aggregate": asked})["aggregate"]["id"]
    for host in hosts:
        act(api, number, "add_host", host=host)
    return number


def act(api: Api, number: int, verb: str, status: int = 200, **asked: Any) -> Any:
    return call(api, "POST", f"/{number}/action", {verb: asked}, status)


def refusal(answer: Any) -> str:
    [fault] = answer.values()
    return str(fault["message"])


def plan(api: Api, who: str = "alice", **more: Any) -> Any:
    """Return where a server would go, or why nowhere."""
    answer = api.call(who, "POST", "/byre/v1/plan", json={"server": {**GOOD, **more}})
    [server] = answer.get_json()["plan"]["servers"]
    return server.get("host") or server["reason"]


def test_an_aggregate_is_made_changed_and_forgotten(api: Api) -> None:
    made = call(api, "POST", "", {"aggregate": {"name": "rack", "availability_zone": "east"}})
    bare = {
        "id": 1,
        "name": "rack",
        "availability_zone": "east",
        "created_at": MOMENT,
        "updated_at": None,
        "deleted": False,
        "deleted_at": None,
    }
    assert made == {"aggregate": bare}
    whole = {**bare, "hosts": [], "metadata": {"availability_zone": "east"}}
    assert call(api, "GET", "/1") == {"aggregate": whole}
    assert call(api, "GET", "") == {"aggregates": [whole]}

    changed = {**whole, "updated_at": MOMENT, "name": "row"}
    assert call(api, "PUT", "/1", {"aggregate": {"name": "row"}}) == {"aggregate": changed}
    items = {"ssd": "true", "availability_zone": "west"}
    changed |= {"availability_zone": "west", "metadata": items}
    assert act(api, 1, "set_metadata", metadata=items) == {"aggregate": changed}
    changed |= {"availability_zone": None, "metadata": {}}
    gone = dict.fromkeys(items)
    assert act(api, 1, "set_metadata", metadata=gone) == {"aggregate": changed}

    assert call(api, "DELETE", "/1") is None
    assert call(api, "GET", "") == {"aggregates": []}


def test_a_name_is_given_once(api: Api) -> None:
    make(api, "rack")
    other = make(api, "row")
    taken = {"aggregate": {"name": "rack"}}
    assert refusal(call(api, "POST", "", taken, 409)) == "Aggregate rack already exists."
    assert refusal(call(api, "PUT", f"/{other}", taken, 409)) == "Aggregate rack already exists."


def test_hosts_come_and_go(api: Api) -> None:
    number = make(api, "rack", None, "host-1")
    assert call(api, "GET", f"/{number}")["aggregate"]["hosts"] == ["host-1"]
    again = act(api, number, "add_host", 409, host="host-1")
    assert refusal(again) == f"Aggregate {number} already has host host-1."
    unknown = act(api, number, "add_host", 404, host="host-9")
    assert refusal(unknown) == "Compute host host-9 could not be found."
    full = refusal(call(api, "DELETE", f"/{number}", status=400))
    assert full == f"Cannot delete aggregate {number}. Reason: Host aggregate is not empty."

    left = act(api, number, "remove_host", host="host-1")
    assert left["aggregate"]["hosts"] == []
    missing = act(api, number, "remove_host", 404, host="host-1")
    assert refusal(missing) == f"Cannot remove host host-1 in aggregate {number}"


def test_a_host_is_in_one_zone(api: Api) -> None:
    add_host(api.sessions, "host-2")
    make(api, "east", "east", "host-2")
    also = make(api, "east too", "east", "host-2")
    west = make(api, "west", "west")

    refused = act(api, west, "add_host", 409, host="host-2")
    assert refusal(refused) == (
        f"Cannot add host to aggregate {west}. Reason: Host host-2 already in availability zone"
        " 'east'."
    )
    assert call(api, "GET", f"/{west}")["aggregate"]["hosts"] == []
    refused = call(api, "PUT", f"/{also}", {"aggregate": {"availability_zone": "west"}}, 400)
    assert "already in availability zone 'east'" in refusal(refused)


def test_a_host_with_servers_keeps_its_zone(api: Api) -> None:
    in_use = "Reason: One or more hosts contain instances in this zone."
    east = make(api, "east", "east")
    refused = refusal(act(api, east, "add_host", 409, host="host-1"))
    assert refused == f"Cannot add host to aggregate {east}. {in_use}"

    same = make(api, "nova too", "nova", "host-1")
    asked = {"aggregate": {"availability_zone": "east"}}
    refused = refusal(call(api, "PUT", f"/{same}", asked, 400))
    assert refused == f"Cannot update aggregate {same}. {in_use}"
    items = {"availability_zone": "east"}
    refused = refusal(act(api, same, "set_metadata", 400, metadata=items))
    assert refused == f"Cannot update metadata of aggregate {same}. {in_use}"
    assert act(api, same, "remove_host", host="host-1")["aggregate"]["hosts"] == []


def test_zones_are_what_hosts_are_in(api: Api) -> None:
    other = add_host(api.sessions, "host-2", enabled=False)
    make(api, "east", "east", "host-2")

    zones = api.call("alice", "GET", ZONES).get_json()["availabilityZoneInfo"]
    assert zones == [
        {"zoneName": "east", "zoneState": {"available": False}, "hosts": None},
        {"zoneName": "nova", "zoneState": {"available": True}, "hosts": None},
    ]
    detail = api.call("root", "GET", f"{ZONES}/detail").get_json()["availabilityZoneInfo"]
    worker = {"active": False, "available": True, "updated_at": MOMENT}
    assert detail[0]["hosts"] == {"host-2": {"nova-compute": worker}}
    services = api.call("root", "GET", SERVICES).get_json()["services"]
    assert {one["host"]: one["zone"] for one in services} == {"host-1": "nova", "host-2": "east"}

    with api.sessions.begin() as session:
        session.get_one(Server, ACTIVE).hypervisor_id = other
    shown = api.call("alice", "GET", f"{SERVERS}/{ACTIVE}").get_json()["server"]
    assert shown["OS-EXT-AZ:availability_zone"] == "east"
    for zone, there in (("east", [ACTIVE]), ("nova", [])):
        found = api.call("alice", "GET", f"{SERVERS}?availability_zone={zone}").get_json()
        assert [server["id"] for server in found["servers"]] == there


def test_a_server_goes_to_the_zone_that_it_asks_for(api: Api) -> None:
    add_host(api.sessions, "host-2", memory_mib=2048)
    make(api, "east", "east", "host-2")
    assert plan(api, "root") == "host-1"
    assert plan(api, "root", availability_zone="east") == "host-2"
    assert plan(api, "root", availability_zone="nova") == "host-1"
    with api.sessions.begin() as session:
        session.get_one(Hypervisor, HOST).enabled = False
    assert plan(api, availability_zone="nova") == (
        "No valid host was found among 2: 1 outside availability zone nova, 1 disabled."
    )


def test_an_administrator_names_a_host_disabled_or_not(api: Api) -> None:
    add_host(api.sessions, "host-2", enabled=False)
    assert plan(api, "root", availability_zone="nova:host-2") == "host-2"
    assert plan(api, "root", availability_zone=":host-2:host-2") == "host-2"
    body = {"server": {**GOOD, "availability_zone": "nova:host-2"}}
    made = api.call("root", "POST", SERVERS, json=body).get_json()["server"]["id"]
    with api.sessions() as session:
        spec = session.get_one(RequestSpec, made)
        assert (spec.availability_zone, spec.hints) == ("", {"host": "host-2"})


def test_a_flavor_asks_for_an_aggregate(api: Api) -> None:
    add_host(api.sessions, "host-2", memory_mib=2048)
    specs = {"aggregate_instance_extra_specs:ssd": "<or> yes <or> true"}
    path = "/compute/v2.1/flavors/42/os-extra_specs"
    assert api.call("root", "POST", path, json={"extra_specs": specs}).status_code == 200
    outside = "No valid host was found among 2: 2 outside the aggregates that the flavor asks for."
    assert plan(api) == outside

    number = make(api, "fast", None, "host-2")
    assert plan(api) == outside
    act(api, number, "set_metadata", metadata={"ssd": "maybe,true"})
    assert plan(api, "root") == "host-2"


def test_hosts_are_kept_for_projects(api: Api) -> None:
    number = make(api, "ours", None, "host-1")
    act(api, number, "set_metadata", metadata={"filter_tenant_id": "x, y"})
    assert plan(api) == "No valid host was found among 1: 1 kept for other projects."
    act(api, number, "set_metadata", metadata={"filter_tenant_id2": ALPHA})
    assert plan(api) is None
