"""What every answer has, whatever was asked; and what comes out when we are at fault."""

import logging
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from app.api.faults import UNEXPECTED
from app.db.models import Watch
from app.services import servers
from tasks.errors import ByreError, HostBusy, MalformedMessage
from tests.http.cases import Api, Like, compute_fault, image_fault
from tests.http.table_byre import fault
from tests.http.table_refusals import GOOD

SERVERS = "/compute/v2.1/servers"
REQUEST_ID = Like("req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.mark.parametrize("path", [SERVERS, f"{SERVERS}/none", "/compute/", "/compute/nothing"])
def test_compute_answers_name_request_and_version(quiet_api: Api, path: str) -> None:
    headers = quiet_api.call("alice", "GET", path).headers

    assert headers["x-openstack-request-id"] == REQUEST_ID
    assert headers["x-compute-request-id"] == headers["x-openstack-request-id"]
    assert headers["OpenStack-API-Version"] == "compute 2.1"
    assert headers["X-OpenStack-Nova-API-Version"] == "2.1"
    assert headers["Vary"] == "OpenStack-API-Version, X-OpenStack-Nova-API-Version"


@pytest.mark.parametrize("path", ["/identity/v3", "/image/v2/images", "/network/", "/healthz"])
def test_other_answers_name_the_request(quiet_api: Api, path: str) -> None:
    headers = quiet_api.call("alice", "GET", path).headers

    assert headers["x-openstack-request-id"] == REQUEST_ID
    assert "x-compute-request-id" not in headers


@pytest.mark.parametrize(
    "headers",
    [
        {"OpenStack-API-Version": "compute 2.1"},
        {"OpenStack-API-Version": "compute latest"},
        {"OpenStack-API-Version": "identity 3.14"},
        {"X-OpenStack-Nova-API-Version": "2.1"},
    ],
)
def test_versions_that_we_have(quiet_api: Api, headers: dict[str, str]) -> None:
    assert quiet_api.call("alice", "GET", SERVERS, headers=headers).status_code == 200


@pytest.mark.parametrize("body", [b"{bad", b"\xff\xfe", b'{"server": ', b"nonsense"])
def test_broken_json(quiet_api: Api, body: bytes) -> None:
    before = quiet_api.count_rows()

    answer = quiet_api.call(
        "alice", "POST", SERVERS, data=body, headers={"Content-Type": "application/json"}
    )

    assert answer.get_json() == compute_fault(400, "Malformed request body")
    assert quiet_api.count_rows() == before


def test_a_body_that_is_no_json(quiet_api: Api) -> None:
    before = quiet_api.count_rows()

    answer = quiet_api.call("alice", "POST", "/image/v2/images", data={"name": "x"})

    assert answer.get_json() == image_fault(
        415, "Unsupported Media Type", "The body must be application/json."
    )
    assert quiet_api.count_rows() == before


def test_a_body_that_is_too_large(quiet_api: Api) -> None:
    answer = quiet_api.call(
        "alice", "POST", SERVERS, json={"server": {**GOOD, "user_data": "x" * 2**20}}
    )

    assert answer.get_json() == compute_fault(413, "The request body is larger than the limit.")


def test_our_own_faults_tell_nothing_of_our_insides(
    quiet_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: Any) -> None:
        raise ZeroDivisionError("secret words")

    monkeypatch.setattr(servers, "get", crash)

    answer = quiet_api.call("alice", "GET", f"{SERVERS}/x")

    assert (answer.status_code, answer.get_json()) == (
        500,
        {"computeFault": {"code": 500, "message": UNEXPECTED}},
    )
    assert answer.headers["x-compute-request-id"] == REQUEST_ID


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            MalformedMessage("a field", code="x"),
            {"computeFault": {"code": 500, "message": UNEXPECTED}},
        ),
        (HostBusy("Again soon."), {"serviceUnavailable": {"code": 503, "message": "Again soon."}}),
    ],
)
def test_what_is_no_fault_of_the_request(
    quiet_api: Api, monkeypatch: pytest.MonkeyPatch, error: ByreError, expected: Any
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(servers, "get", fail)

    assert quiet_api.call("alice", "GET", f"{SERVERS}/x").get_json() == expected


def test_a_database_that_is_down_is_told(quiet_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: Any) -> None:
        raise OperationalError("select 1", None, Exception("no route"))

    monkeypatch.setattr("app.services.health.metrics.ping", crash)

    answer = quiet_api.call(None, "GET", "/healthz")

    assert (answer.status_code, answer.get_json()) == (
        503,
        {"status": "down", "database": "down"},
    )


def test_links_follow_the_host_by_which_one_came(quiet_api: Api) -> None:
    answer = quiet_api.call(None, "GET", "/compute/v2.1", headers={"Host": "cloud.example:9000"})

    link = answer.get_json()["version"]["links"][0]["href"]
    assert link == "http://cloud.example:9000/compute/v2.1/"


def test_options_is_no_way_round_the_policy(quiet_api: Api) -> None:
    answer = quiet_api.call(None, "OPTIONS", SERVERS)

    assert answer.get_json() == compute_fault(
        405, "The method specified is not allowed for this resource."
    )


def test_the_root_is_nothing(quiet_api: Api) -> None:
    expected = fault(404, "Not Found", "The resource could not be found.", "http")
    assert quiet_api.call(None, "GET", "/").get_json() == expected


def test_secrets_are_in_no_log(
    quiet_api: Api, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        quiet_api.call("alice", "GET", f"{SERVERS}?name=x")
    written = capfd.readouterr()

    assert "token-of-alice" not in written.out + written.err + caplog.text


@pytest.mark.parametrize(
    ("broken", "body"),
    [
        ("broker", {"status": "degraded", "database": "ok", "broker": "down", "control": "ok"}),
        ("control", {"status": "degraded", "database": "ok", "broker": "ok", "control": "down"}),
        ("database", {"status": "down", "database": "down", "broker": "ok", "control": "down"}),
    ],
)
def test_readiness_names_the_part_that_is_missing(
    api: Api, broken: str, body: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    api.recorder.broker = broken != "broker"
    if broken == "control":
        with api.sessions.begin() as session:
            session.get_one(Watch, 1).last_at -= timedelta(minutes=20)
    if broken == "database":
        monkeypatch.setattr("app.services.health.database_answers", lambda _: False)

    answer = api.call(None, "GET", "/readyz")

    assert (answer.status_code, answer.get_json()) == (503, body)
