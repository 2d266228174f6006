"""Routers, external networks and floating IPs through the API."""

from typing import Any

import pytest

from app.db.models import FloatingIp, Hypervisor
from app.db.repo import fabric as fabric_repo
from app.db.repo.networks import FLOATING_IP, ROUTER_INTERFACE
from app.db.session import reading
from app.runs.fabric import build
from app.runs.settle import settle
from tasks.messages import Fabric
from tests.http.cases import SECOND, UUID, Api
from tests.http.test_networks import make, own_network, refused, send
from tests.http.world import ACTIVE, ALPHA, HOST, NETWORK, OPERATIONS, PORT, SUBNET
from tests.rows import make_settings

V2 = "/network/v2.0"
ACTION = f"/compute/v2.1/servers/{ACTIVE}/action"


@pytest.fixture
def public(api: Api) -> Any:
    """An external network on the hosts' own uplinks."""
    network = make(api, "network", "root", name="public", **{"router:external": True})
    make(
        api,
        "subnet",
        "root",
        network_id=network["id"],
        ip_version=4,
        cidr="203.0.113.0/24",
        enable_dhcp=False,
        allocation_pools=[{"start": "203.0.113.10", "end": "203.0.113.12"}],
    )
    return network


def router_to(api: Api, network: Any, who: str = "alice", **facts: Any) -> Any:
    gateway = {"network_id": network["id"]}
    return make(api, "router", who, name="r", external_gateway_info=gateway, **facts)


def interface(api: Api, router: Any, who: str = "alice", verb: str = "add", **body: Any) -> Any:
    path = f"{V2}/routers/{router['id']}/{verb}_router_interface"
    answer = api.call(who, "PUT", path, json=body)
    return answer.status_code, answer.get_json()


def routed(api: Api, public: Any) -> Any:
    """The world's shared network behind a router of its owner's, with a way to the world."""
    router = router_to(api, public, "root")
    assert interface(api, router, "root", subnet_id=SUBNET)[0] == 200
    return router


def floating(api: Api, public: Any, who: str = "alice", **facts: Any) -> Any:
    return make(api, "floatingip", who, floating_network_id=public["id"], **facts)


class Outbox:
    """Keeps what hosts are told."""

    def __init__(self) -> None:
        self.orders: list[Fabric] = []

    def fabric(self, order: Fabric) -> None:
        self.orders.append(order)

    def fabric_changed(self) -> None:
        return


def told(api: Api) -> Fabric:
    """Settle what has changed, and return what the host is told."""
    settle(api.sessions, Outbox(), make_settings())  # type: ignore[arg-type]
    with reading(api.sessions) as session:
        revision = fabric_repo.revision(session, HOST)
        return build(session, HOST, "host-1", revision)


def carried_out(api: Api, revision: int, refused: list[str] | None = None) -> None:
    """Let the host say that it has carried the revision out."""
    with api.sessions.begin() as session:
        host = session.get_one(Hypervisor, HOST)
        host.fabric_carried_out, host.refused_floating_ips = revision, refused or []


# --- external networks ---------------------------------------------------------------------------


def test_external_network_is_an_administrators_and_all_see_it(api: Api, public: Any) -> None:
    body = {"network": {"name": "x", "router:external": True}}

    assert refused(api, "POST", f"{V2}/networks", body) == (403, "PolicyNotAuthorized")
    assert public["router:external"] is True
    assert public["provider:network_type"] == "local"
    seen = send(api, "GET", f"{V2}/networks?router:external=True", who="bob")
    assert [network["id"] for network in seen] == [public["id"]]


def test_nobody_hangs_a_server_on_the_hosts_uplinks(api: Api, public: Any) -> None:
    port = {"port": {"network_id": public["id"]}}
    server = {
        "server": {
            "name": "x",
            "flavorRef": "42",
            "imageRef": "00000000-0000-4000-8000-000000000021",
            "networks": [{"uuid": public["id"]}],
        }
    }

    assert refused(api, "POST", f"{V2}/ports", port) == (403, "PolicyNotAuthorized")
    answer = api.call("root", "POST", f"{V2}/ports", json=port)
    error = answer.get_json()["NeutronError"]
    assert (answer.status_code, error["type"]) == (501, "HTTPNotImplemented")
    assert "on which there are floating IPs only" in error["message"]
    assert api.call("alice", "POST", "/compute/v2.1/servers", json=server).status_code == 403


