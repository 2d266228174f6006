"""A plan: what a create would do, decided by the same code, and nothing is written."""

from typing import Any

import pytest

from app.db.models import Hypervisor, SecurityGroup
from app.services import consoles
from tasks.messages import Question
from tests.http.cases import UUID, Api, tell
from tests.http.table_refusals import GOOD
from tests.http.world import ALPHA_DEFAULT, HOST, NETWORK, SUBNET

PATH = "/byre/v1/plan"
STAGES = ["validate", "schedule", "build_resources", "define_domain", "launch", "poll_boot"]


def ask(api: Api, user: str = "alice", **more: Any) -> Any:
    return api.call(user, "POST", PATH, json={"server": {**GOOD, **more}})


def plan(api: Api, user: str = "alice", **more: Any) -> Any:
    answer = ask(api, user, **more)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.get_json()["plan"]


def refusing(found: Any) -> dict[str, int]:
    return {rule["rule"]: rule["refuses"] for rule in found["rules"] if rule["refuses"]}


def test_owner_is_told_what_would_be_done_and_no_names(api: Api) -> None:
    before = api.count_rows()

    found = plan(api)

    [server] = found["servers"]
    assert server == {
        "name": GOOD["name"],
        "host_id": server["host_id"],
        "addresses": [{"network_id": NETWORK, "subnet_id": SUBNET, "address": "10.77.0.2"}],
        "reason": None,
    }
    assert len(server["host_id"]) == 56
    assert (found["possible"], found["hosts"], refusing(found)) == (True, 1, {})
    assert all("hosts" not in rule for rule in found["rules"])
    assert [stage["name"] for stage in found["stages"]] == STAGES
    assert api.count_rows() == before
    assert api.recorder.sent == []


def test_what_is_planned_is_what_is_made(api: Api) -> None:
    """Nothing of a plan is left that would make the next one, or a create, come out otherwise."""
    first, again = plan(api), plan(api)
    assert first == again
    made = api.call("alice", "POST", "/compute/v2.1/servers", json={"server": GOOD})
    assert made.status_code == 202
    assert made.get_json()["server"]["id"] == UUID


def test_operator_is_told_which_hosts_and_why(api: Api) -> None:
    with api.sessions.begin() as session:
        host = session.get_one(Hypervisor, HOST)
        host.enabled, host.memory_mib_used = False, host.memory_mib

    owner, operator = plan(api), plan(api, "root", networks=[{"uuid": NETWORK}])

    for found in (owner, operator):
        assert not found["possible"]
        [server] = found["servers"]
        assert server["reason"] == "No valid host was found among 1: 1 disabled."
        assert server["addresses"] == []
        assert refusing(found) == {"enabled": 1, "memory": 1}
    [server] = operator["servers"]
    assert server["host"] is None
    assert server["domain_xml"] is None
    assert server["domain_xml_reason"] == "The server would be on no host."
    named = {rule["rule"]: rule["hosts"] for rule in operator["rules"] if rule["hosts"]}
    assert named == {"enabled": ["host-1"], "memory": ["host-1"]}


def test_several_servers_take_each_others_room(api: Api) -> None:
    with api.sessions.begin() as session:
        host = session.get_one(Hypervisor, HOST)
        # The host keeps 512 MiB for itself, and each of these asks for 256.
        host.memory_mib_used = host.memory_mib - 512 - 2 * 256

    found = plan(api, min_count=3)

    assert not found["possible"]
    reasons = [server["reason"] for server in found["servers"]]
    assert reasons[:2] == [None, None]
    assert reasons[2] == "No valid host was found among 1: 1 without room for 256 MiB of memory."
    addresses = [each["address"] for server in found["servers"] for each in server["addresses"]]
    assert len(set(addresses)) == 2
    assert refusing(found) == {}, "the first one has room"


def test_operator_is_told_how_the_host_would_describe_each_server(api: Api) -> None:
    """All are asked before the first answer is waited for."""
    before = api.count_rows()
    secret = {"adminPass": "Secret-1", "user_data": "c2VjcmV0LWRhdGE="}

    def last_answers_all(question: Question) -> None:
        if len(api.recorder.questions) == 2:
            for each in api.recorder.questions:
                tell(api.sessions, each, f"<domain>{each.question}</domain>")

    api.recorder.reply = last_answers_all
    found = plan(api, "root", networks=[{"uuid": NETWORK}], min_count=2, **secret)

    asked = api.recorder.questions
    assert [(server["host"], server["domain_xml"]) for server in found["servers"]] == [
        ("host-1", f"<domain>{each.question}</domain>") for each in asked
    ]
    assert [server["domain_xml_reason"] for server in found["servers"]] == [None, None]
    assert {each.host for each in asked} == {"host-1"}
    sent = "".join(each.model_dump_json() for each in asked)
    for word in ("Secret-1", "c2VjcmV0", "secret-data", "ticket"):
        assert word not in sent
    assert api.count_rows() == before


def test_host_that_cannot_or_does_not_answer_is_told(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consoles, "PATIENCE_S", 0.2)

    def first_refuses(question: Question) -> None:
        if len(api.recorder.questions) == 1:
            tell(api.sessions, question, refused="No such machine.")

    api.recorder.reply = first_refuses
    found = plan(api, "root", networks=[{"uuid": NETWORK}], min_count=2)

    assert found["possible"]
    assert [server["domain_xml"] for server in found["servers"]] == [None, None]
    assert [server["domain_xml_reason"] for server in found["servers"]] == [
        "No such machine.",
        "The host did not answer within 0 seconds.",
    ]


def test_owner_has_no_host_asked(api: Api) -> None:
    [server] = plan(api)["servers"]
    assert not {"domain_xml", "domain_xml_reason"} & server.keys()
    assert api.recorder.questions == []


def test_project_that_has_no_group_yet_gets_none_by_a_plan(api: Api) -> None:
    with api.sessions.begin() as session:
        group = session.get_one(SecurityGroup, ALPHA_DEFAULT)
        group.default_of, group.name = None, "another"
    before = api.count_rows()
    assert plan(api)["possible"]
    assert api.count_rows() == before


@pytest.mark.parametrize(
    ("more", "status", "told"),
    [
        ({"flavorRef": "nope"}, 400, "flavorRef"),
        ({"imageRef": "00000000-0000-4000-8000-000000000999"}, 400, "imageRef"),
        ({"min_count": 50, "max_count": 50}, 403, "Quota exceeded"),
        ({"colour": "blue"}, 400, "colour"),
    ],
)
def test_what_a_create_refuses_a_plan_refuses(
    api: Api, more: dict[str, Any], status: int, told: str
) -> None:
    answer = ask(api, **more)
    assert (answer.status_code, told in answer.get_data(as_text=True)) == (status, True)


def test_who_may_not_create_may_not_plan(api: Api) -> None:
    assert ask(api, "rita").status_code == 403
    assert api.call(None, "POST", PATH, json={"server": GOOD}).status_code == 401
