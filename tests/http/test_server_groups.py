"""Server groups: made, joined by creates, shown with their servers, and forgotten."""

from typing import Any

from sqlalchemy import select

from app.db.models import Allocation, Project, RequestSpec, Run, ServerGroupMember
from tests.http.cases import UUID, Api
from tests.http.table_groups import GROUP, GROUPS, SERVERS
from tests.http.table_refusals import GOOD
from tests.http.world import ACTIVE, ALPHA, HOST
from tests.rows import add_host


def make(api: Api, who: str = "alice", **changes: Any) -> Any:
    answer = api.call(who, "POST", GROUPS, json={"server_group": {**GROUP, **changes}})
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.get_json()["server_group"]


def create(api: Api, hints: dict[str, Any], **more: Any) -> Any:
    body = {"server": {**GOOD, **more}, "os:scheduler_hints": hints}
    return api.call("alice", "POST", SERVERS, json=body)


def plan(api: Api, hints: dict[str, Any], **more: Any) -> Any:
    body = {"server": {**GOOD, **more}, "os:scheduler_hints": hints}
    return api.call("alice", "POST", "/byre/v1/plan", json=body).get_json()["plan"]


def reasons(found: Any) -> list[str | None]:
    return [server["reason"] for server in found["servers"]]


def placed_on_the_first(api: Api, server_id: str) -> None:
    with api.sessions.begin() as session:
        run = session.scalars(select(Run).filter_by(server_id=server_id)).first()
        assert run is not None
        session.add(
            Allocation(
                server_id=server_id,
                hypervisor_id=HOST,
                run_id=run.id,
                attempt=1,
                vcpus=1,
                memory_mib=1,
                disk_gib=1,
            )
        )


def test_a_group_is_made_shown_and_forgotten(api: Api) -> None:
    group = make(api)
    assert group == {
        "id": UUID,
        "name": "web",
        "policies": ["anti-affinity"],
        "members": [],
        "metadata": {},
    }
    where = f"{GROUPS}/{group['id']}"
    assert api.call("rita", "GET", where).get_json() == {"server_group": group}
    assert api.call("rita", "GET", GROUPS).get_json() == {"server_groups": [group]}
    assert api.call("bob", "GET", GROUPS).get_json() == {"server_groups": []}
    assert api.call("bob", "GET", where).status_code == 404
    assert api.call("bob", "DELETE", where).status_code == 404
    shown = api.call("root", "GET", f"{GROUPS}?all_projects=1").get_json()
    assert shown == {"server_groups": [group]}

    assert api.call("alice", "DELETE", where).status_code == 204
    assert api.call("alice", "GET", where).status_code == 404


def test_servers_join_when_they_are_made_and_outlive_the_group(api: Api) -> None:
    group = make(api)
    made = create(api, {"group": group["id"]}).get_json()["server"]["id"]
    where = f"{GROUPS}/{group['id']}"
    assert api.call("alice", "GET", where).get_json()["server_group"]["members"] == [made]

    assert api.call("alice", "DELETE", where).status_code == 204
    assert api.call("alice", "GET", f"{SERVERS}/{made}").status_code == 200
    with api.sessions() as session:
        assert session.get(ServerGroupMember, made) is None


def test_nobody_joins_another_projects_group(api: Api) -> None:
    group = make(api, "bob")
    answer = create(api, {"group": group["id"]})
    assert answer.status_code == 400
    assert "could not be found" in answer.get_json()["badRequest"]["message"]


def test_a_group_holds_so_many_servers_and_a_project_so_many_groups(api: Api) -> None:
    with api.sessions.begin() as session:
        session.get_one(Project, ALPHA).quota_server_group_members = 1
    hints, before = {"group": make(api)["id"]}, api.count_rows()
    refused = create(api, hints, min_count=2)
    assert refused.status_code == 403
    assert "too many servers in group" in refused.get_json()["forbidden"]["message"]
    assert api.count_rows() == before
    assert create(api, hints).status_code == 202
    assert create(api, hints).status_code == 403

    for _ in range(9):
        make(api)
    refused = api.call("alice", "POST", GROUPS, json={"server_group": GROUP})
    assert "too many server groups" in refused.get_json()["forbidden"]["message"]
    absolute = api.call("alice", "GET", "/compute/v2.1/limits").get_json()["limits"]["absolute"]
    assert (absolute["maxServerGroups"], absolute["totalServerGroupsUsed"]) == (10, 10)


def test_a_plan_tells_where_a_group_would_go(api: Api) -> None:
    add_host(api.sessions, "host-2")
    apart = {"group": make(api)["id"]}
    together = {"group": make(api, policies=["affinity"])["id"]}

    found = plan(api, apart, min_count=2)
    assert reasons(found) == [None, None]
    assert len({server["host_id"] for server in found["servers"]}) == 2
    third = plan(api, apart, min_count=3)["servers"][2]["reason"]
    assert third == ("No valid host was found among 2: 2 with servers that it is to be apart from.")
    found = plan(api, together, min_count=2)
    assert reasons(found) == [None, None]
    assert len({server["host_id"] for server in found["servers"]}) == 1


def test_hints_name_neighbours(api: Api) -> None:
    add_host(api.sessions, "host-2")
    placed_on_the_first(api, ACTIVE)
    [near] = plan(api, {"same_host": ACTIVE})["servers"]
    [far] = plan(api, {"different_host": [ACTIVE]})["servers"]
    assert near["reason"] is far["reason"] is None
    assert near["host_id"] != far["host_id"]
    both = plan(api, {"same_host": [ACTIVE], "different_host": [ACTIVE]})
    [reason] = reasons(both)
    assert reason == (
        "No valid host was found among 2: 1 without the servers that it is to be with,"
        " 1 with servers that it is to be apart from."
    )


def test_hints_are_kept_for_the_scheduler(api: Api) -> None:
    made = create(api, {"different_host": ACTIVE}).get_json()["server"]["id"]
    with api.sessions() as session:
        assert session.get_one(RequestSpec, made).hints == {"different_host": [ACTIVE]}
