"""Networks that are made for projects that have none: asked for, and for servers on any network."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from app.db.models import Network, Project, RequestSpec
from app.db.session import reading
from app.services.context import Context
from tests.http.cases import Api
from tests.http.table_network import TOPOLOGY, V2
from tests.http.table_refusals import GOOD, SERVERS
from tests.http.test_networks import make, refused, send
from tests.http.test_routers import public
from tests.http.world import ALPHA, BETA, NETWORK, OPERATIONS

__all__ = ["public"]

AUTO = {**GOOD, "networks": "auto"}
AT_37 = {"OpenStack-API-Version": "compute 2.37"}


@pytest.fixture
def way_out(api: Api, public: Any) -> Any:
    """The external network, as the default one; and no network that all may use."""
    with api.sessions.begin() as session:
        session.get_one(Network, NETWORK).shared = False
    return send(
        api, "PUT", f"{V2}/networks/{public['id']}", {"network": {"is_default": True}}, "root"
    )


def topology(api: Api, project: str = ALPHA, who: str = "alice") -> Any:
    return send(api, "GET", f"{TOPOLOGY}/{project}", who=who)["id"]


def create(api: Api, path: str = SERVERS, who: str = "alice") -> Any:
    return api.call(who, "POST", path, json={"server": AUTO}, headers=AT_37)


def listed(api: Api, kind: str, who: str = "alice", query: str = "") -> Any:
    return send(api, "GET", f"{V2}/{kind}?{query}", who=who)


def auto_things(api: Api) -> list[str]:
    """Return the names of what alice has of it, in her own words."""
    kinds = ("networks", "subnets", "routers")
    named = [thing["name"] for kind in kinds for thing in listed(api, kind)]
    return [name.removeprefix("auto_allocated_") for name in named if name.startswith("auto_")]


def test_it_is_made_once_and_leads_to_the_world(api: Api, way_out: Any) -> None:
    network_id = topology(api)

    assert topology(api) == network_id
    assert auto_things(api) == ["network", "subnet_v4", "router"]
    [subnet] = listed(api, "subnets", query=f"network_id={network_id}")
    assert (subnet["cidr"], subnet["gateway_ip"]) == ("10.208.0.0/24", "10.208.0.1")
    [router] = listed(api, "routers")
    assert router["external_gateway_info"]["network_id"] == way_out["id"]
    [port] = listed(api, "ports", query=f"device_id={router['id']}")
    assert port["fixed_ips"] == [{"subnet_id": subnet["id"], "ip_address": "10.208.0.1"}]


@pytest.mark.usefixtures("way_out")
def test_each_project_has_its_own(api: Api) -> None:
    ids = [topology(api), topology(api, BETA, "bob"), topology(api, OPERATIONS, "root")]

    assert len(set(ids)) == 3
    subnets = listed(api, "subnets", "root", "name=auto_allocated_subnet_v4")
    assert [one["cidr"] for one in subnets] == ["10.208.0.0/24", "10.208.1.0/24", "10.208.2.0/24"]
    assert topology(api, ALPHA, "root") == ids[0]


@pytest.mark.usefixtures("way_out")
def test_requests_at_one_moment_get_the_same(api: Api) -> None:
    with ThreadPoolExecutor(4) as pool:
        ids = set(pool.map(lambda _: topology(api), range(4)))
    assert len(ids) == 1
    assert auto_things(api) == ["network", "subnet_v4", "router"]


@pytest.mark.usefixtures("way_out")
def test_a_dry_run_makes_nothing(api: Api) -> None:
    told = send(api, "GET", f"{TOPOLOGY}/{ALPHA}?fields=dry-run")
    assert told == {"id": "dry-run=pass", "tenant_id": ALPHA, "project_id": ALPHA}
    assert auto_things(api) == []


@pytest.mark.usefixtures("way_out")
def test_a_server_on_any_network_gets_it(api: Api) -> None:
    planned = create(api, "/byre/v1/plan").get_json()["plan"]["servers"][0]["addresses"]
    assert [place["address"] for place in planned] == ["10.208.0.2"]
    assert auto_things(api) == []

    answer = create(api)

    assert answer.status_code == 202
    [network_id] = {one["id"] for one in listed(api, "networks") if one["name"].startswith("auto_")}
    with reading(api.sessions) as session:
        spec = session.get_one(RequestSpec, answer.get_json()["server"]["id"])
        assert spec.network_ids == [network_id]
    assert create(api).status_code == 202
    assert topology(api) == network_id


@pytest.mark.usefixtures("way_out")
def test_a_server_on_no_network_that_was_named_gets_none(api: Api) -> None:
    wanted = {key: value for key, value in GOOD.items() if key != "networks"}
    assert api.call("alice", "POST", SERVERS, json={"server": wanted}).status_code == 202
    assert auto_things(api) == []


@pytest.mark.parametrize("resource", ["networks", "subnets", "routers", "ports"])
@pytest.mark.usefixtures("way_out")
def test_its_parts_count(api: Api, resource: str) -> None:
    with api.sessions.begin() as session:
        project = session.get_one(Project, ALPHA)
        setattr(project, f"quota_{resource}", 0)
    assert refused(api, "GET", f"{TOPOLOGY}/{ALPHA}") == (409, "OverQuota")
    answer = create(api)
    assert (answer.status_code, list(answer.get_json())) == (403, ["forbidden"])
    assert auto_things(api) == []


@pytest.mark.parametrize("room", ["", "10.77.0.0/24"])
@pytest.mark.usefixtures("way_out")
def test_without_room_nothing_is_made(api: Api, room: str) -> None:
    context: Context = api.app.extensions["byre"]
    settings = context.settings.model_copy(update={"auto_network_prefix": room})
    api.app.extensions["byre"] = replace(context, settings=settings)
    assert refused(api, "GET", f"{TOPOLOGY}/{ALPHA}") == (409, "AutoAllocationFailure")
    message = create(api).get_json()["badRequest"]["message"]
    assert message == f"Unable to automatically allocate a network for project {ALPHA}"
    assert auto_things(api) == []


@pytest.mark.usefixtures("way_out")
def test_it_is_removed_as_a_whole(api: Api) -> None:
    network_id = topology(api)
    port = make(api, "port", network_id=network_id)
    assert refused(api, "DELETE", f"{TOPOLOGY}/{ALPHA}") == (409, "NetworkInUse")
    assert auto_things(api) == ["network", "subnet_v4", "router"]
    assert listed(api, "ports", query="device_owner=network:router_interface") != []

    send(api, "DELETE", f"{V2}/ports/{port['id']}")
    for _ in range(2):
        send(api, "DELETE", f"{TOPOLOGY}/{ALPHA}")
    assert auto_things(api) == []
    assert topology(api) != network_id


@pytest.mark.usefixtures("way_out")
def test_a_router_that_leads_elsewhere_too_stays(api: Api) -> None:
    topology(api)
    network = make(api, "network", name="mine")
    subnet = make(api, "subnet", network_id=network["id"], ip_version=4, cidr="10.66.0.0/24")
    [router] = listed(api, "routers")
    path = f"{V2}/routers/{router['id']}/add_router_interface"
    assert api.call("alice", "PUT", path, json={"subnet_id": subnet["id"]}).status_code == 200
    assert refused(api, "DELETE", f"{TOPOLOGY}/{ALPHA}") == (409, "RouterInUse")
    assert auto_things(api) == ["network", "subnet_v4", "router"]


@pytest.mark.usefixtures("way_out")
def test_what_its_owner_takes_apart_is_made_anew(api: Api) -> None:
    network_id = topology(api)
    [router] = listed(api, "routers")
    [subnet] = listed(api, "subnets", query=f"network_id={network_id}")
    path = f"{V2}/routers/{router['id']}"
    body = {"subnet_id": subnet["id"]}
    assert api.call("alice", "PUT", f"{path}/remove_router_interface", json=body).status_code == 200
    send(api, "DELETE", path)
    assert topology(api) == network_id
    send(api, "DELETE", f"{V2}/networks/{network_id}")
    assert topology(api) != network_id


# --- the default external network ----------------------------------------------------------------


def change(api: Api, network: Any, **facts: Any) -> Any:
    answer = api.call("root", "PUT", f"{V2}/networks/{network['id']}", json={"network": facts})
    return answer.status_code, answer.get_json()


def test_there_is_one_default(api: Api, way_out: Any) -> None:
    [found] = listed(api, "networks", query="is_default=True")
    assert found["id"] == way_out["id"]
    facts = {"name": "other", "router:external": True, "is_default": True}
    assert refused(api, "POST", f"{V2}/networks", {"network": facts}, "root") == (
        409,
        "DefaultExternalNetworkExists",
    )
    assert change(api, way_out, is_default=True)[0] == 200
    assert change(api, way_out, is_default=False)[1]["network"]["is_default"] is False
    assert make(api, "network", "root", **facts)["is_default"] is True


def test_a_network_that_is_external_no_more_is_no_default(api: Api) -> None:
    facts = {"provider:network_type": "flat", "provider:physical_network": "physnet1"}
    network = make(api, "network", "root", is_default=True, **{"router:external": True}, **facts)
    status, told = change(api, network, **{"router:external": False})
    assert (status, "is_default" in told["network"]) == (200, False)
    assert change(api, network, is_default=True)[0] == 400
    both = {"router:external": True, "is_default": True}
    assert change(api, network, **both)[1]["network"]["is_default"] is True
