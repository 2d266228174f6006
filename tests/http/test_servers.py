"""Servers are made and deleted: what is answered, what is written, what is sent."""

import base64
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from app.db.models import Hypervisor, Image, RequestSpec, Run, Server, Stage
from app.db.models.base import now
from app.db.session import reading
from tests.http.cases import BASE, UUID, Api, Like, compute_fault, links
from tests.http.table_refusals import BLOCK_DEVICE, GOOD
from tests.http.world import ACTIVE, ALICE, ALPHA, NETWORK, PUBLIC_IMAGE, PUBLIC_KEY

SERVERS = "/compute/v2.1/servers"
CREATE_STAGES = [
    "validate",
    "schedule",
    "build_resources",
    "define_domain",
    "launch",
    "poll_boot",
]


def create(api: Api, who: str = "alice", **changes: Any) -> Any:
    """Ask for a server and return the answer."""
    return api.call(who, "POST", SERVERS, json={"server": {**GOOD, **changes}})


def server(api: Api, server_id: str) -> Server:
    """Return a server's row."""
    with reading(api.sessions) as session:
        return session.get_one(Server, server_id)


def spec(api: Api, server_id: str) -> RequestSpec:
    """Return what was asked for."""
    with reading(api.sessions) as session:
        return session.get_one(RequestSpec, server_id)


def runs(api: Api, server_id: str) -> list[Run]:
    """Return a server's runs, oldest first."""
    with reading(api.sessions) as session:
        query = select(Run).where(Run.server_id == server_id).order_by(Run.created_at)
        return list(session.scalars(query))


def test_create_answers_at_once(api: Api) -> None:
    answer = create(api)

    server_id = answer.get_json()["server"]["id"]
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"{BASE}{SERVERS}/{server_id}"
    assert answer.get_json() == {
        "server": {
            "id": UUID,
            "links": links("servers", server_id),
            "adminPass": Like("[A-Za-z0-9]{12}"),
            "OS-DCF:diskConfig": "MANUAL",
            "security_groups": [{"name": "default"}],
        }
    }


def test_create_writes_server_and_run_and_sends_it(api: Api) -> None:
    answer = create(api)

    server_id = answer.get_json()["server"]["id"]
    row, (run,) = server(api, server_id), runs(api, server_id)
    assert (row.project_id, row.user_id, row.status, row.task_state) == (
        ALPHA,
        ALICE,
        "BUILD",
        "validate",
    )
    assert (row.vcpus, row.memory_mib, row.root_gib, row.hostname) == (1, 256, 1, "new")
    assert run.request_id == answer.headers["x-compute-request-id"]
    assert api.recorder.sent == [run.id]
    with reading(api.sessions) as session:
        query = select(Stage.name).where(Stage.run_id == run.id).order_by(Stage.position)
        assert list(session.scalars(query)) == CREATE_STAGES


def test_create_keeps_what_the_build_needs(api: Api) -> None:
    user_data = base64.b64encode(b"#!/bin/sh\n" * 10).decode()

    answer = create(
        api,
        name="My Web_Server.example",
        key_name="key",
        user_data=f"{user_data[:20]}\n{user_data[20:]}",
        metadata={"role": "web"},
        adminPass="open sesame",
        config_drive="True",
        security_groups=[{"name": "default"}],
        accessIPv4="192.0.2.1",
        block_device_mapping_v2=[BLOCK_DEVICE],
        **{"OS-DCF:diskConfig": "AUTO"},
    )

    server_id = answer.get_json()["server"]["id"]
    row, asked = server(api, server_id), spec(api, server_id)
    assert (row.hostname, row.key_name) == ("my-web-server-example", "key")
    assert (row.user_metadata, row.access_ipv4) == ({"role": "web"}, "192.0.2.1")
    assert asked.public_key == PUBLIC_KEY
    assert (asked.user_data, asked.admin_pass) == (user_data, "open sesame")
    assert asked.network_ids == [NETWORK]
    assert answer.get_json()["server"]["OS-DCF:diskConfig"] == "AUTO"


