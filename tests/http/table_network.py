"""Cases of network, which changes nothing yet."""

from typing import Any

from tests.http.cases import BASE, Case, network_fault
from tests.http.world import (
    ACTIVE,
    ALPHA,
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
    "security_groups": [],
    "allowed_address_pairs": [],
    "device_id": ACTIVE,
    "device_owner": "compute:nova",
    "port_security_enabled": True,
    "binding:vnic_type": "normal",
}

V2 = "/network/v2.0"
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


def _bad(path: str, message: str) -> Case:
    return Case(path, "alice", "GET", f"{V2}{path}", 400, network_fault("HTTPBadRequest", message))


CASES = [
    Case("versions", None, "GET", "/network/", 200, VERSIONS),
    Case("versions without slash", None, "GET", "/network", 200, VERSIONS),
    Case("extensions", "alice", "GET", f"{V2}/extensions", 200, {"extensions": []}),
    _networks("", PRIVATE),
    _networks("name=private&shared=True", PRIVATE),
    _networks("shared=false"),
    _networks(f"id={NETWORK}&id=other", PRIVATE),
    _networks(f"subnets={SUBNET}", PRIVATE),
    _networks("status=ACTIVE&limit=1&sort_key=name&sort_dir=asc", PRIVATE),
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
        network_fault("HTTPNotFound", "Network private could not be found."),
    ),
    Case(
        "another's network",
        "alice",
        "GET",
        f"{V2}/networks/{BETA_NETWORK}",
        404,
        network_fault("HTTPNotFound", f"Network {BETA_NETWORK} could not be found."),
    ),
    Case("subnets", "alice", "GET", f"{V2}/subnets", 200, {"subnets": [SUBNET_BODY]}),
    Case("subnet", "alice", "GET", f"{V2}/subnets/{SUBNET}", 200, {"subnet": SUBNET_BODY}),
    Case(
        "no subnet",
        "alice",
        "GET",
        f"{V2}/subnets/none",
        404,
        network_fault("HTTPNotFound", "Subnet none could not be found."),
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
        network_fault("HTTPNotFound", f"Port {PORT} could not be found."),
    ),
    Case(
        "no networks are made yet",
        "alice",
        "POST",
        f"{V2}/networks",
        405,
        network_fault(
            "HTTPMethodNotAllowed", "The method specified is not allowed for this resource."
        ),
        send={"network": {}},
    ),
    Case(
        "nor routers",
        "alice",
        "GET",
        f"{V2}/routers",
        404,
        network_fault("HTTPNotFound", "The resource could not be found."),
    ),
]
