"""A new password for a guest's administrator: what is begun, who is meant, and who sees it."""

from typing import Any

import pytest

from app.db.models import RequestSpec
from tests.http.cases import Api
from tests.http.test_server_actions import STATES, act, begun, put_into, reason
from tests.http.world import ACTIVE


def words(api: Api, **said: str) -> None:
    with api.sessions.begin() as session:
        spec = session.get(RequestSpec, ACTIVE) or RequestSpec(server_id=ACTIVE)
        spec.image_words = said
        session.add(spec)


def change(api: Api, said: Any = None) -> Any:
    return act(api, {"changePassword": said or {"adminPass": "secret"}})


@pytest.mark.parametrize(
    ("image", "user"),
    [
        ({}, "root"),
        ({"os_type": "windows"}, "Administrator"),
        ({"os_type": "windows", "os_admin_user": "boss"}, "boss"),
    ],
)
def test_password_is_changed_of_the_images_administrator(
    api: Api, image: dict[str, str], user: str
) -> None:
    words(api, **image)
    answer = change(api)

    assert (answer.status_code, answer.get_data()) == (202, b"")
    [run] = begun(api)
    assert (run.pipeline, run.parameters) == (
        "changePassword",
        {"user": user, "password": "secret"},
    )
    server = api.call("rita", "GET", f"/compute/v2.1/servers/{ACTIVE}").get_json()["server"]
    assert (server["status"], server["OS-EXT-STS:task_state"]) == ("PASSWORD", "updating_password")


def test_it_is_shown_to_nobody(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    words(api)
    change(api)
    for path in (f"/compute/v2.1/servers/{ACTIVE}/os-instance-actions",
                 f"/byre/v1/servers/{ACTIVE}/run"):  # fmt: skip
        assert "secret" not in api.call("root", "GET", path).get_data(as_text=True)
    assert "secret" not in capsys.readouterr().out


def test_an_image_without_an_agent_has_no_password_to_change(api: Api) -> None:
    words(api, hw_qemu_guest_agent="no")
    refused = change(api)
    assert (refused.status_code, reason(refused)) == (409, "QEMU guest agent is not enabled")
    assert begun(api) == []


@pytest.mark.parametrize("vm_state", sorted(STATES.keys() - {"active"}))
def test_only_a_guest_that_runs_can_be_told(api: Api, vm_state: str) -> None:
    words(api)
    put_into(api, vm_state)
    refused = change(api)
    told = f"Cannot 'changePassword' instance {ACTIVE} while it is in vm_state {vm_state}"
    assert (refused.status_code, reason(refused)) == (409, told)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"adminPass": ""}, "changePassword.adminPass"),
        ({"adminPass": 1}, "changePassword.adminPass"),
        ({"password": "secret"}, "changePassword.password"),
    ],
)
def test_bad_change_is_told_by_its_field(api: Api, said: Any, told: str) -> None:
    refused = change(api, said)
    assert (refused.status_code, told in reason(refused)) == (400, True), reason(refused)
