"""What some of those who may use a route may do there: a request for each row of WITHIN in
app/policy.py, but for the actions on servers (policy_things.ACTIONS)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.http.policy_things import (
    ASLEEP,
    BRIDGED,
    EXTERNAL,
    NOBODY,
    NOBODYS_PROJECT,
    OWN_NETWORK,
    SERVER,
)
from tests.http.world import ALPHA_IMAGE, FAILED, PUBLIC_KEY, token_of

V21, NET = "/compute/v2.1", "/network/v2.0"
PATCH = "application/openstack-images-v2.1-json-patch"


@dataclass(frozen=True)
class Within:
    """A request that is for some of those who may use its route only."""

    method: str
    path: str
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    #: What whoever may not, though the route is theirs, is answered.
    refusal: int = 403


_TO_NOBODY = {"project_id": NOBODYS_PROJECT}
_OF_NOBODY = f"user_id={NOBODY}"
_AT_2_10 = {"OpenStack-API-Version": "compute 2.10"}
_OWN_NETWORK, _BRIDGED = f"{NET}/networks/{OWN_NETWORK}", f"{NET}/networks/{BRIDGED}"


def _new_key(**more: str) -> Any:
    return {"keypair": {"name": "new", "public_key": PUBLIC_KEY, "type": "ssh", **more}}


def _visibility(value: str) -> Any:
    return [{"op": "replace", "path": "/visibility", "value": value}]


#: Row of WITHIN -> a request that needs it. Actions on servers are in ACTIONS.
WITHIN_TRIES: dict[str, Within] = {
    "identity:tokens:show:others": Within(
        "GET", "/identity/v3/auth/tokens", headers={"X-Subject-Token": token_of("bob")}
    ),
    "identity:tokens:revoke:others": Within(
        "DELETE", "/identity/v3/auth/tokens", headers={"X-Subject-Token": token_of("bob")}
    ),
    "identity:projects:show:others": Within(
        "GET", f"/identity/v3/projects/{NOBODYS_PROJECT}", refusal=404
    ),
    "identity:users:show:others": Within("GET", f"/identity/v3/users/{NOBODY}", refusal=404),
    "compute:servers:list:all_projects": Within("GET", f"{V21}/servers?all_tenants=1"),
    "compute:servers:create:on_host": Within(
        "POST", f"{V21}/servers", {"server": {**SERVER, "availability_zone": "nova:host-1"}}
    ),
    "compute:servers:change:locked": Within("DELETE", f"{V21}/servers/{FAILED}", refusal=409),
    "compute:servers:unlock:admins": Within(
        "POST", f"{V21}/servers/{FAILED}/action", {"unlock": None}
    ),
    "compute:server_groups:list:all_projects": Within(
        "GET", f"{V21}/os-server-groups?all_projects=1"
    ),
    "compute:keypairs:list:others": Within(
        "GET", f"{V21}/os-keypairs?{_OF_NOBODY}", headers=_AT_2_10
    ),
    "compute:keypairs:show:others": Within(
        "GET", f"{V21}/os-keypairs/key?{_OF_NOBODY}", headers=_AT_2_10
    ),
    "compute:keypairs:create:others": Within(
        "POST", f"{V21}/os-keypairs", _new_key(user_id=NOBODY), headers=_AT_2_10
    ),
    "compute:keypairs:delete:others": Within(
        "DELETE", f"{V21}/os-keypairs/key?{_OF_NOBODY}", headers=_AT_2_10
    ),
    "compute:quotas:show:others": Within("GET", f"{V21}/os-quota-sets/{NOBODYS_PROJECT}"),
    "compute:usage:show:others": Within("GET", f"{V21}/os-simple-tenant-usage/{NOBODYS_PROJECT}"),
    "image:images:create:public": Within(
        "POST", "/image/v2/images", {"name": "new", "visibility": "public"}
    ),
    "image:images:update:public": Within(
        "PATCH", f"/image/v2/images/{ALPHA_IMAGE}", _visibility("public"), content_type=PATCH
    ),
    "image:images:update:owner": Within(
        "PATCH",
        f"/image/v2/images/{ALPHA_IMAGE}",
        [{"op": "replace", "path": "/owner", "value": NOBODYS_PROJECT}],
        content_type=PATCH,
    ),
    "image:images:download:deactivated": Within("GET", f"/image/v2/images/{ASLEEP}/file"),
    "network:things:create:others": Within(
        "POST", f"{NET}/networks", {"network": {"name": "new", **_TO_NOBODY}}
    ),
    **{
        f"network:networks:create:{name}": Within(
            "POST", f"{NET}/networks", {"network": {"name": "new", **facts}}
        )
        for name, facts in (
            ("provider", {"provider:network_type": "local"}),
            ("shared", {"shared": True}),
            ("external", {"router:external": True}),
            ("is_default", {"router:external": True, "is_default": True}),
        )
    },
    "network:networks:update:shared": Within("PUT", _OWN_NETWORK, {"network": {"shared": True}}),
    **{
        f"network:networks:update:{name}": Within("PUT", _BRIDGED, {"network": facts})
        for name, facts in (
            ("external", {"router:external": True}),
            ("is_default", {"router:external": True, "is_default": True}),
        )
    },
    "network:floatingips:create:address": Within(
        "POST",
        f"{NET}/floatingips",
        {
            "floatingip": {
                "floating_network_id": EXTERNAL,
                "floating_ip_address": "203.0.113.20",
            }
        },
    ),
    "network:quotas:show:others": Within("GET", f"{NET}/quotas/{NOBODYS_PROJECT}"),
    "network:auto_topologies:make:others": Within(
        "GET", f"{NET}/auto-allocated-topology/{NOBODYS_PROJECT}?fields=dry-run"
    ),
    "network:auto_topologies:delete:others": Within(
        "DELETE", f"{NET}/auto-allocated-topology/{NOBODYS_PROJECT}"
    ),
}
