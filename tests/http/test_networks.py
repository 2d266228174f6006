"""Networks, subnets and ports are made, changed and removed; servers hang on them."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import event

from app.db.models import FixedAddress, Network, Port, RequestSpec, Server
from app.db.repo import addresses
from app.db.session import reading
from app.scheduling import addresses as handing
from app.scheduling.addresses import ensure_ports
from tests.http.cases import SECOND, UUID, Api, Like
from tests.http.table_refusals import GOOD
from tests.http.world import ALPHA, BETA, NETWORK, SUBNET
from tests.rows import make_settings

V2 = "/network/v2.0"
SERVERS = "/compute/v2.1/servers"
MAC = Like("fa:16:3e(:[0-9a-f]{2}){3}")


def send(api: Api, method: str, path: str, body: Any = None, who: str = "alice") -> Any:
    """Send a request that must succeed; return what the answer holds."""
    more = {} if body is None else {"json": body}
    answer = api.call(who, method, path, **more)
    assert answer.status_code == {"POST": 201, "PUT": 200, "DELETE": 204, "GET": 200}[method], (
        answer.get_data(as_text=True)
    )
    return next(iter(answer.get_json().values())) if answer.data else None


def make(api: Api, kind: str, who: str = "alice", **facts: Any) -> Any:
    """Make a thing; return its body."""
    return send(api, "POST", f"{V2}/{kind}s", {kind: facts}, who)


def refused(api: Api, method: str, path: str, body: Any = None, who: str = "alice") -> Any:
    """Send a request that must be refused; return status and type."""
    answer = api.call(who, method, path, **({} if body is None else {"json": body}))
    return answer.status_code, answer.get_json()["NeutronError"]["type"]


def own_network(api: Api, cidr: str = "10.66.0.0/24", **facts: Any) -> tuple[Any, Any]:
    """Make a network of alice's with a subnet."""
    network = make(api, "network", name="mine")
    given = {"network_id": network["id"], "ip_version": 6 if ":" in cidr else 4, "cidr": cidr}
    return network, make(api, "subnet", **given, **facts)


def test_network_of_ones_own_spans_hosts(api: Api) -> None:
    network = make(api, "network", name="mine", description="what for")

    assert network == {
        "id": UUID,
        "name": "mine",
        "tenant_id": ALPHA,
        "project_id": ALPHA,
        "description": "what for",
        "tags": [],
        "revision_number": 0,
        "created_at": SECOND,
        "updated_at": SECOND,
        "status": "ACTIVE",
        "admin_state_up": True,
        "shared": False,
        "router:external": False,
        "mtu": 1450,
        "subnets": [],
        "availability_zones": ["nova"],
        "availability_zone_hints": [],
        "port_security_enabled": True,
    }
    for_operators = send(api, "GET", f"{V2}/networks/{network['id']}", who="root")
    assert for_operators["provider:network_type"] == "vxlan"
    assert 4096 <= for_operators["provider:segmentation_id"] <= 16_777_215
    assert send(api, "GET", f"{V2}/networks?name=mine", who="bob") == []


def test_network_is_changed_tagged_and_removed(api: Api) -> None:
    network = make(api, "network", name="mine")
    path = f"{V2}/networks/{network['id']}"

    changed = send(api, "PUT", path, {"network": {"name": "ours", "mtu": 1400}})
    assert (changed["name"], changed["mtu"], changed["revision_number"]) == ("ours", 1400, 1)
    assert send(api, "PUT", f"{path}/tags", {"tags": ["b", "a", "a"]}) == ["a", "b"]
    assert api.call("alice", "PUT", f"{path}/tags/c").status_code == 201
    assert api.call("alice", "GET", f"{path}/tags/c").status_code == 204
    for query, found in (("tags=a,c", 1), ("tags=a,x", 0), ("tags-any=x,c", 1), ("not-tags=a", 0)):
        assert len(send(api, "GET", f"{V2}/networks?name=ours&{query}")) == found
    send(api, "DELETE", f"{path}/tags/a")
    assert send(api, "GET", f"{path}/tags") == ["b", "c"]
    send(api, "DELETE", f"{path}/tags")
    assert refused(api, "DELETE", path, who="bob") == (404, "NetworkNotFound")
    send(api, "DELETE", path)
    assert refused(api, "GET", path) == (404, "NetworkNotFound")