def test_external_network_that_spans_hosts_is_refused(api: Api, public: Any) -> None:
    asked = {"router:external": True, "provider:network_type": "vxlan"}
    changed = {"network": {"router:external": False}}
    dhcp = {"network_id": public["id"], "ip_version": 4, "cidr": "198.51.100.0/24"}

    assert refused(api, "POST", f"{V2}/networks", {"network": asked}, "root")[0] == 400
    assert refused(api, "PUT", f"{V2}/networks/{public['id']}", changed, "root")[0] == 501
    assert refused(api, "POST", f"{V2}/subnets", {"subnet": dhcp}, "root")[0] == 400


def test_network_of_an_operators_bridge_becomes_external_and_ceases_to_be(api: Api) -> None:
    facts = {"provider:network_type": "flat", "provider:physical_network": "ext"}
    network = make(api, "network", "root", name="flat", **facts)
    path = f"{V2}/networks/{network['id']}"

    on = send(api, "PUT", path, {"network": {"router:external": True}}, "root")
    router = router_to(api, network)
    busy = refused(api, "PUT", path, {"network": {"router:external": False}}, "root")
    gone = refused(api, "DELETE", path, who="root")
    send(api, "DELETE", f"{V2}/routers/{router['id']}")
    off = send(api, "PUT", path, {"network": {"router:external": False}}, "root")

    assert on["router:external"] is True
    assert busy == gone == (409, "NetworkInUse")
    assert off["router:external"] is False


# --- routers -------------------------------------------------------------------------------------


def test_router_is_made_shown_changed_and_removed(api: Api, public: Any) -> None:
    router = make(api, "router", name="r", description="way out")
    path = f"{V2}/routers/{router['id']}"

    assert router == {
        "id": UUID,
        "name": "r",
        "tenant_id": ALPHA,
        "project_id": ALPHA,
        "description": "way out",
        "tags": [],
        "revision_number": 0,
        "created_at": SECOND,
        "updated_at": SECOND,
        "status": "ACTIVE",
        "admin_state_up": True,
        "external_gateway_info": None,
        "routes": [],
        "availability_zones": ["nova"],
        "availability_zone_hints": [],
    }
    gateway = {"router": {"external_gateway_info": {"network_id": public["id"]}}}
    assert send(api, "PUT", path, gateway)["external_gateway_info"] == {
        "network_id": public["id"],
        "enable_snat": True,
        "external_fixed_ips": [],
    }
    cleared = send(api, "PUT", path, {"router": {"external_gateway_info": {}}})
    assert cleared["external_gateway_info"] is None
    assert send(api, "GET", f"{V2}/routers?name=r", who="bob") == []
    assert refused(api, "GET", path, who="bob") == (404, "RouterNotFound")
    send(api, "DELETE", path)
    assert refused(api, "GET", path) == (404, "RouterNotFound")


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"routes": [{"destination": "10.0.0.0/8", "nexthop": "10.1.0.9"}]}, 501),
        ({"external_gateway_info": {"network_id": "PUBLIC", "enable_snat": False}}, 501),
        (
            {
                "external_gateway_info": {
                    "network_id": "PUBLIC",
                    "external_fixed_ips": [{"ip_address": "203.0.113.11"}],
                }
            },
            501,
        ),
        ({"external_gateway_info": {"network_id": NETWORK}}, 400),
        ({"external_gateway_info": {"network_id": "none"}}, 404),
        ({"external_gateway_info": []}, 400),
        ({"ha": True}, 400),
        ({"project_id": OPERATIONS}, 403),
    ],
)
def test_router_that_no_host_can_be_is_refused(
    api: Api, public: Any, facts: dict[str, Any], expected: int
) -> None:
    gateway = facts.get("external_gateway_info")
    if isinstance(gateway, dict) and gateway["network_id"] == "PUBLIC":
        gateway = {**gateway, "network_id": public["id"]}
        facts = {"external_gateway_info": gateway}

    assert refused(api, "POST", f"{V2}/routers", {"router": facts})[0] == expected


