"""Cases of network that change nothing: looks, and what is refused."""

from typing import Any

from app.api.network.extensions import EXTENSIONS
from tests.http.cases import BASE, Case, Like, network_fault
from tests.http.world import (
    ACTIVE,
    ALPHA,
    ALPHA_DEFAULT,
    BETA_NETWORK,
    NETWORK,
    OPERATIONS,
    PORT,
    SUBNET,
    THEN_TEXT,
)


def _common(thing_id: str, project_id: str, name: str) -> dict[str, Any]:
    return {
        "id": thing_id,
        "tenant_id": project_id,
        "project_id": project_id,
        "description": "",
        "tags": [],
        "revision_number": 0,
        "created_at": THEN_TEXT,
        "updated_at": THEN_TEXT,
        "name": name,
    }


PRIVATE = {
    **_common(NETWORK, OPERATIONS, "private"),
    "status": "ACTIVE",
    "admin_state_up": True,
    "shared": True,
    "router:external": False,
    "mtu": 1500,
    "subnets": [SUBNET],
    "availability_zones": ["nova"],
    "availability_zone_hints": [],
    "port_security_enabled": True,
}

SUBNET_BODY = {
    **_common(SUBNET, OPERATIONS, "private"),
    "network_id": NETWORK,
    "ip_version": 4,
    "cidr": "10.77.0.0/24",
    "gateway_ip": "10.77.0.1",
    "enable_dhcp": True,
    "dns_nameservers": ["10.77.0.1"],
    "allocation_pools": [{"start": "10.77.0.2", "end": "10.77.0.254"}],
    "host_routes": [],
    "ipv6_ra_mode": None,
    "ipv6_address_mode": None,
    "subnetpool_id": None,
    "service_types": [],
}

PORT_BODY = {
    **_common(PORT, ALPHA, ""),
    "network_id": NETWORK,
    "status": "ACTIVE",
    "admin_state_up": True,
    "mac_address": "fa:16:3e:00:00:01",
    "fixed_ips": [{"subnet_id": SUBNET, "ip_address": "10.77.0.5"}],
    "security_groups": [ALPHA_DEFAULT],
    "allowed_address_pairs": [],
    "device_id": ACTIVE,
    "device_owner": "compute:nova",
    "dns_name": "",
    "port_security_enabled": True,
    "binding:vnic_type": "normal",
}

V2 = "/network/v2.0"
TOPOLOGY = f"{V2}/auto-allocated-topology"
NO_WAY_OUT = "Deployment error: No default router:external network."
VERSIONS = {
    "versions": [
        {
            "id": "v2.0",
            "status": "CURRENT",
            "links": [{"rel": "self", "href": f"{BASE}/network/v2.0/"}],
        }
    ]
}


def _networks(query: str, *bodies: dict[str, Any], who: str = "alice") -> Case:
    path = f"{V2}/networks?{query}"
    return Case(f"networks?{query} of {who}", who, "GET", path, 200, {"networks": list(bodies)})


def _ports(query: str, *bodies: dict[str, Any], who: str = "alice") -> Case:
    path = f"{V2}/ports?{query}"
    return Case(f"ports?{query} of {who}", who, "GET", path, 200, {"ports": list(bodies)})


def _send(
    title: str, method: str, path: str, send: Any, kind: str, message: Any, who: str = "alice"
) -> Case:
    """A request that is refused."""
    statuses = {"PolicyNotAuthorized": 403, "HTTPBadRequest": 400, "InvalidInput": 400}
    status = statuses.get(kind, 404 if kind.endswith("NotFound") else 409)
    return Case(title, who, method, f"{V2}{path}", status, network_fault(kind, message), send=send)


def _network(title: str, kind: str, message: Any, who: str = "alice", **sent: Any) -> Case:
    return _send(f"network: {title}", "POST", "/networks", {"network": sent}, kind, message, who)


def _subnet(title: str, kind: str, message: Any, who: str = "bob", **sent: Any) -> Case:
    good = {"network_id": BETA_NETWORK, "ip_version": 4, "cidr": "10.66.0.0/24"}
    body = {"subnet": {key: value for key, value in (good | sent).items() if value is not ...}}
    return _send(f"subnet: {title}", "POST", "/subnets", body, kind, message, who)


