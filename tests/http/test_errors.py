"""Every service's errors, each in that service's form, and each with the id by which the operator's
log and a server's actions know the request."""

from http import HTTPStatus
from typing import Any

import pytest

from app.api.dialects import BYRE, COMPUTE, IDENTITY, IMAGE, NETWORK, Dialect
from tests.http.cases import Api, Like
from tests.http.world import ACTIVE, PUBLIC_IMAGE, QUEUED_IMAGE
from tests.http.world import NETWORK as SHARED

REQUEST_ID = Like("req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TOO_LARGE = {"json": {"x": "x" * 2**20}}
NO_JSON = {"data": "x", "content_type": "text/plain"}

#: Service -> what is sent to, for what it does not take in a body.
TAKES = {
    IDENTITY: "/identity/v3/projects",
    COMPUTE: "/compute/v2.1/flavors",
    IMAGE: "/image/v2/images",
    NETWORK: "/network/v2.0/networks",
    BYRE: "/byre/v1/plan",
}
#: Service -> what is not there.
MISSING = {
    IDENTITY: "/identity/v3/users/none",
    COMPUTE: "/compute/v2.1/servers/none",
    IMAGE: "/image/v2/images/none",
    NETWORK: "/network/v2.0/ports/none",
    BYRE: "/byre/v1/servers/none/run",
}
#: Service -> what somebody may not do.
FORBIDDEN: dict[Dialect, tuple[str, str, str]] = {
    IDENTITY: ("alice", "GET", "/identity/v3/users"),
    COMPUTE: ("alice", "GET", "/compute/v2.1/os-hypervisors"),
    IMAGE: ("rita", "POST", "/image/v2/images"),
    NETWORK: ("rita", "POST", "/network/v2.0/networks"),
    BYRE: ("alice", "GET", "/byre/v1/drift"),
}
FLAVOR = {"flavor": {"name": "m1.nano", "ram": 64, "vcpus": 1, "disk": 1}}
#: Service -> what comes too late, or twice.
CONFLICTS: dict[Dialect, tuple[str, str, dict[str, Any]]] = {
    IDENTITY: ("POST", "/identity/v3/projects", {"json": {"project": {"name": "alpha"}}}),
    COMPUTE: ("POST", "/compute/v2.1/flavors", {"json": FLAVOR}),
    IMAGE: (
        "PUT",
        f"/image/v2/images/{PUBLIC_IMAGE}/file",
        {"data": b"x", "content_type": "application/octet-stream"},
    ),
    NETWORK: ("DELETE", f"/network/v2.0/networks/{SHARED}", {}),
    BYRE: ("POST", "/byre/v1/hypervisors/host-1/cache", {"json": {"image_id": QUEUED_IMAGE}}),
}

Sent = tuple[str | None, str, str, dict[str, Any]]


def errors() -> dict[tuple[Dialect, int], Sent]:
    """Return for each service and status a request that is answered so."""
    found: dict[tuple[Dialect, int], Sent] = {}
    for service, path in TAKES.items():
        found[service, 400] = ("root", "POST", path, {"json": []})
        found[service, 401] = (None, "POST", path, {"json": {}})
        found[service, 405] = ("root", "OPTIONS", path, {})
        found[service, 413] = ("root", "POST", path, TOO_LARGE)
        found[service, 415] = ("root", "POST", path, NO_JSON)
        found[service, 404] = ("root", "GET", MISSING[service], {})
        found[service, 403] = (
            *FORBIDDEN[service],
            {"json": {}} if "rita" in FORBIDDEN[service] else {},
        )
        found[service, 409] = ("root", *CONFLICTS[service])
    return found


ERRORS = errors()
COMPUTES = {
    400: "badRequest",
    403: "forbidden",
    404: "itemNotFound",
    405: "badMethod",
    409: "conflictingRequest",
    413: "overLimit",
    415: "badMediaType",
}
NETWORKS = {
    400: "HTTPBadRequest",
    403: "PolicyNotAuthorized",
    404: "PortNotFound",
    405: "HTTPMethodNotAllowed",
    409: "NetworkInUse",
    413: "HTTPRequestEntityTooLarge",
    415: "HTTPUnsupportedMediaType",
}
TEXT = Like(".+")


def form(service: Dialect, status: int) -> Any:
    """Return what the error's body must be like."""
    title = HTTPStatus(status).phrase
    if status == 401 or service is IDENTITY:
        return {"error": {"code": status, "message": TEXT, "title": title}}
    if service is COMPUTE:
        return {COMPUTES[status]: {"code": status, "message": TEXT}}
    if service is NETWORK:
        return {"NeutronError": {"type": NETWORKS[status], "message": TEXT, "detail": ""}}
    if service is IMAGE:
        return {"code": status, "title": title, "message": TEXT}
    return {"error": {"code": status, "message": TEXT, "title": title, "reason": TEXT}}


@pytest.mark.parametrize(("service", "status"), ERRORS, ids=lambda one: getattr(one, "name", one))
def test_an_error_is_in_its_services_form(
    quiet_api: Api, service: Dialect, status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    who, method, path, sent = ERRORS[service, status]

    answer = quiet_api.call(who, method, path, **sent)

    assert (answer.status_code, answer.get_json()) == (status, form(service, status))
    request_id = answer.headers["x-openstack-request-id"]
    assert request_id == REQUEST_ID
    assert answer.headers.get("x-compute-request-id") == (
        request_id if service is COMPUTE else None
    )
    asked = 'Keystone uri="http://localhost/identity/v3"'
    assert answer.headers.get("WWW-Authenticate") == (asked if status == 401 else None)
    [line] = [each for each in capfd.readouterr().out.splitlines() if "request.done" in each]
    assert request_id in line


def test_a_servers_actions_know_the_request(api: Api) -> None:
    one = f"/compute/v2.1/servers/{ACTIVE}"

    answer = api.call("alice", "POST", f"{one}/action", json={"os-stop": None})

    actions = api.call("alice", "GET", f"{one}/os-instance-actions").get_json()["instanceActions"]
    assert actions[0]["request_id"] == answer.headers["x-compute-request-id"]