def test_router_gets_the_gateways_address_of_a_subnet(api: Api) -> None:
    network, subnet = own_network(api)
    router = make(api, "router", name="r")

    status, body = interface(api, router, subnet_id=subnet["id"])

    assert (status, body) == (
        200,
        {
            "id": router["id"],
            "tenant_id": ALPHA,
            "project_id": ALPHA,
            "port_id": UUID,
            "network_id": network["id"],
            "subnet_id": subnet["id"],
            "subnet_ids": [subnet["id"]],
        },
    )
    (port,) = send(api, "GET", f"{V2}/ports?device_id={router['id']}")
    assert (port["device_owner"], port["status"]) == (ROUTER_INTERFACE, "ACTIVE")
    assert port["fixed_ips"] == [{"subnet_id": subnet["id"], "ip_address": "10.66.0.1"}]
    port_path = f"{V2}/ports/{port['id']}"
    assert refused(api, "DELETE", port_path) == (409, "PortInUse")
    assert refused(api, "PUT", port_path, {"port": {"name": "x"}}) == (409, "PortInUse")
    gateway = {"subnet": {"gateway_ip": None}}
    moved = refused(api, "PUT", f"{V2}/subnets/{subnet['id']}", gateway)
    assert moved == (409, "GatewayIpInUse")
    assert refused(api, "DELETE", f"{V2}/routers/{router['id']}") == (409, "RouterInUse")
    assert interface(api, router, verb="remove", subnet_id=subnet["id"])[1]["port_id"] == port["id"]
    assert send(api, "GET", f"{V2}/ports?device_id={router['id']}") == []
    send(api, "DELETE", f"{V2}/routers/{router['id']}")


def test_router_takes_a_port_that_its_owner_made_with_the_gateways_address(api: Api) -> None:
    network, subnet = own_network(api)
    router = make(api, "router", name="r")
    other = make(api, "port", network_id=network["id"])
    gateway = [{"ip_address": "10.66.0.1"}]
    port = make(api, "port", network_id=network["id"], fixed_ips=gateway)

    assert interface(api, router, port_id=other["id"])[0] == 501
    assert interface(api, router, port_id=port["id"])[0] == 200
    shown = send(api, "GET", f"{V2}/ports/{port['id']}")
    assert (shown["device_id"], shown["security_groups"]) == (router["id"], [])
    assert interface(api, router, subnet_id=subnet["id"])[0] == 400
    assert interface(api, router, verb="remove", port_id=port["id"])[0] == 200
    assert refused(api, "GET", f"{V2}/ports/{port['id']}") == (404, "PortNotFound")


def test_interfaces_that_cannot_be_are_refused(api: Api) -> None:
    _, subnet = own_network(api)
    router, other = make(api, "router", name="r"), make(api, "router", name="s")
    closed = make(
        api,
        "subnet",
        network_id=subnet["network_id"],
        ip_version=4,
        cidr="10.67.0.0/24",
        gateway_ip=None,
        enable_dhcp=False,
    )

    assert interface(api, router)[0] == 400
    assert interface(api, router, subnet_id=subnet["id"], port_id=PORT)[0] == 400
    assert interface(api, router, subnet_id="none")[0] == 404
    # A shared network's subnets are led to by its owner's routers only.
    assert interface(api, router, subnet_id=SUBNET)[0] == 403
    assert interface(api, router, subnet_id=closed["id"])[0] == 400
    assert interface(api, router, port_id=PORT)[0] == 409
    assert interface(api, router, subnet_id=subnet["id"])[0] == 200
    assert interface(api, router, subnet_id=subnet["id"])[0] == 400
    assert interface(api, other, subnet_id=subnet["id"])[0] == 409
    assert interface(api, other, verb="remove", subnet_id=subnet["id"])[0] == 404
    assert interface(api, other, verb="remove", port_id=PORT)[0] == 404
    assert interface(api, other, verb="remove")[0] == 400


# --- floating IPs --------------------------------------------------------------------------------


def test_floating_ip_is_taken_from_the_pool_and_given_back(api: Api, public: Any) -> None:
    found = floating(api, public, description="spare")

    assert found == {
        "id": UUID,
        "tenant_id": ALPHA,
        "project_id": ALPHA,
        "description": "spare",
        "tags": [],
        "revision_number": 0,
        "created_at": SECOND,
        "updated_at": SECOND,
        "status": "DOWN",
        "floating_ip_address": "203.0.113.10",
        "floating_network_id": public["id"],
        "fixed_ip_address": None,
        "port_id": None,
        "router_id": None,
        "port_details": None,
    }
    (holder,) = send(api, "GET", f"{V2}/ports?device_id={found['id']}", who="root")
    assert (holder["device_owner"], holder["status"]) == (FLOATING_IP, "N/A")
    by_address = f"{V2}/floatingips?floating_ip_address=203.0.113.10"
    assert send(api, "GET", by_address) == [found]
    assert send(api, "GET", by_address, who="bob") == []
    path = f"{V2}/floatingips/{found['id']}"
    assert refused(api, "DELETE", path, who="bob") == (404, "FloatingIPNotFound")
    send(api, "DELETE", path)
    assert refused(api, "GET", path) == (404, "FloatingIPNotFound")
    assert send(api, "GET", f"{V2}/ports?device_id={found['id']}", who="root") == []


