"""Interfaces that come to a server and leave it, as they are asked for."""

from typing import Any

import pytest
from sqlalchemy import select

from app.db.models import Port, RequestSpec, Run
from app.db.session import reading
from tests.http.cases import UUID, Api, Like
from tests.http.table_servers import ONE
from tests.http.test_server_actions import act, begun, put_into, reason
from tests.http.world import ACTIVE, FAILED, NETWORK, PORT

HERE = f"{ONE}/os-interface"
NOWHERE = "00000000-0000-4000-8000-00000000dead"


@pytest.fixture(autouse=True)
def _asked_for(api: Api) -> None:
    with api.sessions.begin() as session:
        if session.get(RequestSpec, ACTIVE) is None:
            session.add(RequestSpec(server_id=ACTIVE))


def attach(api: Api, at: int = 1, **said: Any) -> Any:
    headers = {"OpenStack-API-Version": f"compute 2.{at}"}
    return api.call("alice", "POST", HERE, json={"interfaceAttachment": said}, headers=headers)


def end_all(api: Api) -> None:
    with api.sessions.begin() as session:
        for run in session.scalars(select(Run).where(Run.state == "running")):
            run.state = "done"


def own_port(api: Api) -> str:
    body = {"port": {"network_id": NETWORK}}
    made = api.call("alice", "POST", "/network/v2.0/ports", json=body)
    return str(made.get_json()["port"]["id"])


@pytest.mark.parametrize("vm_state", ["active", "stopped", "paused"])
def test_interface_on_a_network_is_made(api: Api, vm_state: str) -> None:
    put_into(api, vm_state)
    answer = attach(api, net_id=NETWORK)

    assert answer.status_code == 200
    told = answer.get_json()["interfaceAttachment"]
    assert told == {
        "port_id": UUID,
        "net_id": NETWORK,
        "mac_addr": Like("fa:16:3e:.*"),
        "port_state": "DOWN",
        "fixed_ips": [{"subnet_id": UUID, "ip_address": Like("10.77.0.*")}],
    }
    [run] = begun(api)
    assert (run.pipeline, run.parameters) == ("attach_interface", {"port_id": told["port_id"]})
    server = api.call("alice", "GET", ONE).get_json()["server"]
    assert server["OS-EXT-STS:task_state"] is None
    assert len(api.call("alice", "GET", HERE).get_json()["interfaceAttachments"]) == 2
    group = api.call("alice", "GET", f"/network/v2.0/ports/{told['port_id']}").get_json()
    assert len(group["port"]["security_groups"]) == 1


def test_interface_has_the_address_that_was_asked_for(api: Api) -> None:
    told = attach(api, net_id=NETWORK, fixed_ips=[{"ip_address": "10.77.0.77"}]).get_json()
    assert told["interfaceAttachment"]["fixed_ips"][0]["ip_address"] == "10.77.0.77"


def test_ones_own_port_is_attached(api: Api) -> None:
    port_id = own_port(api)
    told = attach(api, port_id=port_id)
    assert (told.status_code, told.get_json()["interfaceAttachment"]["port_id"]) == (200, port_id)
    end_all(api)
    refused = attach(api, port_id=port_id)
    assert (refused.status_code, reason(refused)) == (409, f"Port {port_id} is still in use.")


def tag_of(api: Api, port_id: str) -> str:
    with reading(api.sessions) as session:
        return session.get_one(Port, port_id).tag


@pytest.mark.parametrize("own", [False, True])
def test_interface_is_tagged_anew_with_each_server(api: Api, *, own: bool) -> None:
    said = {"port_id": own_port(api)} if own else {"net_id": NETWORK}
    for tag in ({"tag": "front"}, {}):
        answer = attach(api, at=49, **said, **tag)
        port_id = answer.get_json()["interfaceAttachment"]["port_id"]
        assert tag_of(api, port_id) == tag.get("tag", "")
        with api.sessions.begin() as session:
            session.get_one(Port, port_id).server_id = None
        end_all(api)


def test_the_one_network_is_attached_with_a_tag(api: Api) -> None:
    told = attach(api, at=49, tag="front").get_json()["interfaceAttachment"]
    assert tag_of(api, told["port_id"]) == "front"


def test_interface_is_detached(api: Api) -> None:
    answer = api.call("alice", "DELETE", f"{HERE}/{PORT}")
    assert (answer.status_code, answer.get_data()) == (202, b"")
    [run] = begun(api)
    assert (run.pipeline, run.parameters) == ("detach_interface", {"port_id": PORT})


def test_addresses_are_added_and_removed(api: Api) -> None:
    assert act(api, {"addFixedIp": {"networkId": NETWORK}}).status_code == 202
    assert [run.pipeline for run in begun(api)] == ["change_addresses"]
    end_all(api)
    with reading(api.sessions) as session:
        held = [each.address for each in session.get_one(Port, PORT).addresses]
    assert len(held) == 2
    assert act(api, {"removeFixedIp": {"address": held[1]}}).status_code == 202
    end_all(api)
    with reading(api.sessions) as session:
        assert [each.address for each in session.get_one(Port, PORT).addresses] == held[:1]
    # The last one goes with its interface.
    assert act(api, {"removeFixedIp": {"address": held[0]}}).status_code == 202
    assert [run.pipeline for run in begun(api)] == ["detach_interface"]


@pytest.mark.parametrize(
    ("said", "status", "told"),
    [
        ({"net_id": NOWHERE}, 400, "could not be found"),
        ({"port_id": NOWHERE}, 400, "could not be found"),
        ({"net_id": NETWORK, "port_id": PORT}, 400, "Must not input both"),
        ({"fixed_ips": [{"ip_address": "10.77.0.9"}]}, 400, "Must input network_id"),
        ({"net_id": NETWORK, "fixed_ips": [{"ip_address": "10.77.0.5"}]}, 400, "in use"),
        ({"net_id": NETWORK, "fixed_ips": [{"ip_address": "?"}]}, 400, "ip_address"),
        ({"tag": "mine"}, 400, "tag"),
    ],
)
def test_bad_attachment_is_told_by_its_field(
    api: Api, said: dict[str, Any], status: int, told: str
) -> None:
    refused = attach(api, **said)
    assert (refused.status_code, told in reason(refused)) == (status, True), reason(refused)
    assert begun(api) == []


def test_what_is_not_there_is_not_detached(api: Api) -> None:
    refused = api.call("alice", "DELETE", f"{HERE}/{NOWHERE}")
    assert (refused.status_code, reason(refused)) == (404, f"Port id {NOWHERE} could not be found.")
    for said in ({"addFixedIp": {"networkId": NOWHERE}}, {"removeFixedIp": {"address": "1.2.3.4"}}):
        assert act(api, said).status_code == 400
    assert begun(api) == []


def test_states_and_strangers_are_refused(api: Api) -> None:
    put_into(api, "suspended")
    told = f"Cannot 'attach_interface' instance {ACTIVE} while it is in vm_state suspended"
    assert reason(attach(api, net_id=NETWORK)) == told
    put_into(api, "active")
    body = {"interfaceAttachment": {"net_id": NETWORK}}
    assert api.call("bob", "POST", HERE, json=body).status_code == 404
    assert api.call("bob", "DELETE", f"{HERE}/{PORT}").status_code == 404
    nowhere = HERE.replace(ACTIVE, FAILED)
    assert api.call("alice", "POST", nowhere, json=body).status_code == 409
