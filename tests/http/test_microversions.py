"""Compute's microversions: which one is used, said, and what a gate does to what depends on it.
Cases of single gates that change nothing are in tests.http.table_versions."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from marshmallow import EXCLUDE, ValidationError, fields
from werkzeug.test import TestResponse

from app.api import microversions
from app.api.gates import Gate
from app.api.versioned import Changed, Versioned, since, until
from tests.http.cases import Api, compute_fault
from tests.http.world import PUBLIC_KEY

LAST = list(Gate)[-1].version
KEYPAIRS = "/compute/v2.1/os-keypairs"

Call = Callable[..., TestResponse]


@pytest.fixture
def at(api: Api, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Send a request at a minor version, also at one that is not on offer yet."""
    monkeypatch.setattr(microversions, "MAXIMUM", LAST)

    def call(minor: int, who: str, method: str, path: str, **more: Any) -> TestResponse:
        headers = {"OpenStack-API-Version": f"compute 2.{minor}"}
        return api.call(who, method, path, headers=headers, **more)

    return call


def test_there_is_a_gate_for_every_version_on_offer() -> None:
    assert [gate.version for gate in Gate] == [(2, minor) for minor in range(2, LAST[1] + 1)]
    assert microversions.MAXIMUM <= LAST


@pytest.mark.parametrize(
    ("headers", "used"),
    [
        ({}, "2.1"),
        ({"OpenStack-API-Version": "compute 2.2"}, "2.2"),
        ({"OpenStack-API-Version": "identity 3.1, compute 2.2"}, "2.2"),
        ({"X-OpenStack-Nova-API-Version": "2.2"}, "2.2"),
        ({"X-OpenStack-Nova-API-Version": "2.1", "OpenStack-API-Version": "compute 2.2"}, "2.2"),
        ({"OpenStack-API-Version": "compute latest"}, f"2.{LAST[1]}"),
    ],
)
@pytest.mark.parametrize("path", [KEYPAIRS, f"{KEYPAIRS}/none"])
def test_the_version_used_is_told_with_errors_too(
    quiet_api: Api,
    path: str,
    headers: dict[str, str],
    used: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(microversions, "MAXIMUM", LAST)

    answer = quiet_api.call("alice", "GET", path, headers=headers)

    assert answer.headers["OpenStack-API-Version"] == f"compute {used}"
    assert answer.headers["X-OpenStack-Nova-API-Version"] == used


def test_a_version_that_there_is_not(quiet_api: Api) -> None:
    headers = {"OpenStack-API-Version": "compute 2.999"}

    answer = quiet_api.call("alice", "GET", KEYPAIRS, headers=headers)

    found = microversions.text(microversions.MAXIMUM)
    message = f"Version 2.999 is not supported by the API. Minimum is 2.1 and maximum is {found}."
    assert (answer.status_code, answer.get_json()) == (406, compute_fault(406, message))


class _Shape(Versioned):
    class Meta:
        unknown = EXCLUDE

    always = fields.String()
    new = since(Gate.LOCKED, fields.Integer(metadata={"description": "A number."}))
    old = until(Gate.LOCKED, fields.String())
    form = Changed(Gate.LOCKED, fields.String(), fields.List(fields.Integer()))


class _StrictShape(_Shape):
    class Meta:
        unknown = "raise"


@pytest.mark.parametrize(
    ("minor", "form", "there"),
    [(8, "x", {"always", "old", "form"}), (9, [1], {"always", "new", "form"})],
)
def test_fields_come_go_and_change(minor: int, form: Any, there: set[str]) -> None:
    whole = {"always": "a", "new": 1, "old": "b", "form": form}
    path, headers = "/compute/v2.1/x", {"OpenStack-API-Version": f"compute 2.{minor}"}
    with Flask("x").test_request_context(path, headers=headers) as frame:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(microversions, "MAXIMUM", LAST)
            microversions.agree(frame.request.headers)

        assert _Shape().dump(whole) == {key: whole[key] for key in whole if key in there}
        assert _Shape().load(whole) == {key: whole[key] for key in whole if key in there}
        with pytest.raises(ValidationError) as refused:
            _StrictShape().load(whole)
        assert refused.value.messages == {key: ["Unknown field."] for key in {*whole} - there}


def test_2_2_keypairs_have_a_type_and_other_statuses(at: Call) -> None:
    body = {"keypair": {"name": "typed", "public_key": PUBLIC_KEY, "type": "ssh"}}

    made = at(2, "alice", "POST", KEYPAIRS, json=body)

    assert (made.status_code, made.get_json()["keypair"]["type"]) == (201, "ssh")
    assert at(2, "alice", "DELETE", f"{KEYPAIRS}/typed").status_code == 204