def test_operator_makes_provider_networks(api: Api) -> None:
    lan = {"provider:physical_network": "lan", "shared": True}
    vlan = {**lan, "provider:network_type": "vlan", "provider:segmentation_id": 7}
    network = make(api, "network", "root", name="lan7", **vlan)

    assert network["provider:network_type"] == "vlan"
    assert (network["provider:physical_network"], network["provider:segmentation_id"]) == ("lan", 7)
    assert network["mtu"] == 1500
    assert refused(api, "POST", f"{V2}/networks", {"network": vlan}, "root") == (
        409,
        "SegmentIdInUse",
    )
    flat = make(api, "network", "root", **lan, **{"provider:network_type": "flat"})
    assert (flat["provider:network_type"], flat["provider:segmentation_id"]) == ("flat", None)
    local = make(api, "network", "root", **{"provider:network_type": "local"})
    assert (local["provider:network_type"], local["mtu"]) == ("local", 1500)
    # What others see of it tells nothing of the operator's wiring.
    seen = send(api, "GET", f"{V2}/networks/{network['id']}")
    assert [key for key in seen if key.startswith("provider")] == []
    # Provider networks may overlap each other and ours: nobody routes them here.
    for each in (network, flat):
        block = {"network_id": each["id"], "ip_version": 4, "cidr": "10.77.0.0/24"}
        assert make(api, "subnet", "root", **block)["gateway_ip"] == "10.77.0.1"
    with reading(api.sessions) as session:
        assert [s.host_address for s in session.get_one(Network, flat["id"]).subnets] == [None]


def test_subnet_is_laid_out(api: Api) -> None:
    _, subnet = own_network(api, dns_nameservers=["9.9.9.9"])

    assert subnet["gateway_ip"] == "10.66.0.1"
    assert subnet["allocation_pools"] == [{"start": "10.66.0.2", "end": "10.66.0.254"}]
    assert (subnet["dns_nameservers"], subnet["enable_dhcp"]) == (["9.9.9.9"], True)
    assert (subnet["ip_version"], subnet["ipv6_ra_mode"]) == (4, None)


def test_gateway_may_stand_anywhere(api: Api) -> None:
    _, subnet = own_network(api, gateway_ip="10.66.0.9")

    assert subnet["allocation_pools"] == [
        {"start": "10.66.0.1", "end": "10.66.0.8"},
        {"start": "10.66.0.10", "end": "10.66.0.254"},
    ]


def test_subnet_without_a_way_out_has_an_address_for_the_host(api: Api) -> None:
    network, subnet = own_network(api, gateway_ip=None)

    assert subnet["gateway_ip"] is None
    assert subnet["allocation_pools"] == [{"start": "10.66.0.2", "end": "10.66.0.254"}]
    with reading(api.sessions) as session:
        (row,) = session.get_one(Network, network["id"]).subnets
        assert (row.gateway, row.host_address) == (None, "10.66.0.1")


def test_host_takes_one_of_the_pools_addresses_if_they_are_all(api: Api) -> None:
    pools = [{"start": "10.66.0.1", "end": "10.66.0.6"}]
    network, _ = own_network(api, "10.66.0.0/29", gateway_ip=None, allocation_pools=pools)

    given = [make(api, "port", network_id=network["id"])["fixed_ips"] for _ in range(5)]

    assert [ips[0]["ip_address"] for ips in given] == [f"10.66.0.{n}" for n in range(1, 6)]
    body = {"port": {"network_id": network["id"]}}
    assert refused(api, "POST", f"{V2}/ports", body) == (409, "IpAddressGenerationFailure")


def test_subnet_of_ipv6_is_told_by_dhcp(api: Api) -> None:
    network, subnet = own_network(api, "fd00:66::/64", ipv6_address_mode="dhcpv6-stateful")

    assert (subnet["ipv6_ra_mode"], subnet["ipv6_address_mode"]) == ("dhcpv6-stateful",) * 2
    assert subnet["gateway_ip"] == "fd00:66::1"
    block = {"network_id": network["id"], "ip_version": 4, "cidr": "10.66.0.0/24"}
    make(api, "subnet", **block)
    port = make(api, "port", network_id=network["id"])
    assert [held["ip_address"] for held in port["fixed_ips"]] == ["10.66.0.2", "fd00:66::2"]


