"""What projects may have is changed, holds at once, and is given back."""

from typing import Any

from tests.http.cases import Api
from tests.http.table_refusals import GOOD
from tests.http.table_servers import CLASS, CLASSES, DEFAULTS, LIMITS, QUOTAS
from tests.http.world import ACTIVE, ALPHA, BETA

ALPHAS = f"{QUOTAS}/{ALPHA}"


def change(api: Api, **limits: Any) -> Any:
    return api.call("root", "PUT", ALPHAS, json={"quota_set": limits})


def test_a_limit_is_changed_and_holds_at_once(api: Api) -> None:
    answer = change(api, instances=2, tenant_id=ALPHA)
    assert answer.get_json() == {"quota_set": {**LIMITS, "instances": 2}}
    refused = api.call("alice", "POST", "/compute/v2.1/servers", json={"server": GOOD})
    assert refused.status_code == 403
    assert change(api, instances=3).status_code == 200
    made = api.call("alice", "POST", "/compute/v2.1/servers", json={"server": GOOD})
    assert made.status_code == 202


def test_a_limit_below_what_is_used_is_taken_by_force_only(api: Api) -> None:
    assert change(api, cores=1).status_code == 400
    assert change(api, cores=1, force="True").get_json()["quota_set"]["cores"] == 1
    assert change(api, cores=-1, ram=-1).get_json()["quota_set"]["cores"] == -1


def test_one_that_is_refused_changes_nothing(api: Api) -> None:
    assert change(api, instances=50, cores=1).status_code == 400
    shown = api.call("alice", "GET", ALPHAS).get_json()
    assert shown == {"quota_set": {"id": ALPHA, **LIMITS}}


def test_a_project_gets_the_limits_of_a_new_one(api: Api) -> None:
    change(api, cores=99)
    assert api.call("root", "DELETE", ALPHAS).status_code == 202
    shown = api.call("root", "GET", ALPHAS).get_json()
    assert shown == {"quota_set": {"id": ALPHA, **DEFAULTS}}


def set_defaults(api: Api, **limits: Any) -> Any:
    body = {"quota_class_set": limits}
    answer = api.call("root", "PUT", f"{CLASSES}/default", json=body)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.get_json()["quota_class_set"]


def shown(api: Api, project: str = ALPHA, path: str = "") -> Any:
    return api.call("root", "GET", f"{QUOTAS}/{project}{path}").get_json()["quota_set"]


def test_projects_without_their_own_follow_the_defaults(api: Api) -> None:
    change(api, cores=7)
    assert set_defaults(api, cores=9, server_groups=3) == {**CLASS, "cores": 9}
    assert shown(api) == {"id": ALPHA, **LIMITS, "cores": 7, "server_groups": 3}
    assert shown(api, BETA) == {"id": BETA, **LIMITS, "cores": 9, "server_groups": 3}
    assert shown(api, path="/defaults")["server_groups"] == 3

    assert api.call("root", "DELETE", ALPHAS).status_code == 202
    assert shown(api)["cores"] == 9
    project = {"project": {"name": "new"}}
    made = api.call("root", "POST", "/identity/v3/projects", json=project).get_json()["project"]
    assert shown(api, made["id"]) == {
        "id": made["id"],
        **DEFAULTS,
        "cores": 9,
        "server_groups": 3,
    }


def test_limits_of_files_hold(api: Api) -> None:
    file = {"path": "/etc/x", "contents": "aGVsbG8="}
    server = {"server": {**GOOD, "personality": [file]}}
    for limits in (
        {"injected_files": 0},
        {"injected_file_content_bytes": 4},
        {"injected_file_path_bytes": 5},
    ):
        assert change(api, **limits).status_code == 200
        assert api.call("alice", "POST", "/compute/v2.1/servers", json=server).status_code == 403
        api.call("root", "DELETE", ALPHAS)
    change(api, injected_files=1, injected_file_content_bytes=5, injected_file_path_bytes=6)
    assert api.call("alice", "POST", "/compute/v2.1/servers", json=server).status_code == 202


def test_every_limit_holds(api: Api) -> None:
    limits = {"key_pairs": 1, "metadata_items": 1, "server_groups": 0, "server_group_members": 0}
    assert change(api, **limits).status_code == 200
    two = {"a": "b", "c": "d"}
    compute = "/compute/v2.1"
    for path, body in (
        ("os-keypairs", {"keypair": {"name": "second"}}),
        ("os-server-groups", {"server_group": {"name": "g", "policies": ["affinity"]}}),
        ("servers", {"server": {**GOOD, "metadata": two}}),
        (f"servers/{ACTIVE}/metadata", {"metadata": two}),
    ):
        answer = api.call("alice", "POST", f"{compute}/{path}", json=body)
        assert answer.status_code == 403, path
        assert "xceed" in answer.get_json()["forbidden"]["message"]
    absolute = api.call("alice", "GET", f"{compute}/limits").get_json()["limits"]["absolute"]
    assert [
        absolute[f"max{name}"]
        for name in ("TotalKeypairs", "ServerMeta", "ServerGroups", "ServerGroupMembers")
    ] == [1, 1, 0, 0]
    assert change(api, key_pairs=-1).status_code == 200
    made = api.call("alice", "POST", f"{compute}/os-keypairs", json={"keypair": {"name": "x"}})
    assert made.status_code == 200


def test_a_limit_of_groups_is_not_set_below_those_that_there_are(api: Api) -> None:
    group = {"server_group": {"name": "g", "policies": ["affinity"]}}
    assert (
        api.call("alice", "POST", "/compute/v2.1/os-server-groups", json=group).status_code == 200
    )
    assert change(api, server_groups=0).status_code == 400
    assert shown(api, path="/detail")["server_groups"] == {"limit": 10, "in_use": 1, "reserved": 0}
