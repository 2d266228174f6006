"""Routers and floating IPs: what is refused, and what is not there."""

from typing import Any

from tests.http.cases import Case, Like, network_fault
from tests.http.world import NETWORK, OPERATIONS, uid

V2 = "/network/v2.0"
NOBODYS = uid(999)
ROUTER, FLOATING = f"{V2}/routers/{NOBODYS}", f"{V2}/floatingips/{NOBODYS}"
NO_ROUTER = network_fault("RouterNotFound", f"Router {NOBODYS} could not be found")
NO_FLOATING_IP = network_fault("FloatingIPNotFound", f"Floating IP {NOBODYS} could not be found")


def _missing(method: str, path: str, body: Any, send: Any = None) -> Case:
    return Case(f"{method} {path} of nobody", "alice", method, path, 404, body, send=send)


def _bad(path: str, field: str, send: Any, method: str = "POST") -> Case:
    body = network_fault("HTTPBadRequest", Like(f".*{field}.*"))
    return Case(f"{method} {path} with a bad {field}", "alice", method, path, 400, body, send=send)


CASES = [
    Case("routers", "alice", "GET", f"{V2}/routers", 200, {"routers": []}),
    Case("floating IPs", "alice", "GET", f"{V2}/floatingips", 200, {"floatingips": []}),
    Case(
        "routers by a field that they have not",
        "alice",
        "GET",
        f"{V2}/routers?colour=blue",
        400,
        network_fault("HTTPBadRequest", "['colour'] is invalid attribute for filtering"),
    ),
    Case(
        "zones of networks",
        "alice",
        "GET",
        f"{V2}/availability_zones?resource=router",
        200,
        {"availability_zones": [{"name": "nova", "resource": "router", "state": "available"}]},
    ),
    Case("no agents", "root", "GET", f"{V2}/agents", 200, {"agents": []}),
    Case("no pools of subnets", "alice", "GET", f"{V2}/subnetpools", 200, {"subnetpools": []}),
    _missing("GET", ROUTER, NO_ROUTER),
    _missing("PUT", ROUTER, NO_ROUTER, {"router": {"name": "x"}}),
    _missing("DELETE", ROUTER, NO_ROUTER),
    _missing("PUT", f"{ROUTER}/add_router_interface", NO_ROUTER, {"subnet_id": "x"}),
    _missing("PUT", f"{ROUTER}/remove_router_interface", NO_ROUTER, {"subnet_id": "x"}),
    _missing("GET", FLOATING, NO_FLOATING_IP),
    _missing("PUT", FLOATING, NO_FLOATING_IP, {"floatingip": {"port_id": None}}),
    _missing("DELETE", FLOATING, NO_FLOATING_IP),
    _bad(f"{V2}/routers", "router.colour", {"router": {"colour": "blue"}}),
    _bad(f"{V2}/routers", "external_gateway_info", {"router": {"external_gateway_info": 5}}),
    _bad(f"{V2}/floatingips", "floating_network_id", {"floatingip": {}}),
    _bad(ROUTER, "router.flavor_id", {"router": {"flavor_id": "x"}}, "PUT"),
    Case(
        "floating IP of a network that is not external",
        "alice",
        "POST",
        f"{V2}/floatingips",
        400,
        network_fault("InvalidInput", f"Network {NETWORK} is not a valid external network"),
        send={"floatingip": {"floating_network_id": NETWORK}},
    ),
    Case(
        "router for others",
        "alice",
        "POST",
        f"{V2}/routers",
        403,
        network_fault("PolicyNotAuthorized", Like("Policy doesn't allow.*")),
        send={"router": {"project_id": OPERATIONS}},
    ),
]
