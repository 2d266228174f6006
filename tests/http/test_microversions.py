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
from app.db.models import Network
from tests.http.cases import BASE, UUID, Api, compute_fault
from tests.http.table_refusals import GOOD
from tests.http.world import ACTIVE, ALICE, HOST, NETWORK, PUBLIC_KEY

LAST = list(Gate)[-1].version
SERVERS = "/compute/v2.1/servers"
ONE = f"{SERVERS}/{ACTIVE}"
GROUPS = "/compute/v2.1/os-server-groups"
KEYPAIRS = "/compute/v2.1/os-keypairs"

Call = Callable[..., TestResponse]


@pytest.fixture
def at(api: Api) -> Call:
    """Send a request at a minor version."""

    def call(minor: int, who: str, method: str, path: str, **more: Any) -> TestResponse:
        headers = {"OpenStack-API-Version": f"compute 2.{minor}"}
        return api.call(who, method, path, headers=headers, **more)

    return call


def test_there_is_a_gate_for_every_version_on_offer() -> None:
    assert [gate.version for gate in Gate] == [(2, minor) for minor in range(2, LAST[1] + 1)]
    assert microversions.MAXIMUM == LAST


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
) -> None:
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


def create(at: Call, minor: int, who: str = "alice", **more: Any) -> Any:
    """Make a server, and return it as an administrator sees it at the highest version."""
    answer = at(minor, who, "POST", SERVERS, json={"server": {**GOOD, **more}})
    assert answer.status_code == 202, answer.get_data(as_text=True)
    made = answer.get_json()["server"]["id"]
    return at(LAST[1], "root", "GET", f"{SERVERS}/{made}").get_json()["server"]


def test_2_3_servers_made_together_know_it(at: Call) -> None:
    body = {"server": {**GOOD, "max_count": 2, "min_count": 2, "return_reservation_id": True}}
    made = at(1, "alice", "POST", SERVERS, json=body).get_json()["reservation_id"]

    found = at(3, "root", "GET", f"{SERVERS}/detail?all_tenants=1").get_json()["servers"]
    key = "OS-EXT-SRV-ATTR:reservation_id"
    together = [server for server in found if server[key] == made]
    assert {server["OS-EXT-SRV-ATTR:launch_index"] for server in together} == {0, 1}


def test_2_9_a_lock_is_shown(at: Call) -> None:
    at(9, "alice", "POST", f"{ONE}/action", json={"lock": None})

    assert at(9, "alice", "GET", ONE).get_json()["server"]["locked"] is True


@pytest.mark.parametrize(
    ("minor", "more", "shown"),
    [
        (18, {}, GOOD["name"]),
        (19, {}, None),
        (19, {"description": "mine"}, "mine"),
        (19, {"description": None}, None),
    ],
)
def test_2_19_what_is_said_of_a_server(at: Call, minor: int, more: Any, shown: str | None) -> None:
    assert create(at, minor, **more)["description"] == shown


def test_2_19_a_description_is_changed(at: Call) -> None:
    answer = at(19, "alice", "PUT", ONE, json={"server": {"description": "ours"}})

    assert answer.get_json()["server"]["description"] == "ours"
    assert at(19, "alice", "GET", ONE).get_json()["server"]["description"] == "ours"


def test_2_26_tags_come_are_found_and_go(at: Call) -> None:
    def tags() -> list[str]:
        shown: list[str] = at(26, "rita", "GET", ONE).get_json()["server"]["tags"]
        return shown

    added = at(26, "alice", "PUT", f"{ONE}/tags/red")
    assert (added.status_code, added.headers["Location"]) == (201, f"{BASE}{ONE}/tags/red")
    assert at(26, "alice", "PUT", f"{ONE}/tags/red").status_code == 204
    answer = at(26, "alice", "PUT", f"{ONE}/tags", json={"tags": ["red", "blue", "blue"]})
    assert answer.get_json() == {"tags": ["blue", "red"]}
    assert tags() == ["blue", "red"]
    assert at(26, "rita", "GET", f"{ONE}/tags/red").status_code == 204
    for query, found in (
        ("tags=red,blue", True),
        ("tags=red,green", False),
        ("tags=Red", False),
        ("tags-any=red,green", True),
        ("not-tags=red,green", True),
        ("not-tags=red", False),
        ("not-tags-any=red,green", False),
    ):
        listed = at(26, "alice", "GET", f"{SERVERS}?{query}").get_json()["servers"]
        assert (ACTIVE in [server["id"] for server in listed]) == found, query
    assert at(26, "alice", "DELETE", f"{ONE}/tags/blue").status_code == 204
    assert tags() == ["red"]
    assert at(26, "alice", "DELETE", f"{ONE}/tags").status_code == 204
    assert tags() == []


def test_2_26_a_server_has_so_many_tags(at: Call) -> None:
    at(26, "alice", "PUT", f"{ONE}/tags", json={"tags": [f"t{n}" for n in range(50)]})

    answer = at(26, "alice", "PUT", f"{ONE}/tags/more")

    assert "exceeded the per-server limit 50" in answer.get_json()["badRequest"]["message"]


@pytest.mark.parametrize(("networks", "count"), [("auto", 1), ("none", 0)])
def test_2_37_networks_in_a_word(at: Call, networks: str, count: int) -> None:
    answer = at(
        37, "alice", "POST", "/byre/v1/plan", json={"server": {**GOOD, "networks": networks}}
    )

    [server] = answer.get_json()["plan"]["servers"]
    assert len(server["addresses"]) == count