def test_pool_and_quota_end(api: Api, public: Any) -> None:
    for _ in range(3):
        floating(api, public)
    body = {"floatingip": {"floating_network_id": public["id"]}}

    assert refused(api, "POST", f"{V2}/floatingips", body) == (409, "IpAddressGenerationFailure")
    quota = {"quota": {"floatingip": 3, "router": 0}}
    send(api, "PUT", f"{V2}/quotas/{ALPHA}", quota, "root")
    assert refused(api, "POST", f"{V2}/floatingips", body) == (409, "OverQuota")
    assert refused(api, "POST", f"{V2}/routers", {"router": {}}) == (409, "OverQuota")


def test_address_of_choice_is_an_administrators(api: Api, public: Any) -> None:
    body = {"floating_network_id": public["id"], "floating_ip_address": "203.0.113.200"}

    assert refused(api, "POST", f"{V2}/floatingips", {"floatingip": body})[0] == 403
    made = floating(api, public, "root", floating_ip_address="203.0.113.200", project_id=ALPHA)
    assert made["floating_ip_address"] == "203.0.113.200"
    again = refused(api, "POST", f"{V2}/floatingips", {"floatingip": body}, "root")
    assert again == (409, "IpAddressAlreadyAllocated")
    outside = {"floatingip": {**body, "floating_ip_address": "198.51.100.1"}}
    assert refused(api, "POST", f"{V2}/floatingips", outside, "root")[0] == 400


def test_floating_ip_is_active_once_its_host_says_so(api: Api, public: Any) -> None:
    router = routed(api, public)
    found = floating(api, public)
    path = f"{V2}/floatingips/{found['id']}"

    body = send(api, "PUT", path, {"floatingip": {"port_id": PORT}})

    assert (body["fixed_ip_address"], body["router_id"]) == ("10.77.0.5", router["id"])
    assert body["port_details"]["device_id"] == ACTIVE
    assert body["status"] == "DOWN"
    order = told(api)
    (spec,) = order.firewall.routing.floating
    assert (spec.address, spec.fixed, spec.external.physical_network) == (
        "203.0.113.10",
        "10.77.0.5",
        None,
    )
    assert send(api, "GET", path)["status"] == "DOWN"
    carried_out(api, order.revision)
    assert send(api, "GET", path)["status"] == "ACTIVE"
    carried_out(api, order.revision, [found["id"]])
    assert send(api, "GET", path)["status"] == "ERROR"
    off = {"router": {"admin_state_up": False}}
    send(api, "PUT", f"{V2}/routers/{router['id']}", off, "root")
    assert send(api, "GET", path)["status"] == "DOWN"
    assert told(api).firewall.routing.floating == []
    assert send(api, "PUT", path, {"floatingip": {"port_id": None}})["port_id"] is None


def test_server_shows_its_floating_ip(api: Api, public: Any) -> None:
    routed(api, public)
    floating(api, public)

    added = api.call("alice", "POST", ACTION, json={"addFloatingIp": {"address": "203.0.113.10"}})
    server = api.call("alice", "GET", f"/compute/v2.1/servers/{ACTIVE}").get_json()["server"]

    assert added.status_code == 202
    assert server["addresses"]["private"] == [
        {
            "version": 4,
            "addr": address,
            "OS-EXT-IPS:type": kind,
            "OS-EXT-IPS-MAC:mac_addr": "fa:16:3e:00:00:01",
        }
        for address, kind in (("10.77.0.5", "fixed"), ("203.0.113.10", "floating"))
    ]
    take = {"removeFloatingIp": {"address": "203.0.113.10"}}
    assert api.call("alice", "POST", ACTION, json=take).status_code == 202
    assert api.call("alice", "POST", ACTION, json=take).status_code == 409


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"address": "203.0.113.99"}, 404),
        ({"address": "203.0.113.10", "fixed_address": "10.77.0.6"}, 400),
        ({}, 400),
    ],
)
def test_floating_ip_that_a_server_cannot_have(
    api: Api, public: Any, said: dict[str, str], status: int
) -> None:
    floating(api, public)

    assert api.call("alice", "POST", ACTION, json={"addFloatingIp": said}).status_code == status