def _port(title: str, kind: str, message: Any, who: str = "alice", **sent: Any) -> Case:
    body = {"port": {"network_id": NETWORK, **sent}}
    return _send(f"port: {title}", "POST", "/ports", body, kind, message, who)


def _changed(title: str, thing: str, kind: str, message: Any, who: str, **sent: Any) -> Case:
    word = thing.lstrip("/").partition("/")[0].removesuffix("s")
    return _send(f"changed {thing[:12]} {title}", "PUT", thing, {word: sent}, kind, message, who)


def _bad(path: str, message: str) -> Case:
    return Case(path, "alice", "GET", f"{V2}{path}", 400, network_fault("HTTPBadRequest", message))


def _extensions() -> list[dict[str, Any]]:
    names = sorted(EXTENSIONS)
    return [
        {
            "alias": alias,
            "name": EXTENSIONS[alias][0],
            "description": EXTENSIONS[alias][1],
            "updated": "2026-11-01T00:00:00-00:00",
            "links": [],
        }
        for alias in names
    ]


CASES = [
    Case("versions", None, "GET", "/network/", 200, VERSIONS),
    Case("versions without slash", None, "GET", "/network", 200, VERSIONS),
    Case("extensions", "alice", "GET", f"{V2}/extensions", 200, {"extensions": _extensions()}),
    Case(
        "extension",
        "alice",
        "GET",
        f"{V2}/extensions/quotas",
        200,
        {
            "extension": {
                "alias": "quotas",
                "name": "Quota management support",
                "description": "What a project may have.",
                "updated": "2026-11-01T00:00:00-00:00",
                "links": [],
            }
        },
    ),
    Case(
        "no extension",
        "alice",
        "GET",
        f"{V2}/extensions/trunk",
        404,
        network_fault("HTTPNotFound", "Extension with alias trunk does not exist"),
    ),
    _networks("", PRIVATE),
    _networks("name=private&shared=True", PRIVATE),
    _networks("shared=false"),
    _networks(f"id={NETWORK}&id=other", PRIVATE),
    _networks(f"subnets={SUBNET}", PRIVATE),
    _networks("status=ACTIVE&limit=2&sort_key=name&sort_dir=asc", PRIVATE),
    Case(
        "full page of networks",
        "alice",
        "GET",
        f"{V2}/networks?limit=1&fields=name",
        200,
        {
            "networks": [{"name": "private"}],
            "networks_links": [
                {
                    "rel": "next",
                    "href": f"http://localhost{V2}/networks?limit=1&fields=name&marker={NETWORK}",
                }
            ],
        },
    ),
    _networks(f"marker={NETWORK}"),
    _networks("fields=id&fields=name", {"id": NETWORK, "name": "private"}),
    _networks("name=theirs"),
    _networks("name=theirs&fields=id", {"id": BETA_NETWORK}, who="root"),
    _bad("/networks?foo=1", "['foo'] is invalid attribute for filtering"),
    _bad("/networks?limit=-1", "Bad limit value: -1"),
    _bad("/networks?marker=none", "marker [none] not found"),
    _bad("/networks?sort_key=foo", "foo is invalid attribute for sort_keys"),
    Case("network", "alice", "GET", f"{V2}/networks/{NETWORK}", 200, {"network": PRIVATE}),
    Case(
        "fields of a network",
        "alice",
        "GET",
        f"{V2}/networks/{NETWORK}?fields=mtu",
        200,
        {"network": {"mtu": 1500}},
    ),
    Case(
        "network by name",
        "alice",
        "GET",
        f"{V2}/networks/private",
        404,
        network_fault("NetworkNotFound", "Network private could not be found."),
    ),
    Case(
        "another's network",
        "alice",
        "GET",
        f"{V2}/networks/{BETA_NETWORK}",
        404,
        network_fault("NetworkNotFound", f"Network {BETA_NETWORK} could not be found."),
    ),
    Case("subnets", "alice", "GET", f"{V2}/subnets", 200, {"subnets": [SUBNET_BODY]}),
    Case("subnet", "alice", "GET", f"{V2}/subnets/{SUBNET}", 200, {"subnet": SUBNET_BODY}),
    Case(
        "no subnet",
        "alice",
        "GET",
        f"{V2}/subnets/none",
        404,
        network_fault("SubnetNotFound", "Subnet none could not be found."),
    ),
    _ports("", PORT_BODY),
    _ports(f"device_id={ACTIVE}", PORT_BODY),
    _ports("device_id=none"),
    _ports("fixed_ips=ip_address%3D10.77.0.5", PORT_BODY),
    _ports("", who="bob"),
    _ports("fields=id", {"id": PORT}, who="root"),
    Case("port", "alice", "GET", f"{V2}/ports/{PORT}", 200, {"port": PORT_BODY}),
    Case(
        "another's port",
        "bob",
        "GET",
        f"{V2}/ports/{PORT}",
        404,
        network_fault("PortNotFound", f"Port {PORT} could not be found."),
    ),
    Case(
        "no trunks",
        "alice",
        "GET",
        f"{V2}/trunks",
        404,
        network_fault("HTTPNotFound", "The resource could not be found."),
    ),
]