@pytest.mark.parametrize(
    ("asked", "has"), [("False", False), (False, False), (None, True), ("True", True)]
)
def test_a_server_has_a_config_drive_unless_it_is_refused(
    api: Api, asked: Any, *, has: bool
) -> None:
    made = create(api, config_drive=asked).get_json()["server"]["id"]
    assert server(api, made).config_drive is has
    shown = api.call("alice", "GET", f"/compute/v2.1/servers/{made}").get_json()["server"]
    assert shown["config_drive"] == ("True" if has else "")
    found = api.call("alice", "GET", f"/compute/v2.1/servers?config_drive={not has}").get_json()
    assert made not in [one["id"] for one in found["servers"]]


@pytest.mark.parametrize("networks", [None, []])
def test_the_only_network_is_taken(api: Api, networks: list[Any] | None) -> None:
    body = {key: value for key, value in GOOD.items() if key != "networks"}
    if networks is not None:
        body["networks"] = networks

    answer = api.call("alice", "POST", SERVERS, json={"server": body})

    assert spec(api, answer.get_json()["server"]["id"]).network_ids == [NETWORK]


def test_the_longest_user_data_is_taken(api: Api) -> None:
    assert create(api, user_data="A" * 65532).status_code == 202


def test_several_at_once_are_numbered(api: Api) -> None:
    answer = create(api, name="web", min_count=2, return_reservation_id=True)

    assert answer.get_json() == {"reservation_id": Like("r-[a-z0-9]{8}")}
    listed = api.call("alice", "GET", f"{SERVERS}?name=^web-&sort_key=display_name&sort_dir=asc")
    assert [each["name"] for each in listed.get_json()["servers"]] == ["web-1", "web-2"]
    assert len(api.recorder.sent) == 2


def test_as_many_as_fit_are_made_from_min_to_max(api: Api) -> None:
    assert create(api, min_count=1, max_count=50).status_code == 202

    # Five are allowed, and two were there.
    assert len(api.recorder.sent) == 3
    refused = create(api)
    assert refused.get_json() == compute_fault(
        403, "Quota exceeded for instances: Requested 1, but already used 5 of 5 instances"
    )


def test_the_quota_holds_when_all_ask_at_once(api: Api) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: create(api).status_code, range(8)))

    assert sorted(answers) == [202] * 3 + [403] * 5
    assert len(api.recorder.sent) == 3


def test_a_token_made_with_a_password_creates(api: Api) -> None:
    login = {
        "auth": {
            "identity": {
                "methods": ["password"],
                "password": {"user": {"id": ALICE, "password": "correct horse"}},
            }
        }
    }
    secret = api.call(None, "POST", "/identity/v3/auth/tokens", json=login).headers[
        "X-Subject-Token"
    ]

    answer = api.call(
        None, "POST", SERVERS, json={"server": GOOD}, headers={"X-Auth-Token": secret}
    )

    assert answer.status_code == 202


def test_delete_sets_the_wish(api: Api) -> None:
    answer = api.call("alice", "DELETE", f"{SERVERS}/{ACTIVE}")

    assert (answer.status_code, answer.data, answer.headers.get("Content-Type")) == (204, b"", None)
    shown = api.call("alice", "GET", f"{SERVERS}/{ACTIVE}").get_json()["server"]
    assert (shown["status"], shown["OS-EXT-STS:task_state"]) == ("ACTIVE", "deleting")
    run = runs(api, ACTIVE)[-1]
    assert (run.pipeline, api.recorder.sent) == ("delete", [run.id])


def test_delete_during_build_cancels_it(api: Api) -> None:
    server_id = create(api).get_json()["server"]["id"]

    api.call("alice", "DELETE", f"{SERVERS}/{server_id}")

    states = [(run.pipeline, run.state) for run in runs(api, server_id)]
    assert states == [("create", "cancelled"), ("delete", "running")]


def test_delete_can_be_asked_for_again(api: Api) -> None:
    answers = [api.call("alice", "DELETE", f"{SERVERS}/{ACTIVE}").status_code for _ in range(3)]

    assert answers == [204, 204, 204]
    assert len(api.recorder.sent) == 1