def test_associations_that_cannot_be_are_refused(api: Api, public: Any) -> None:
    first, second = floating(api, public), floating(api, public)
    path, other = (f"{V2}/floatingips/{each['id']}" for each in (first, second))
    to_port = {"floatingip": {"port_id": PORT}}
    without_router = refused(api, "PUT", path, to_port)
    routed(api, public)
    network, _ = own_network(api)
    two = [{"ip_address": "10.66.0.8"}, {"ip_address": "10.66.0.9"}]
    port = make(api, "port", network_id=network["id"], fixed_ips=two)

    assert without_router == (404, "ExternalGatewayForFloatingIPNotFound")
    assert send(api, "PUT", path, to_port)["port_id"] == PORT
    assert refused(api, "PUT", other, to_port) == (409, "FloatingIPPortAlreadyAssociated")
    assert refused(api, "PUT", other, {"floatingip": {"port_id": port["id"]}})[0] == 400
    certain = {"floatingip": {"port_id": port["id"], "fixed_ip_address": "10.66.0.7"}}
    assert refused(api, "PUT", other, certain)[0] == 400
    assert refused(api, "PUT", other, {"floatingip": {"port_id": "none"}}) == (404, "PortNotFound")
    assert refused(api, "PUT", other, {"floatingip": {"fixed_ip_address": "10.77.0.5"}})[0] == 400
    inside = {"floatingip": {"floating_network_id": network["id"]}}
    assert refused(api, "POST", f"{V2}/floatingips", inside)[0] == 400


def test_what_floating_ips_need_stays(api: Api, public: Any) -> None:
    router = routed(api, public)
    found = floating(api, public, port_id=PORT)
    path = f"{V2}/routers/{router['id']}"

    cleared = refused(api, "PUT", path, {"router": {"external_gateway_info": None}}, "root")
    left = interface(api, router, "root", "remove", subnet_id=SUBNET)
    removed = refused(api, "DELETE", f"{V2}/networks/{public['id']}", who="root")

    assert cleared == (409, "RouterExternalGatewayInUseByFloatingIp")
    assert left[0] == 409
    assert left[1]["NeutronError"]["type"] == "RouterInterfaceInUseByFloatingIP"
    assert removed == (409, "NetworkInUse")
    send(api, "DELETE", f"{V2}/floatingips/{found['id']}")
    assert interface(api, router, "root", "remove", subnet_id=SUBNET)[0] == 200


def test_port_that_is_removed_lets_its_floating_ip_go(api: Api, public: Any) -> None:
    network, subnet = own_network(api)
    router = router_to(api, public)
    interface(api, router, subnet_id=subnet["id"])
    port = make(api, "port", network_id=network["id"])
    found = floating(api, public, port_id=port["id"])

    changed = {"port": {"fixed_ips": [{"ip_address": "10.66.0.77"}]}}
    kept = refused(api, "PUT", f"{V2}/ports/{port['id']}", changed)
    send(api, "DELETE", f"{V2}/ports/{port['id']}")

    assert kept == (409, "PortInUse")
    shown = send(api, "GET", f"{V2}/floatingips/{found['id']}")
    assert (shown["port_id"], shown["fixed_ip_address"], shown["router_id"]) == (None, None, None)


def test_host_is_told_of_its_routers_and_of_all_their_networks(api: Api, public: Any) -> None:
    router = routed(api, public)
    network = make(api, "network", "root", name="other")
    facts = {"network_id": network["id"], "ip_version": 4, "cidr": "10.66.0.0/24"}
    subnet = make(api, "subnet", "root", **facts)
    interface(api, router, "root", subnet_id=subnet["id"])

    order = told(api)

    (spec,) = order.firewall.routing.routers
    assert spec.world is True
    assert {one.cidr for one in spec.subnets} == {"10.66.0.0/24", "10.77.0.0/24"}
    assert {one.network_id for one in order.networks} == {NETWORK, network["id"]}
    with reading(api.sessions) as session:
        assert session.query(FloatingIp).count() == 0
