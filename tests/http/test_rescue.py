"""Rescues as they are asked for: what is begun, and what is refused."""

from typing import Any

import pytest

from app.db.models import Image
from tests.http.cases import Api
from tests.http.test_server_actions import act, begun, put_into, reason
from tests.http.world import ACTIVE, PUBLIC_IMAGE

#: vm_states in which Nova allows each.
ALLOWED = {"rescue": {"active", "stopped", "error"}, "unrescue": {"rescued"}}


def change_image(api: Api, **columns: Any) -> None:
    with api.sessions.begin() as session:
        image = session.get_one(Image, PUBLIC_IMAGE)
        for name, value in columns.items():
            setattr(image, name, value)


def test_rescue_begins_with_what_was_said(api: Api) -> None:
    said = {"adminPass": "secret", "rescue_image_ref": f"http://x/images/{PUBLIC_IMAGE}"}
    answer = act(api, {"rescue": said})

    assert (answer.status_code, answer.get_json()) == (200, {"adminPass": "secret"})
    [run] = begun(api)
    assert run.pipeline == "rescue"
    assert run.parameters == {"rescue_image_id": PUBLIC_IMAGE, "admin_pass": "secret"}
    # The image that a run makes is removed if it fails: this one is only read.
    assert run.image_id is None


@pytest.mark.parametrize("said", [None, {}])
def test_rescue_is_from_its_own_image_with_a_new_password(api: Api, said: Any) -> None:
    answer = act(api, {"rescue": said})
    assert (answer.status_code, len(answer.get_json()["adminPass"])) == (200, 12)
    [run] = begun(api)
    assert run.parameters is not None
    assert run.parameters["rescue_image_id"] == PUBLIC_IMAGE


def test_unrescue_begins(api: Api) -> None:
    put_into(api, "rescued")
    answer = act(api, {"unrescue": None})
    assert (answer.status_code, answer.get_data()) == (202, b"")
    assert [run.pipeline for run in begun(api)] == ["unrescue"]


@pytest.mark.parametrize("action", ALLOWED)
def test_they_are_refused_where_nova_refuses_them(api: Api, action: str) -> None:
    for vm_state in ("active", "stopped", "paused", "suspended", "error", "rescued"):
        if vm_state not in ALLOWED[action]:
            put_into(api, vm_state)
            refused = act(api, {action: None})
            told = f"Cannot '{action}' instance {ACTIVE} while it is in vm_state {vm_state}"
            assert (refused.status_code, reason(refused)) == (409, told)
    assert begun(api) == []


@pytest.mark.parametrize(
    ("image", "told"),
    [
        ({"status": "queued"}, "is not active"),
        ({"disk_format": "iso"}, "rescue_image_ref"),
        ({"min_ram_mib": 4096}, "memory is too small"),
    ],
)
def test_image_that_cannot_rescue_is_refused(api: Api, image: Any, told: str) -> None:
    change_image(api, **image)
    refused = act(api, {"rescue": None})
    assert (refused.status_code, told in reason(refused)) == (400, True), reason(refused)
    assert begun(api) == []


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"rescue_image_ref": "nothing"}, "rescue_image_ref"),
        ({"rescue_image_ref": 1}, "rescue.rescue_image_ref"),
        ({"adminPass": ""}, "rescue.adminPass"),
        ({"colour": "red"}, "rescue.colour"),
    ],
)
def test_bad_rescue_is_told_by_its_field(api: Api, said: Any, told: str) -> None:
    refused = act(api, {"rescue": said})
    assert (refused.status_code, told in reason(refused)) == (400, True), reason(refused)
