"""Actions as they are asked for: what is begun, what is refused, and who may."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.db.models import Hypervisor, Run, Server
from app.db.models.base import now
from app.db.session import reading
from tests.http.cases import Api
from tests.http.table_servers import ONE
from tests.http.world import ACTIVE, ALPHA, FAILED, HOST

STATES = {"active": ("ACTIVE", 1), "stopped": ("SHUTOFF", 4), "paused": ("PAUSED", 3),
          "suspended": ("SUSPENDED", 4), "error": ("ERROR", 0),
          "rescued": ("RESCUE", 1), "shelved": ("SHELVED", 4)}  # fmt: skip
SOFT, HARD = {"reboot": {"type": "SOFT"}}, {"reboot": {"type": "HARD"}}

#: body, the vm_states in which it may begin (Nova's), task_state and status meanwhile, pipeline
ACTIONS: list[tuple[dict[str, Any], set[str], str, str, str]] = [
    ({"os-start": None}, {"stopped"}, "powering-on", "SHUTOFF", "start"),
    ({"os-stop": {}}, {"active", "error"}, "powering-off", "ACTIVE", "stop"),
    (SOFT, {"active"}, "rebooting", "REBOOT", "reboot"),
    (HARD, set(STATES) - {"shelved"}, "rebooting_hard", "HARD_REBOOT", "hard_reboot"),
    ({"pause": None}, {"active"}, "pausing", "ACTIVE", "pause"),
    ({"unpause": None}, {"paused"}, "unpausing", "PAUSED", "unpause"),
    ({"suspend": None}, {"active"}, "suspending", "ACTIVE", "suspend"),
    ({"resume": None}, {"suspended"}, "resuming", "SUSPENDED", "resume"),
    ({"shelveOffload": None}, {"shelved"}, "shelving_offloading", "SHELVED", "offload"),
    ({"unshelve": None}, {"shelved"}, "unshelving", "SHELVED", "unshelve_here"),
]

#: Nova's words where they are not the pipeline's.
WORDS = {"offload": "shelveOffload", "unshelve_here": "unshelve"}


def act(api: Api, body: dict[str, Any], user: str = "alice", path: str = ONE) -> Any:
    return api.call(user, "POST", f"{path}/action", json=body)


def put_into(api: Api, vm_state: str) -> None:
    status, power_state = STATES[vm_state]
    change(api, vm_state=vm_state, status=status, power_state=power_state)


def change(api: Api, **columns: Any) -> None:
    with api.sessions.begin() as session:
        server = session.get_one(Server, ACTIVE)
        for name, value in columns.items():
            setattr(server, name, value)


def begun(api: Api) -> list[Run]:
    with reading(api.sessions) as session:
        query = select(Run).where(Run.server_id == ACTIVE, Run.state == "running")
        return list(session.scalars(query))


def reason(answer: Any) -> str:
    [fault] = answer.get_json().values()
    return str(fault["message"])


@pytest.mark.parametrize("row", ACTIONS, ids=lambda row: str(row[-1]))
def test_action_begins_where_nova_allows_it(api: Api, row: Any) -> None:
    body, allowed, task_state, status, pipeline = row
    for vm_state in sorted(STATES.keys() - allowed):
        put_into(api, vm_state)
        refused = act(api, body, user="root")
        assert refused.status_code == 409
        word = "reboot" if "reboot" in body else WORDS.get(pipeline, pipeline)
        told = f"Cannot '{word}' instance {ACTIVE} while it is in vm_state {vm_state}"
        assert reason(refused) == told
    assert begun(api) == []

    put_into(api, min(allowed))
    answer = act(api, body, user="root" if pipeline == "offload" else "alice")

    assert (answer.status_code, answer.get_data()) == (202, b"")
    [run] = begun(api)
    assert (run.pipeline, run.hypervisor_id) == (pipeline, HOST)
    assert run.request_id == answer.headers["X-OpenStack-Request-ID"]
    server = api.call("rita", "GET", ONE).get_json()["server"]
    assert (server["OS-EXT-STS:task_state"], server["status"]) == (task_state, status)


def test_crash_dump_begins_where_nova_allows_it(api: Api) -> None:
    body = {"trigger_crash_dump": None}
    at_17 = {"OpenStack-API-Version": "compute 2.17"}

    def dump(user: str = "alice", send: Any = body) -> Any:
        return api.call(user, "POST", f"{ONE}/action", json=send, headers=at_17)

    for vm_state in ("stopped", "suspended", "shelved"):
        put_into(api, vm_state)
        told = f"Cannot 'trigger_crash_dump' instance {ACTIVE} while it is in vm_state {vm_state}"
        assert reason(dump()) == told
    change(api, vm_state="active", status="ACTIVE", locked_by="owner")
    assert (dump().status_code, reason(dump())) == (409, f"Instance {ACTIVE} is locked")
    assert (dump("bob").status_code, dump("rita").status_code) == (404, 403)
    change(api, locked_by=None)
    for vm_state in ("active", "paused", "rescued", "resized", "error"):
        change(api, vm_state=vm_state)
        answer = dump()
        assert (answer.status_code, answer.get_data()) == (202, b"")
        [run] = begun(api)
        assert run.pipeline == "trigger_crash_dump"
        assert dump().status_code == 409
        with api.sessions.begin() as session:
            session.get_one(Run, run.id).state = "done"
    server = api.call("rita", "GET", ONE).get_json()["server"]
    assert (server["OS-EXT-STS:task_state"], server["status"]) == (None, "ACTIVE")


def test_one_action_at_a_time(api: Api) -> None:
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda _: act(api, {"os-stop": None}), range(6)))

    assert sorted(answer.status_code for answer in answers) == [202, 409, 409, 409, 409, 409]
    assert len(begun(api)) == 1
    refused = act(api, HARD)
    assert refused.status_code == 409
    assert reason(refused).endswith("while it is in task_state powering-off")


def test_nothing_is_begun_on_a_host_that_does_not_answer(api: Api) -> None:
    with api.sessions.begin() as session:
        session.get_one(Hypervisor, HOST).last_seen_at = now() - timedelta(hours=1)

    refused = act(api, {"os-stop": None})

    assert refused.status_code == 409
    assert reason(refused) == f"Cannot 'stop' instance {ACTIVE} while its host does not answer"
    assert begun(api) == []


def test_what_failed_before_it_had_a_host_has_no_power(api: Api) -> None:
    refused = act(api, HARD, path=ONE.replace(ACTIVE, FAILED))
    assert (refused.status_code, reason(refused)) == (
        409,
        f"Cannot 'reboot' instance {FAILED} while it is in vm_state error",
    )


def test_delete_overtakes_an_action(api: Api) -> None:
    act(api, SOFT)
    assert api.call("alice", "DELETE", ONE).status_code == 204

    assert [run.pipeline for run in begun(api)] == ["delete"]
    server = api.call("rita", "GET", ONE).get_json()["server"]
    assert (server["OS-EXT-STS:task_state"], server["status"]) == ("deleting", "ACTIVE")
    refused = act(api, {"os-stop": None})
    assert reason(refused).endswith("while it is in task_state deleting")


def test_nothing_deleted_is_had_again(api: Api) -> None:
    refused = act(api, {"restore": None})
    told = f"Cannot 'restore' instance {ACTIVE} while it is in vm_state active"
    assert (refused.status_code, reason(refused)) == (409, told)


def test_force_delete_is_a_delete(api: Api) -> None:
    assert act(api, {"forceDelete": None}).status_code == 202
    assert [run.pipeline for run in begun(api)] == ["delete"]


# --- locks ---------------------------------------------------------------------------------------


def test_locked_server_is_left_alone_by_its_owners(api: Api) -> None:
    for _ in range(2):
        assert act(api, {"lock": None}).status_code == 202

    refusals = [
        act(api, {"os-stop": None}),
        act(api, {"forceDelete": None}),
        api.call("alice", "DELETE", ONE),
        api.call("alice", "PUT", f"{ONE}/metadata/a", json={"meta": {"a": "b"}}),
    ]
    assert [answer.status_code for answer in refusals] == [409] * 4
    assert {reason(answer) for answer in refusals} == {f"Instance {ACTIVE} is locked"}
    assert begun(api) == []
    assert act(api, {"os-stop": None}, user="root").status_code == 202


def test_unlocked_server_is_its_owners_again(api: Api) -> None:
    act(api, {"lock": None})
    for _ in range(2):
        assert act(api, {"unlock": None}).status_code == 202
    assert act(api, {"os-stop": None}).status_code == 202


def test_what_an_administrator_locked_no_owner_unlocks(api: Api) -> None:
    act(api, {"lock": {}}, user="root")
    act(api, {"lock": None})
    refused = act(api, {"unlock": None})
    assert (refused.status_code, "servers:unlock:admins" in reason(refused)) == (403, True)
    assert act(api, {"unlock": None}, user="root").status_code == 202
    assert act(api, {"os-stop": None}).status_code == 202


# --- administrators ------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "status"), [("error", "ERROR"), ("active", "ACTIVE")])
def test_administrators_reset_a_state(api: Api, state: str, status: str) -> None:
    put_into(api, "paused")
    body = {"os-resetState": {"state": state}}
    refused = act(api, body)
    assert refused.status_code == 403
    assert reason(refused) == (
        "Policy doesn't allow compute:servers:act:os-resetState to be performed."
    )
    assert act(api, body, user="root").status_code == 202
    server = api.call("rita", "GET", ONE).get_json()["server"]
    assert (server["status"], server["OS-EXT-STS:vm_state"]) == (status, state)


def test_state_is_not_reset_under_what_is_being_done(api: Api) -> None:
    act(api, {"pause": None})
    refused = act(api, {"os-resetState": {"state": "active"}}, user="root")
    assert (refused.status_code, reason(refused)) == (
        409,
        f"Cannot 'resetState' instance {ACTIVE} while it is in task_state pausing",
    )


def test_another_projects_server_is_not_there(api: Api) -> None:
    for body in ({"os-stop": None}, {"lock": None}, {"os-resetState": {"state": "error"}}):
        answer = act(api, body, user="bob")
        assert (answer.status_code, reason(answer)) == (
            404,
            f"Instance {ACTIVE} could not be found.",
        )
    with reading(api.sessions) as session:
        assert session.get_one(Server, ACTIVE).project_id == ALPHA
    assert begun(api) == []


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "Malformed request body"),
        ({"os-start": None, "os-stop": None}, "Malformed request body"),
        ({"reboot": {}}, "reboot.type"),
        ({"reboot": {"type": "WARM"}}, "reboot.type"),
        ({"reboot": None}, "reboot"),
        ({"os-resetState": {"state": "deleted"}}, "os-resetState.state"),
        ({"explode": None}, "explode"),
    ],
)
def test_bad_action_is_told_by_its_field(api: Api, body: dict[str, Any], told: str) -> None:
    answer = act(api, body)
    assert (answer.status_code, told in reason(answer)) == (400, True), reason(answer)