def test_deletes_at_once_make_one_run(api: Api) -> None:
    with ThreadPoolExecutor(6) as pool:
        answers = list(
            pool.map(lambda _: api.call("alice", "DELETE", f"{SERVERS}/{ACTIVE}"), range(6))
        )

    assert {answer.status_code for answer in answers} == {204}
    assert len(runs(api, ACTIVE)) == 2


def test_an_operator_deletes_anybodys(api: Api) -> None:
    assert api.call("root", "DELETE", f"{SERVERS}/{ACTIVE}").status_code == 204


def test_a_server_is_made_after_its_image_is_gone_no_more(api: Api) -> None:
    api.call("root", "DELETE", f"/image/v2/images/{PUBLIC_IMAGE}")

    assert create(api).get_json() == compute_fault(
        400, f"imageRef: image {PUBLIC_IMAGE} could not be found."
    )


def silence_hosts(api: Api) -> None:
    with api.sessions.begin() as session:
        session.execute(update(Hypervisor).values(last_seen_at=now() - timedelta(hours=1)))


def test_server_of_a_silent_host_is_unknown_not_stale(api: Api) -> None:
    silence_hosts(api)

    shown = api.call("alice", "GET", f"/compute/v2.1/servers/{ACTIVE}").get_json()["server"]

    assert (shown["status"], shown["OS-EXT-STS:power_state"]) == ("UNKNOWN", 0)
    assert shown["OS-EXT-STS:vm_state"] == "active"


@pytest.mark.parametrize(
    ("status", "alive", "found"),
    [
        ("ACTIVE", True, ["web"]),
        ("ACTIVE", False, []),
        ("UNKNOWN", True, []),
        ("UNKNOWN", False, ["web"]),
        ("ERROR", False, ["broken"]),
    ],
)
def test_servers_are_found_by_the_status_that_is_shown(
    api: Api, status: str, alive: bool, found: list[str]
) -> None:
    if not alive:
        silence_hosts(api)

    answer = api.call("alice", "GET", f"/compute/v2.1/servers?status={status}")

    assert [server["name"] for server in answer.get_json()["servers"]] == found


def test_a_server_keeps_what_its_flavor_said_when_it_was_asked_for(api: Api) -> None:
    flavor = {"name": "keeps", "id": "keeps", "ram": 256, "vcpus": 1, "disk": 1, "swap": 64}
    flavor["OS-FLV-EXT-DATA:ephemeral"] = 2
    api.call("root", "POST", "/compute/v2.1/flavors", json={"flavor": flavor})
    specs = "/compute/v2.1/flavors/keeps/os-extra_specs"
    before, after = {"hw:cpu_policy": "dedicated"}, {"hw:cpu_policy": "shared"}
    api.call("root", "POST", specs, json={"extra_specs": before})

    server_id = create(api, flavorRef="keeps").get_json()["server"]["id"]
    api.call("root", "POST", specs, json={"extra_specs": after})

    row = server(api, server_id)
    assert (row.ephemeral_gib, row.swap_mib) == (2, 64)
    assert spec(api, server_id).extra_specs == before
    api.call("root", "DELETE", "/compute/v2.1/flavors/keeps")


def test_server_keeps_what_its_image_said(api: Api) -> None:
    server_id = create(api).get_json()["server"]["id"]

    assert spec(api, server_id).image_words == {"byre_boot_proof": "running"}


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({"hw_disk_bus": "floppy"}, "hw_disk_bus: 'floppy' is none of .*"),
        ({"hw_disk_bus": "ide", "hw_machine_type": "q35"}, "hw_disk_bus: ide is for .*"),
    ],
)
def test_hardware_that_cannot_be_had_is_told_at_once(
    api: Api, properties: dict[str, str], reason: str
) -> None:
    with api.sessions.begin() as session:
        image = session.get_one(Image, PUBLIC_IMAGE)
        kept, image.properties = image.properties, {**image.properties, **properties}
    answer = create(api)
    with api.sessions.begin() as session:
        session.get_one(Image, PUBLIC_IMAGE).properties = kept
    assert answer.status_code == 400
    assert answer.get_json() == compute_fault(400, Like(reason))