def test_subnet_is_changed_and_removed(api: Api) -> None:
    network, subnet = own_network(api)
    path = f"{V2}/subnets/{subnet['id']}"

    route = {"destination": "10.1.0.0/16", "nexthop": "10.66.0.9"}
    facts = {"name": "block", "dns_nameservers": ["9.9.9.9"], "host_routes": [route]}
    changed = send(api, "PUT", path, {"subnet": facts})
    assert {key: changed[key] for key in facts} == facts
    without = send(api, "PUT", path, {"subnet": {"gateway_ip": None}})
    assert without["gateway_ip"] is None
    with reading(api.sessions) as session:
        (row,) = session.get_one(Network, network["id"]).subnets
        assert row.host_address == "10.66.0.1"
    pools = [{"start": "10.66.0.100", "end": "10.66.0.101"}]
    send(api, "PUT", path, {"subnet": {"gateway_ip": "10.66.0.1", "allocation_pools": pools}})
    port = make(api, "port", network_id=network["id"])
    assert port["fixed_ips"][0]["ip_address"] == "10.66.0.100"
    assert refused(api, "DELETE", path) == (409, "SubnetInUse")
    send(api, "DELETE", f"{V2}/ports/{port['id']}")
    send(api, "DELETE", path)
    assert send(api, "GET", f"{V2}/networks/{network['id']}")["subnets"] == []


def test_subnets_made_at_once_have_one_dhcp_server(api: Api) -> None:
    network = make(api, "network", name="mine")

    def ask(number: int) -> Any:
        facts = {"network_id": network["id"], "ip_version": 4, "cidr": f"10.66.{number}.0/24"}
        return api.call("alice", "POST", f"{V2}/subnets", json={"subnet": facts}).status_code

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(ask, range(6))) == [201] + [409] * 5


def test_subnets_changed_at_once_have_one_dhcp_server(api: Api) -> None:
    network = make(api, "network", name="mine")
    facts = {"network_id": network["id"], "ip_version": 4, "enable_dhcp": False}
    blocks = [make(api, "subnet", cidr=f"10.66.{number}.0/24", **facts) for number in range(6)]

    def ask(block: Any) -> Any:
        change = {"subnet": {"enable_dhcp": True}}
        return api.call("alice", "PUT", f"{V2}/subnets/{block['id']}", json=change).status_code

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(ask, blocks)) == [200] + [409] * 5


def test_port_of_ones_own_is_made_as_asked(api: Api) -> None:
    network, subnet = own_network(api)
    pair = {"ip_address": "10.66.0.50", "mac_address": "fa:16:3e:aa:bb:cc"}
    port = make(
        api,
        "port",
        network_id=network["id"],
        name="first",
        mac_address="FA-16-3E-11-22-33",
        fixed_ips=[{"subnet_id": subnet["id"]}, {"ip_address": "10.66.0.40"}],
        allowed_address_pairs=[pair, {"ip_address": "10.67.0.0/24"}],
        device_owner="somebody",
    )

    assert port["fixed_ips"] == [
        {"subnet_id": subnet["id"], "ip_address": "10.66.0.2"},
        {"subnet_id": subnet["id"], "ip_address": "10.66.0.40"},
    ]
    assert (port["mac_address"], port["status"]) == ("fa:16:3e:11:22:33", "DOWN")
    assert port["allowed_address_pairs"] == [
        pair,
        {"ip_address": "10.67.0.0/24", "mac_address": "fa:16:3e:11:22:33"},
    ]
    assert (port["device_id"], port["device_owner"], port["project_id"]) == ("", "somebody", ALPHA)
    for_operators = send(api, "GET", f"{V2}/ports/{port['id']}", who="root")
    assert (for_operators["binding:host_id"], for_operators["binding:vif_type"]) == ("", "unbound")