_LOCKED = "is an interface of server"

MADE_WRONG = [
    _network("unknown field", "HTTPBadRequest", Like(".*network.foo: Unknown field.*"), foo=1),
    _network("name too long", "HTTPBadRequest", Like(".*network.name: .*"), name="x" * 256),
    _network("control character", "HTTPBadRequest", Like(".*network.name: .*"), name="a\x1bb"),
    _network("name no text", "HTTPBadRequest", Like(".*network.name: .*"), name=["x"]),
    _network("shared", "PolicyNotAuthorized", Like("Policy doesn't allow.*"), shared=True),
    _network(
        "provider",
        "PolicyNotAuthorized",
        Like("Policy doesn't allow.*"),
        **{"provider:network_type": "vxlan"},
    ),
    _network(
        "for others", "PolicyNotAuthorized", Like("Policy doesn't allow.*"), project_id=OPERATIONS
    ),
    _network(
        "external",
        "PolicyNotAuthorized",
        Like(".*networks:create:external.*"),
        **{"router:external": "True"},
    ),
    _network("small MTU", "InvalidInput", Like("mtu: 1279 .*"), mtu=1279),
    _network("large MTU", "InvalidInput", Like("mtu: 1451 .* to 1450 .*"), mtu=1451),
    _network("huge MTU", "InvalidInput", Like("mtu: .*"), mtu=10**30),
    _network("MTU no number", "HTTPBadRequest", Like(".*network.mtu: .*"), mtu="much"),
    _network(
        "unknown type",
        "InvalidInput",
        Like("provider:network_type: gre is not supported; .*"),
        "root",
        **{"provider:network_type": "gre"},
    ),
    _network(
        "VLAN without a number",
        "InvalidInput",
        Like("provider:segmentation_id: is needed with vlan.*"),
        "root",
        **{"provider:network_type": "vlan", "provider:physical_network": "lan"},
    ),
    _network(
        "VLAN too large",
        "InvalidInput",
        Like(".*a VLAN is from 1 to 4094.*"),
        "root",
        **{
            "provider:network_type": "vlan",
            "provider:physical_network": "lan",
            "provider:segmentation_id": 4095,
        },
    ),
    _network(
        "flat without a bridge",
        "InvalidInput",
        Like("provider:physical_network: is needed with flat.*"),
        "root",
        **{"provider:network_type": "flat"},
    ),
    _network(
        "strange physical network",
        "HTTPBadRequest",
        Like(".*provider:physical_network: .*"),
        "root",
        **{"provider:network_type": "flat", "provider:physical_network": '%"'},
    ),
    _network(
        "tunnel's number too large",
        "InvalidInput",
        Like("provider:segmentation_id: must be from 4096 to 16777215.*"),
        "root",
        **{"provider:network_type": "vxlan", "provider:segmentation_id": 2**24},
    ),
    _network(
        "default of a member's",
        "PolicyNotAuthorized",
        Like("Policy doesn't allow.*"),
        is_default=True,
    ),
    _network(
        "default that is not external",
        "InvalidInput",
        "is_default: only an external network can be the default one.",
        "root",
        is_default=True,
    ),
    _changed(
        "default that is not external",
        f"/networks/{NETWORK}",
        "InvalidInput",
        "is_default: only an external network can be the default one.",
        "root",
        is_default=True,
    ),
    *(
        _send(
            f"automatic network of {project[-2:]}{query} by {method} of {who}",
            method,
            f"/auto-allocated-topology/{project}{query}",
            None,
            kind,
            message,
            who,
        )
        for method, project, query, who, kind, message in (
            ("GET", ALPHA, "", "alice", "AutoAllocationFailure", NO_WAY_OUT),
            ("GET", ALPHA, "?fields=dry-run", "alice", "AutoAllocationFailure", NO_WAY_OUT),
            ("GET", ALPHA, "?fields=id", "alice", "HTTPBadRequest", "Unrecognized field"),
            ("GET", ALPHA, "", "rita", "PolicyNotAuthorized", Like("Policy doesn't allow.*")),
            ("GET", ALPHA, "", "bob", "PolicyNotAuthorized", Like(".*make:others.*")),
            ("DELETE", ALPHA, "", "bob", "PolicyNotAuthorized", Like(".*delete:others.*")),
            ("GET", "none", "", "root", "HTTPNotFound", "Project none could not be found."),
            (
                "GET",
                "none",
                "?fields=dry-run",
                "root",
                "HTTPNotFound",
                "Project none could not be found.",
            ),
        )
    ),
    Case("no automatic network", "alice", "DELETE", f"{TOPOLOGY}/{ALPHA}", 204),
    _changed(
        "of others",
        f"/networks/{NETWORK}",
        "PolicyNotAuthorized",
        Like("Policy doesn't allow.*"),
        "alice",
        name="mine",
    ),
    _changed(
        "hidden",
        f"/networks/{BETA_NETWORK}",
        "NetworkNotFound",
        f"Network {BETA_NETWORK} could not be found.",
        "alice",
        name="mine",
    ),
    _changed(
        "provider",
        f"/networks/{BETA_NETWORK}",
        "HTTPBadRequest",
        Like(".*provider:network_type: Unknown field.*"),
        "root",
        **{"provider:network_type": "flat"},
    ),
    _changed(
        "MTU of a network in use",
        f"/networks/{NETWORK}",
        "NetworkInUse",
        Like("Network .* has ports, whose guests know its MTU: it stays."),
        "root",
        mtu=1400,
    ),
    _changed(
        "sharing of a network in use",
        f"/networks/{NETWORK}",
        "NetworkInUse",
        Like("Network .* has ports of other projects: it stays shared."),
        "root",
        shared=False,
    ),
    _send(
        "network in use",
        "DELETE",
        f"/networks/{NETWORK}",
        None,
        "NetworkInUse",
        Like("Unable to complete operation on network .*: 1."),
        "root",
    ),
    _subnet(
        "host bits",
        "InvalidInput",
        Like("cidr: 10.66.0.1/24 .* 10.66.0.0/24 .*"),
        cidr="10.66.0.1/24",
    ),
    _subnet("no block", "InvalidInput", Like("cidr: 'lots' is no block .*"), cidr="lots"),
    _subnet("zone", "InvalidInput", Like("cidr: .*"), ip_version=6, cidr="fd00::%eth0/64"),
    _subnet("bare address", "InvalidInput", Like("cidr: .*"), cidr="10.66.0.0"),
    _subnet(
        "too large", "InvalidInput", Like("cidr: .* between a /16 and a /30."), cidr="10.0.0.0/8"
    ),
    _subnet("too small", "InvalidInput", Like("cidr: .*"), cidr="10.66.0.0/31"),
    _subnet(
        "large of 6",
        "InvalidInput",
        Like("cidr: .* between a /64 .*"),
        ip_version=6,
        cidr="fd00::/48",
    ),
    _subnet("other version", "InvalidInput", Like("cidr: .* not of ip_version 6."), ip_version=6),
    _subnet("no version", "InvalidInput", Like("ip_version: 5 .*"), ip_version=5),
    _subnet("no cidr", "HTTPBadRequest", Like(".*subnet.cidr: Missing.*"), cidr=...),
    _subnet(
        "from a pool of blocks", "HTTPBadRequest", Like(".*subnetpool_id: .*"), subnetpool_id="x"
    ),
    _subnet(
        "overlap",
        "Conflict",
        Like("cidr: 10.77.0.128/25 overlaps a subnet .*"),
        cidr="10.77.0.128/25",
    ),
    _subnet(
        "link local",
        "Conflict",
        Like("cidr: .* 169.254.0.0/16, which is reserved."),
        cidr="169.254.9.0/24",
    ),
    _subnet("loopback", "Conflict", Like("cidr: .* reserved."), cidr="127.1.0.0/24"),
    _subnet("multicast", "Conflict", Like("cidr: .* reserved."), cidr="239.1.0.0/24"),
    _subnet(
        "link local of 6", "Conflict", Like("cidr: .* reserved."), ip_version=6, cidr="fe80::/64"
    ),
    _subnet("underlay", "Conflict", Like("cidr: .* the hosts' own network."), cidr="10.0.0.0/24"),
    _subnet("gateway outside", "InvalidInput", Like("gateway_ip: .*"), gateway_ip="10.67.0.1"),
    _subnet("gateway broadcast", "InvalidInput", Like("gateway_ip: .*"), gateway_ip="10.66.0.255"),
    _subnet(
        "gateway the network's", "InvalidInput", Like("gateway_ip: .*"), gateway_ip="10.66.0.0"
    ),
    _subnet("gateway no address", "InvalidInput", Like("gateway_ip: 'x' is no .*"), gateway_ip="x"),
    _subnet(
        "gateway in a pool",
        "GatewayConflictWithAllocationPools",
        Like("gateway_ip: 10.66.0.1 .*"),
        allocation_pools=[{"start": "10.66.0.1", "end": "10.66.0.9"}],
    ),
    _subnet(
        "pool outside",
        "InvalidInput",
        Like("allocation_pools: .*"),
        allocation_pools=[{"start": "10.66.0.2", "end": "10.66.1.9"}],
    ),
    _subnet(
        "pool backwards",
        "InvalidInput",
        Like("allocation_pools: 10.66.0.9 comes after 10.66.0.2."),
        allocation_pools=[{"start": "10.66.0.9", "end": "10.66.0.2"}],
    ),
    _subnet(
        "pools overlap",
        "InvalidInput",
        Like("allocation_pools: .* overlap."),
        allocation_pools=[
            {"start": "10.66.0.9", "end": "10.66.0.20"},
            {"start": "10.66.0.2", "end": "10.66.0.9"},
        ],
    ),
    _subnet(
        "pools no list",
        "HTTPBadRequest",
        Like(".*allocation_pools.*"),
        allocation_pools={"start": 1},
    ),
    _subnet(
        "very many pools",
        "HTTPBadRequest",
        Like(".*allocation_pools: .*"),
        allocation_pools=[{"start": "10.66.0.2", "end": "10.66.0.2"}] * 5000,
    ),
    _subnet(
        "many name servers",
        "InvalidInput",
        Like("dns_nameservers: more than 5.*"),
        dns_nameservers=[f"10.0.0.{n}" for n in range(6)],
    ),
    _subnet(
        "name server no address",
        "InvalidInput",
        Like("dns_nameservers: 'dns' .*"),
        dns_nameservers=["dns"],
    ),
    _subnet(
        "name server of 6",
        "InvalidInput",
        Like("dns_nameservers: .*"),
        dns_nameservers=["2001:db8::1"],
    ),
    _subnet(
        "route of mixed versions",
        "InvalidInput",
        Like("host_routes: .*"),
        host_routes=[{"destination": "10.1.0.0/16", "nexthop": "fd00::1"}],
    ),
    _subnet(
        "route with host bits",
        "InvalidInput",
        Like("host_routes: .*"),
        host_routes=[{"destination": "10.1.0.1/16", "nexthop": "10.66.0.9"}],
    ),
    _subnet(
        "mode with 4",
        "InvalidInput",
        Like("ipv6_ra_mode: .* ip_version 4."),
        ipv6_ra_mode="dhcpv6-stateful",
    ),
    _subnet(
        "mode unsupported",
        "InvalidInput",
        "ipv6_address_mode: slaac is not supported; dhcpv6-stateful is.",
        ip_version=6,
        cidr="fd00:66::/64",
        ipv6_address_mode="slaac",
    ),
    _subnet(
        "of others' network",
        "PolicyNotAuthorized",
        Like("Policy doesn't allow.*"),
        "alice",
        network_id=NETWORK,
    ),
    _subnet(
        "of no network", "NetworkNotFound", "Network none could not be found.", network_id="none"
    ),
    _subnet(
        "second with DHCP",
        "Conflict",
        Like("Network .* has a subnet with DHCP of IP version 4, which is the most: .*"),
        "root",
        network_id=NETWORK,
    ),
    _changed(
        "of others",
        f"/subnets/{SUBNET}",
        "PolicyNotAuthorized",
        Like("Policy.*"),
        "alice",
        name="x",
    ),
    _changed(
        "gateway that a port has",
        f"/subnets/{SUBNET}",
        "IpAddressAlreadyAllocated",
        Like("gateway_ip: a port has the address 10.77.0.5."),
        "root",
        gateway_ip="10.77.0.5",
        allocation_pools=[{"start": "10.77.0.100", "end": "10.77.0.200"}],
    ),
    _changed(
        "cidr", f"/subnets/{SUBNET}", "HTTPBadRequest", Like(".*cidr: Unknown.*"), "root", cidr="x"
    ),
    _send(
        "subnet in use",
        "DELETE",
        f"/subnets/{SUBNET}",
        None,
        "SubnetInUse",
        Like("Unable to complete operation on subnet .*"),
        "root",
    ),
    _port("of no network", "NetworkNotFound", "Network x could not be found.", network_id="x"),
    _port("of a hidden network", "NetworkNotFound", Like("Network .*"), network_id=BETA_NETWORK),
    _port(
        "MAC on others' network",
        "PolicyNotAuthorized",
        Like(".*mac_address.*"),
        mac_address="fa:16:3e:00:00:09",
    ),
    _port(
        "no security", "PolicyNotAuthorized", Like(".*port_security.*"), port_security_enabled=False
    ),
    _port(
        "pairs",
        "PolicyNotAuthorized",
        Like(".*allowed_address_pairs.*"),
        allowed_address_pairs=[{"ip_address": "10.77.0.9"}],
    ),
    _port(
        "for a service",
        "PolicyNotAuthorized",
        Like("device_owner: .*"),
        device_owner="network:dhcp",
    ),
    _port(
        "address taken",
        "IpAddressAlreadyAllocated",
        Like("IP address 10.77.0.5 already allocated .*"),
        fixed_ips=[{"ip_address": "10.77.0.5"}],
    ),
    _port(
        "gateway's address",
        "IpAddressAlreadyAllocated",
        Like(".* by the network itself."),
        fixed_ips=[{"ip_address": "10.77.0.1"}],
    ),
    _port(
        "address elsewhere",
        "InvalidInput",
        Like("fixed_ips: .*"),
        fixed_ips=[{"ip_address": "10.9.0.5"}],
    ),
    _port(
        "broadcast",
        "InvalidInput",
        Like("fixed_ips: .*"),
        fixed_ips=[{"ip_address": "10.77.0.255"}],
    ),
    _port(
        "no address",
        "InvalidInput",
        Like("fixed_ips: 'x' is no .*"),
        fixed_ips=[{"ip_address": "x"}],
    ),
    _port("address of nothing", "InvalidInput", Like("fixed_ips: each must .*"), fixed_ips=[{}]),
    _port(
        "no such subnet",
        "InvalidInput",
        Like("fixed_ips: subnet x .*"),
        fixed_ips=[{"subnet_id": "x"}],
    ),
    _port(
        "many addresses",
        "InvalidInput",
        Like("fixed_ips: more than 5 .*"),
        fixed_ips=[{"subnet_id": SUBNET}] * 6,
    ),
    _port(
        "address twice",
        "InvalidInput",
        Like("fixed_ips: .* twice."),
        fixed_ips=[{"ip_address": "10.77.0.9"}] * 2,
    ),
    _port(
        "very many addresses",
        "HTTPBadRequest",
        Like(".*fixed_ips.*"),
        fixed_ips=[{"subnet_id": SUBNET}] * 3000,
    ),
    _port(
        "MAC for many",
        "InvalidInput",
        Like("mac_address: .*"),
        "root",
        mac_address="01:00:5e:00:00:01",
    ),
    _port("no MAC", "InvalidInput", Like("mac_address: .*"), "root", mac_address="fa:16:3e:00:00"),
    _port(
        "taken MAC",
        "MacAddressInUse",
        Like("Another port .*"),
        "root",
        mac_address="FA:16:3E:00:00:01",
    ),
    _port(
        "many pairs",
        "InvalidInput",
        Like("allowed_address_pairs: more than 10 .*"),
        "root",
        allowed_address_pairs=[{"ip_address": f"10.77.1.{n}"} for n in range(11)],
    ),
    _port(
        "pairs without security",
        "InvalidInput",
        Like("allowed_address_pairs: only with .*"),
        "root",
        port_security_enabled=False,
        allowed_address_pairs=[{"ip_address": "10.77.0.9"}],
    ),
    _port(
        "of a card",
        "HTTPBadRequest",
        Like(".*binding:vnic_type.*"),
        "root",
        **{"binding:vnic_type": "direct"},
    ),
    _changed(
        "another address of a server's",
        f"/ports/{PORT}",
        "PortInUse",
        Like(f"fixed_ips: port .* {_LOCKED} .*"),
        "alice",
        fixed_ips=[{"ip_address": "10.77.0.9"}],
    ),
    _changed(
        "another MAC of a server's",
        f"/ports/{PORT}",
        "PortInUse",
        Like(f"mac_address: port .* {_LOCKED} .*"),
        "root",
        mac_address="fa:16:3e:00:00:09",
    ),
    _changed("of others", f"/ports/{PORT}", "PortNotFound", Like("Port .*"), "bob", name="x"),
    _send("server's port", "DELETE", f"/ports/{PORT}", None, "PortInUse", Like(f".*{_LOCKED}.*")),
    _send(
        "reader's network",
        "POST",
        "/networks",
        {"network": {}},
        "PolicyNotAuthorized",
        Like(".*"),
        "rita",
    ),
    _send(
        "tag with a comma", "PUT", f"/ports/{PORT}/tags/a,b", None, "InvalidInput", Like("tags: .*")
    ),
    _send(
        "long tag",
        "PUT",
        f"/ports/{PORT}/tags",
        {"tags": ["x" * 61]},
        "InvalidInput",
        Like("tags: .*"),
    ),
    _send("no such tag", "GET", f"/ports/{PORT}/tags/x", None, "HTTPNotFound", Like("Tag x .*")),
    _send(
        "tag to remove", "DELETE", f"/ports/{PORT}/tags/x", None, "HTTPNotFound", Like("Tag x .*")
    ),
    _send(
        "tags of others", "DELETE", f"/ports/{PORT}/tags", None, "PortNotFound", Like(".*"), "bob"
    ),
    _send(
        "quota of others", "GET", f"/quotas/{OPERATIONS}", None, "PolicyNotAuthorized", Like(".*")
    ),
    _send(
        "own quota",
        "PUT",
        f"/quotas/{ALPHA}",
        {"quota": {"port": 1}},
        "PolicyNotAuthorized",
        Like(".*"),
    ),
    _send("quota of nobody", "DELETE", "/quotas/none", None, "HTTPNotFound", Like(".*"), "root"),
    _send(
        "quota of what is not there",
        "PUT",
        f"/quotas/{ALPHA}",
        {"quota": {"trunk": 1}},
        "HTTPBadRequest",
        Like(".*trunk: Unknown field.*"),
        "root",
    ),
    _send(
        "checked quota below what is used",
        "PUT",
        f"/quotas/{ALPHA}",
        {"quota": {"port": 0, "check_limit": True}},
        "InvalidInput",
        "port: 1 are in use.",
        "root",
    ),
]