def test_2_37_no_network_is_made_up(at: Call, api: Api) -> None:
    with api.sessions.begin() as session:
        session.get_one(Network, NETWORK).shared = False

    answer = at(37, "alice", "POST", SERVERS, json={"server": {**GOOD, "networks": "auto"}})

    assert answer.status_code == 400
    assert "Unable to automatically allocate" in answer.get_json()["badRequest"]["message"]


def test_2_52_tags_at_once(at: Call) -> None:
    assert create(at, 52, tags=["b", "a", "b"])["tags"] == ["a", "b"]


def test_2_15_and_2_64_groups_that_are_softer(at: Call) -> None:
    soft = {"server_group": {"name": "soft", "policies": ["soft-anti-affinity"]}}
    made = at(15, "alice", "POST", GROUPS, json=soft).get_json()["server_group"]
    assert made["policies"] == ["soft-anti-affinity"]
    rules = {"max_server_per_host": "2"}
    body = {"server_group": {"name": "two", "policy": "anti-affinity", "rules": rules}}

    answer = at(64, "alice", "POST", GROUPS, json=body).get_json()["server_group"]

    assert answer == {
        "id": UUID,
        "name": "two",
        "policy": "anti-affinity",
        "rules": {"max_server_per_host": 2},
        "members": [],
        "project_id": made["project_id"],
        "user_id": made["user_id"],
    }
    listed = at(64, "alice", "GET", GROUPS).get_json()["server_groups"]
    assert [(group["policy"], group["rules"]) for group in listed] == [
        ("soft-anti-affinity", {}),
        ("anti-affinity", {"max_server_per_host": 2}),
    ]


def test_2_54_a_rebuild_changes_key_and_description(at: Call) -> None:
    image = at(1, "alice", "GET", ONE).get_json()["server"]["image"]["id"]
    more = {"key_name": None, "description": "anew", "user_data": "YQ=="}

    answer = at(57, "alice", "POST", f"{ONE}/action", json={"rebuild": {"imageRef": image, **more}})

    server = answer.get_json()["server"]
    assert {name: server[name] for name in more} == more


SERVICES = "/compute/v2.1/os-services"


def _down(at: Call) -> tuple[str, str, str]:
    """Return what is told of a host by its service, its hypervisor and its server."""
    [service] = at(11, "root", "GET", SERVICES).get_json()["services"]
    [host] = at(11, "root", "GET", "/compute/v2.1/os-hypervisors").get_json()["hypervisors"]
    server = at(16, "root", "GET", ONE).get_json()["server"]
    return service["state"], host["state"], server["host_status"]


def test_2_11_a_host_that_is_said_to_be_down(at: Call) -> None:
    body = {"host": "host-1", "binary": "nova-compute"}

    answer = at(11, "root", "PUT", f"{SERVICES}/force-down", json={**body, "forced_down": True})

    assert answer.get_json() == {"service": {**body, "forced_down": True}}
    assert _down(at) == ("down", "down", "DOWN")
    refused = at(1, "alice", "POST", f"{ONE}/action", json={"os-stop": None})
    assert "while its host does not answer" in refused.get_json()["conflictingRequest"]["message"]
    at(11, "root", "PUT", f"{SERVICES}/force-down", json={**body, "forced_down": False})
    assert _down(at) == ("up", "up", "UP")


def test_2_53_a_service_is_changed_by_its_id(at: Call) -> None:
    where = f"{SERVICES}/{HOST}"
    off = {"status": "disabled", "disabled_reason": "memory"}

    service = at(53, "root", "PUT", where, json={**off, "forced_down": True}).get_json()["service"]

    assert {name: service[name] for name in off} == off
    assert (service["id"], service["forced_down"], service["state"]) == (HOST, True, "down")
    on = at(53, "root", "PUT", where, json={"status": "enabled"}).get_json()["service"]
    assert (on["status"], on["disabled_reason"], on["forced_down"]) == ("enabled", None, True)


def test_2_10_an_administrator_keeps_a_keypair_for_somebody(at: Call) -> None:
    body = {"keypair": {"name": "given", "public_key": PUBLIC_KEY, "user_id": ALICE}}

    assert at(10, "root", "POST", KEYPAIRS, json=body).get_json()["keypair"]["user_id"] == ALICE
    assert at(10, "alice", "GET", f"{KEYPAIRS}/given").status_code == 200
    assert at(10, "root", "DELETE", f"{KEYPAIRS}/given").status_code == 404
    assert at(10, "root", "DELETE", f"{KEYPAIRS}/given?user_id={ALICE}").status_code == 204


def test_2_55_a_flavor_is_described(at: Call) -> None:
    where = "/compute/v2.1/flavors/42"

    answer = at(55, "root", "PUT", where, json={"flavor": {"description": "small"}})

    assert answer.get_json()["flavor"]["description"] == "small"
    listed = at(55, "alice", "GET", "/compute/v2.1/flavors").get_json()["flavors"]
    assert {flavor["id"]: flavor["description"] for flavor in listed}["42"] == "small"


def test_2_45_an_image_is_told_in_the_body(at: Call) -> None:
    answer = at(45, "alice", "POST", f"{ONE}/action", json={"createImage": {"name": "snap"}})

    assert (answer.status_code, answer.get_json()) == (202, {"image_id": UUID})
    assert "Location" not in answer.headers