def test_port_whose_mac_is_taken_gets_another(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    network, _ = own_network(api)
    mac = make(api, "port", network_id=network["id"])["mac_address"]
    monkeypatch.setattr(handing, "new_mac", lambda: mac)

    assert make(api, "port", network_id=network["id"])["mac_address"] != mac


def test_port_is_changed_and_removed(api: Api) -> None:
    network, subnet = own_network(api)
    port = make(api, "port", network_id=network["id"])
    path = f"{V2}/ports/{port['id']}"

    kept, new = port["fixed_ips"][0], {"subnet_id": subnet["id"], "ip_address": "10.66.0.77"}
    changed = send(api, "PUT", path, {"port": {"fixed_ips": [kept, new], "name": "second"}})
    assert (changed["fixed_ips"], changed["name"]) == ([kept, new], "second")
    changed = send(api, "PUT", path, {"port": {"fixed_ips": [new]}})
    assert changed["fixed_ips"] == [new]
    free = send(api, "PUT", path, {"port": {"port_security_enabled": False, "security_groups": []}})
    assert free["port_security_enabled"] is False
    pairs = {"port": {"allowed_address_pairs": [{"ip_address": "10.66.0.9"}]}}
    assert refused(api, "PUT", path, pairs) == (409, "Conflict")
    send(api, "DELETE", path)
    with reading(api.sessions) as session:
        rows = [session.get_one(FixedAddress, (subnet["id"], f"10.66.0.{n}")) for n in (2, 77)]
        assert all(row.port_id is None and row.released_at is not None for row in rows)


def test_port_on_a_shared_network_gets_an_address_of_choice(api: Api) -> None:
    wish = [{"subnet_id": SUBNET, "ip_address": "10.77.0.9"}]
    port = make(api, "port", network_id=NETWORK, fixed_ips=wish)

    assert (port["fixed_ips"], port["mac_address"]) == (wish, MAC)
    assert make(api, "port", network_id=NETWORK, fixed_ips=[])["fixed_ips"] == []


def test_quotas_are_kept(api: Api) -> None:
    limits = {"network": 1, "subnet": 1, "port": 2}
    changed = send(api, "PUT", f"{V2}/quotas/{ALPHA}", {"quota": limits}, "root")
    others = {"router": 10, "floatingip": 50, "security_group": 10, "security_group_rule": 100}
    assert changed == {**limits, **others}
    network, _ = own_network(api)

    assert refused(api, "POST", f"{V2}/networks", {"network": {}}) == (409, "OverQuota")
    block = {"network_id": network["id"], "ip_version": 6, "cidr": "fd00:66::/64"}
    assert refused(api, "POST", f"{V2}/subnets", {"subnet": block}) == (409, "OverQuota")
    make(api, "port", network_id=network["id"])
    port = {"port": {"network_id": network["id"]}}
    assert refused(api, "POST", f"{V2}/ports", port) == (409, "OverQuota")
    answer = api.call("alice", "POST", SERVERS, json={"server": GOOD})
    assert answer.status_code == 403
    assert answer.get_json()["forbidden"]["message"] == "Maximum number of ports exceeded"
    send(api, "DELETE", f"{V2}/quotas/{ALPHA}", who="root")
    assert send(api, "GET", f"{V2}/quotas/{ALPHA}")["network"] == 100


def create(api: Api, *networks: Any) -> str:
    """Ask for a server on these networks; return its id."""
    answer = api.call("alice", "POST", SERVERS, json={"server": {**GOOD, "networks": networks}})
    assert answer.status_code == 202, answer.get_data(as_text=True)
    found: str = answer.get_json()["server"]["id"]
    return found


def ask_for_servers(api: Api, **facts: Any) -> Any:
    server = {**GOOD, "networks": [{"uuid": NETWORK}], **facts}
    return api.call("alice", "POST", SERVERS, json={"server": server})


def test_ports_of_servers_on_their_way_are_counted(api: Api) -> None:
    """Alice has a port; her servers get theirs when they are placed."""
    send(api, "PUT", f"{V2}/quotas/{ALPHA}", {"quota": {"port": 3}}, "root")

    with ThreadPoolExecutor(4) as pool:
        codes = pool.map(lambda _: ask_for_servers(api).status_code, range(3))
    assert sorted(codes) == [202, 202, 403]
    assert refused(api, "POST", f"{V2}/ports", {"port": {"network_id": NETWORK}}) == (
        409,
        "OverQuota",
    )
    details = send(api, "GET", f"{V2}/quotas/{ALPHA}/details")
    assert details["port"] == {"limit": 3, "used": 3, "reserved": 0}


def test_placed_servers_port_is_counted_once(api: Api) -> None:
    server_id = ask_for_servers(api).get_json()["server"]["id"]
    with api.sessions.begin() as session:
        server = session.get_one(Server, server_id)
        ensure_ports(session, server, [NETWORK], [], make_settings())
    assert send(api, "GET", f"{V2}/quotas/{ALPHA}/details")["port"]["used"] == 2
    with api.sessions.begin() as session:
        session.get_one(Server, server_id).vm_state = "active"
    assert send(api, "GET", f"{V2}/quotas/{ALPHA}/details")["port"]["used"] == 2


def test_as_many_servers_are_made_as_have_ports(api: Api) -> None:
    send(api, "PUT", f"{V2}/quotas/{ALPHA}", {"quota": {"port": 3}}, "root")

    assert ask_for_servers(api, min_count=1, max_count=3).status_code == 202

    assert len(api.recorder.sent) == 2
    body = ask_for_servers(api).get_json()
    assert body["forbidden"]["message"] == "Maximum number of ports exceeded"


def test_the_only_network_needs_a_subnet(api: Api) -> None:
    make(api, "network", name="empty")
    with api.sessions.begin() as session:
        session.get_one(Network, NETWORK).shared = False

    server = {name: value for name, value in GOOD.items() if name != "networks"}
    body = api.call("alice", "POST", SERVERS, json={"server": server}).get_json()

    assert "requires a subnet" in body["badRequest"]["message"]


def test_address_of_no_subnet_is_refused_by_its_field(api: Api) -> None:
    wish = [{"uuid": NETWORK, "fixed_ip": "192.0.2.1"}]

    body = ask_for_servers(api, networks=wish).get_json()

    assert body["badRequest"]["message"].startswith("networks.fixed_ip: 192.0.2.1 is not a valid")


def test_server_takes_its_owners_port_and_gives_it_back(api: Api) -> None:
    network, _ = own_network(api)
    port = make(api, "port", network_id=network["id"])
    server_id = create(api, {"uuid": NETWORK}, {"port": port["id"]})

    with reading(api.sessions) as session:
        row = session.get_one(Port, port["id"])
        assert (row.server_id, row.position, row.is_owners) == (server_id, 1, True)
        spec = session.get_one(RequestSpec, server_id)
        assert spec.network_ids == [NETWORK, network["id"]]
    (shown,) = send(api, "GET", f"{V2}/ports?device_id={server_id}")
    assert (shown["id"], shown["device_owner"]) == (port["id"], "compute:nova")
    server = api.call("alice", "GET", f"{SERVERS}/{server_id}").get_json()["server"]
    assert server["addresses"] == {
        "mine": [
            {
                "version": 4,
                "addr": "10.66.0.2",
                "OS-EXT-IPS:type": "fixed",
                "OS-EXT-IPS-MAC:mac_addr": port["mac_address"],
            }
        ]
    }
    again = {**GOOD, "networks": [{"port": port["id"]}]}
    assert api.call("alice", "POST", SERVERS, json={"server": again}).status_code == 409
    assert refused(api, "DELETE", f"{V2}/ports/{port['id']}") == (409, "PortInUse")
    name = {"port": {"name": "renamed", "device_id": server_id, "fixed_ips": port["fixed_ips"]}}
    assert send(api, "PUT", f"{V2}/ports/{port['id']}", name)["name"] == "renamed"

    with api.sessions.begin() as session:
        addresses.remove_ports(session, server_id)
    back = send(api, "GET", f"{V2}/ports/{port['id']}")
    assert (back["device_id"], back["device_owner"]) == ("", "")
    assert back["fixed_ips"] == port["fixed_ips"]
    send(api, "DELETE", f"{V2}/ports/{port['id']}")


def test_server_may_have_several_interfaces_of_one_network(api: Api) -> None:
    wish = {"uuid": NETWORK, "fixed_ip": "10.77.0.99"}
    server_id = create(api, {"uuid": NETWORK}, wish)

    with reading(api.sessions) as session:
        spec = session.get_one(RequestSpec, server_id)
        assert spec.network_ids == [NETWORK, NETWORK]
        assert spec.hints == {"fixed_addresses": {"1": "10.77.0.99"}}


def test_refused_server_leaves_the_port_alone(api: Api) -> None:
    port = make(api, "port", network_id=NETWORK)
    wanted = {**GOOD, "networks": [{"port": port["id"]}, {"uuid": "nope"}]}

    assert api.call("alice", "POST", SERVERS, json={"server": wanted}).status_code == 400
    with reading(api.sessions) as session:
        assert session.get_one(Port, port["id"]).server_id is None
        assert session.query(Server).filter_by(project_id=BETA).count() == 1


def test_pages_are_followed_by_their_links(api: Api) -> None:
    for number in range(4):
        make(api, "port", network_id=NETWORK, fixed_ips=[], name=f"p{number}")
    url, names = f"{V2}/ports?limit=2&sort_key=name&name=p0&name=p1&name=p2&name=p3", []

    while url:
        body = api.call("alice", "GET", url).get_json()
        names.append([port["name"] for port in body["ports"]])
        url = next((link["href"] for link in body.get("ports_links", ())), "")

    assert names == [["p0", "p1"], ["p2", "p3"], []]


def test_database_looks_for_names(api: Api) -> None:
    """What a list reads does not grow with what it does not show."""
    for number in range(3):
        make(api, "network", name=f"n{number}")
    read: list[str] = []

    def note(row: Network, _: object) -> None:
        read.append(row.name)

    event.listen(Network, "load", note)
    try:
        assert [each["name"] for each in send(api, "GET", f"{V2}/networks?name=n1")] == ["n1"]
    finally:
        event.remove(Network, "load", note)
    assert read == ["n1"]