_USED = {name: {"limit": 100, "used": 0, "reserved": 0} for name in ("network", "subnet")}
_GROUPS_USED = {
    "security_group": {"limit": 10, "used": 4, "reserved": 0},
    "security_group_rule": {"limit": 100, "used": 3, "reserved": 0},
}
_GROUP_QUOTAS = {"security_group": 10, "security_group_rule": 100}
_PORTS_USED = {"limit": 500, "used": 1, "reserved": 0}
_ROUTED_USED = {
    name: {"limit": limit, "used": 0, "reserved": 0}
    for name, limit in (("router", 10), ("floatingip", 50))
}
_DETAILS = {"quota": {**_USED, "port": _PORTS_USED, **_ROUTED_USED, **_GROUPS_USED}}

CASES += [
    *MADE_WRONG,
    Case("tags", "alice", "GET", f"{V2}/ports/{PORT}/tags", 200, {"tags": []}),
    Case(
        "quota",
        "alice",
        "GET",
        f"{V2}/quotas/{ALPHA}",
        200,
        {
            "quota": {
                "network": 100,
                "subnet": 100,
                "port": 500,
                "router": 10,
                "floatingip": 50,
                **_GROUP_QUOTAS,
            }
        },
    ),
    Case("quota's details", "alice", "GET", f"{V2}/quotas/{ALPHA}/details", 200, _DETAILS),
    Case("quota's old details", "alice", "GET", f"{V2}/quotas/{ALPHA}/details.json", 200, _DETAILS),
]
