"""Cases of other services' things at compute, which are there at its first microversions only."""

from typing import Any

from tests.http.cases import BASE, Case, Like, compute_fault, links
from tests.http.table_compute import NOT_ALLOWED
from tests.http.world import (
    ACTIVE,
    ALPHA,
    ALPHA_DEFAULT,
    ALPHA_IMAGE,
    BETA_DEFAULT,
    BETA_IMAGE,
    BETA_NETWORK,
    BIG_IMAGE,
    BYTES,
    NETWORK,
    OTHER_TWIN,
    PUBLIC_IMAGE,
    QUEUED_IMAGE,
    THEN_TEXT,
    TWIN,
    WEB,
    uid,
)

V21 = "/compute/v2.1"
IMAGES, NETWORKS, TENANT_NETWORKS = (
    f"{V21}/images",
    f"{V21}/os-networks",
    f"{V21}/os-tenant-networks",
)
GROUPS, RULES = f"{V21}/os-security-groups", f"{V21}/os-security-group-rules"
FLOATING_IPS = f"{V21}/os-floating-ips"
VOLUMES, SNAPSHOTS = f"{V21}/os-volumes", f"{V21}/os-snapshots"
NOBODYS = uid(999)


def _brief(image_id: str, name: str) -> dict[str, Any]:
    own = {
        "rel": "alternate",
        "type": "application/vnd.openstack.image",
        "href": f"{BASE}/image/v2/images/{image_id}",
    }
    return {"id": image_id, "name": name, "links": [*links("images", image_id), own]}


GUEST, OURS = _brief(PUBLIC_IMAGE, "guest"), _brief(ALPHA_IMAGE, "ours")
GUEST_IN_FULL = {
    **GUEST,
    "status": "ACTIVE",
    "progress": 100,
    "minRam": 0,
    "minDisk": 0,
    "metadata": {"byre_boot_proof": "running"},
    "created": THEN_TEXT,
    "updated": THEN_TEXT,
    "OS-EXT-IMG-SIZE:size": len(BYTES),
}
LATER_IN_FULL = {
    **_brief(QUEUED_IMAGE, "later"),
    "status": "SAVING",
    "progress": 25,
    "minRam": 0,
    "minDisk": 0,
    "metadata": {},
    "created": "2026-11-23T03:33:41Z",
    "updated": "2026-11-23T03:33:41Z",
    "OS-EXT-IMG-SIZE:size": 0,
}

_UNKNOWN = (
    *("cidr", "netmask", "gateway", "broadcast", "dns1", "dns2"),
    *("cidr_v6", "gateway_v6", "netmask_v6"),
)
PRIVATE = {"id": NETWORK, "label": "private", **dict.fromkeys(_UNKNOWN)}


def _group(group_id: str, name: str, *rules: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": group_id,
        "name": name,
        "description": "",
        "tenant_id": ALPHA,
        "rules": list(rules),
    }


HTTP = {
    "id": uid(113),
    "parent_group_id": WEB,
    "ip_protocol": "tcp",
    "from_port": 80,
    "to_port": 80,
    "group": {},
    "ip_range": {"cidr": "192.0.2.7/24"},
}
ITSELF = {
    "id": uid(111),
    "parent_group_id": ALPHA_DEFAULT,
    "ip_protocol": None,
    "from_port": None,
    "to_port": None,
    "group": {"name": "default", "tenant_id": ALPHA},
    "ip_range": {},
}
WEB_GROUP = _group(WEB, "web", HTTP)


def _get(path: str, answer: Any, who: str = "alice", status: int = 200) -> Case:
    return Case(f"{path} of {who}", who, "GET", path, status, answer)


def _images(query: str, *images: dict[str, Any]) -> Case:
    return _get(f"{IMAGES}{query}", {"images": list(images)})


def _no(
    status: int, words: str, method: str, path: str, send: Any = None, who: str = "alice"
) -> Case:
    answer = compute_fault(status, Like(f".*{words}.*"))
    name = f"{who} {method} {path.removeprefix(V21)[:60]} {words}"
    return Case(name, who, method, path, status, answer, send=send)


def _rule(status: int, words: str, **changes: Any) -> Case:
    rule = {"parent_group_id": WEB, "ip_protocol": "tcp", "from_port": 22, "to_port": 22, **changes}
    return _no(status, words, "POST", RULES, {"security_group_rule": rule})


def _not_allowed(method: str, path: str, send: Any = None) -> Case:
    answer = compute_fault(403, NOT_ALLOWED)
    return Case(f"rita's {method} {path}", "rita", method, path, 403, answer, send=send)


def _later(at: int, path: str) -> Case:
    answer = compute_fault(404, f"API version 2.{at} is not supported on this method.")
    return Case(f"2.{at} {path}", "alice", "GET", path, 404, answer, at=at)


SET = {"security_group": {"name": "new", "description": ""}}

CASES = [
    _images("?name=guest", GUEST),
    _images("", GUEST, OURS, _brief(QUEUED_IMAGE, "later"), _brief(BIG_IMAGE, "big")),
    _images("/detail?status=saving", LATER_IN_FULL),
    _images("/detail?property-byre_boot_proof=running&minRam=0&colour=blue", GUEST_IN_FULL),
    _images(f"?server={BASE}{V21}/servers/{ACTIVE}"),
    _images("?type=snapshot"),
    _images("?status=UNKNOWN"),
    _images("?minDisk=5"),
    _images("?changes-since=2026-11-23T03:33:44Z", GUEST),
    _get(
        f"{IMAGES}?limit=1",
        {
            "images": [GUEST],
            "images_links": [
                {"rel": "next", "href": f"{BASE}{IMAGES}?limit=1&marker={PUBLIC_IMAGE}"}
            ],
        },
    ),
    _no(400, "minRam: Not a valid integer", "GET", f"{IMAGES}?minRam=much"),
    _no(400, r"marker \[.*\] not found", "GET", f"{IMAGES}?marker={NOBODYS}"),
    _get(f"{IMAGES}/{PUBLIC_IMAGE}", {"image": GUEST_IN_FULL}, "rita"),
    _no(404, f"No image found with ID {BETA_IMAGE}", "GET", f"{IMAGES}/{BETA_IMAGE}"),
    _no(404, "No image found with ID guest", "DELETE", f"{IMAGES}/guest"),
    _no(403, "another project", "DELETE", f"{IMAGES}/{PUBLIC_IMAGE}"),
    _not_allowed("DELETE", f"{IMAGES}/{ALPHA_IMAGE}"),
    _get(f"{IMAGES}/{PUBLIC_IMAGE}/metadata", {"metadata": {"byre_boot_proof": "running"}}),
    _get(
        f"{IMAGES}/{PUBLIC_IMAGE}/metadata/byre_boot_proof",
        {"meta": {"byre_boot_proof": "running"}},
        "rita",
    ),
    _no(404, "Metadata item was not found", "GET", f"{IMAGES}/{ALPHA_IMAGE}/metadata/a"),
    _no(404, "Metadata item was not found", "DELETE", f"{IMAGES}/{ALPHA_IMAGE}/metadata/a"),
    _no(404, "No image found", "PUT", f"{IMAGES}/{BETA_IMAGE}/metadata", {"metadata": {}}),
    _no(403, "another project", "PUT", f"{IMAGES}/{PUBLIC_IMAGE}/metadata", {"metadata": {}}),
    _no(
        400,
        "metadata: min_disk is",
        "POST",
        f"{IMAGES}/{ALPHA_IMAGE}/metadata",
        {"metadata": {"min_disk": "5"}},
    ),
    _no(400, "metadata: .*object", "POST", f"{IMAGES}/{ALPHA_IMAGE}/metadata", {"metadata": []}),
    _no(400, "mismatch", "PUT", f"{IMAGES}/{ALPHA_IMAGE}/metadata/a", {"meta": {"b": "c"}}),
    _no(
        400,
        "byre_boot_proof",
        "PUT",
        f"{IMAGES}/{ALPHA_IMAGE}/metadata",
        {"metadata": {"byre_boot_proof": "never"}},
    ),
    _not_allowed("PUT", f"{IMAGES}/{ALPHA_IMAGE}/metadata", {"metadata": {}}),
    _not_allowed("DELETE", f"{IMAGES}/{ALPHA_IMAGE}/metadata/a"),
    _get(NETWORKS, {"networks": [PRIVATE]}),
    _get(f"{NETWORKS}/{NETWORK}", {"network": PRIVATE}, "rita"),
    _no(404, f"Network {BETA_NETWORK} could not be found", "GET", f"{NETWORKS}/{BETA_NETWORK}"),
    _get(TENANT_NETWORKS, {"networks": [{"id": NETWORK, "label": "private", "cidr": "None"}]}),
    _get(
        f"{TENANT_NETWORKS}/{NETWORK}",
        {"network": {"id": NETWORK, "label": "private", "cidr": "None"}},
    ),
    _no(404, "could not be found", "GET", f"{TENANT_NETWORKS}/{BETA_NETWORK}"),
    *(
        _no(410, "networks are changed by the network API", method, path, who="root")
        for method, path in (
            ("POST", NETWORKS),
            ("POST", f"{NETWORKS}/add"),
            ("DELETE", f"{NETWORKS}/{NETWORK}"),
            ("POST", f"{NETWORKS}/{NETWORK}/action"),
            ("POST", TENANT_NETWORKS),
            ("DELETE", f"{TENANT_NETWORKS}/{NETWORK}"),
        )
    ),
    _get(
        GROUPS,
        {
            "security_groups": [
                _group(ALPHA_DEFAULT, "default", ITSELF),
                _group(TWIN, "twin"),
                _group(OTHER_TWIN, "twin"),
                WEB_GROUP,
            ]
        },
    ),
    _get(f"{GROUPS}?offset=3&limit=5&all_tenants=1", {"security_groups": [WEB_GROUP]}),
    _get(f"{GROUPS}?limit=0", {"security_groups": []}, "root"),
    _get(f"{GROUPS}/{WEB}", {"security_group": WEB_GROUP}, "rita"),
    _no(404, "does not exist", "GET", f"{GROUPS}/{BETA_DEFAULT}"),
    _no(404, "does not exist", "PUT", f"{GROUPS}/{BETA_DEFAULT}", SET),
    _no(404, "does not exist", "DELETE", f"{GROUPS}/web"),
    _no(400, "default security group", "DELETE", f"{GROUPS}/{ALPHA_DEFAULT}"),
    _no(400, "default security group", "PUT", f"{GROUPS}/{ALPHA_DEFAULT}", SET),
    _no(400, "security_group.name", "POST", GROUPS, {"security_group": {"description": ""}}),
    _no(
        400,
        "security_group.description: Longer",
        "POST",
        GROUPS,
        {"security_group": {"name": "x", "description": "x" * 256}},
    ),
    _no(
        400,
        "security_group.name: .* between 1 and 255",
        "PUT",
        f"{GROUPS}/{WEB}",
        {"security_group": {"name": "", "description": ""}},
    ),
    _not_allowed("POST", GROUPS, SET),
    _not_allowed("PUT", f"{GROUPS}/{WEB}", SET),
    _not_allowed("DELETE", f"{GROUPS}/{WEB}"),
    _rule(404, "does not exist", parent_group_id=BETA_DEFAULT),
    _rule(404, "does not exist", group_id=BETA_DEFAULT),
    _rule(400, "parent_group_id: Not a valid UUID", parent_group_id="web"),
    _rule(400, "group_id: Not a valid UUID", group_id="web"),
    _rule(400, "Invalid IP protocol sctp", ip_protocol="SCTP"),
    _rule(400, "Not enough parameters to build a valid rule", from_port=None),
    _rule(400, "Not enough parameters to build a valid rule", ip_protocol=None),
    _rule(400, "port_range_min must be <= port_range_max", from_port=23),
    _rule(400, "to_port: Must be greater", to_port=65536),
    _rule(400, "from_port: Not a valid integer", from_port="ssh"),
    _rule(400, "cidr: '10.0.0.0/33' is no block", cidr="10.0.0.0/33"),
    _rule(
        400,
        "Security group rule already exists",
        from_port=80,
        to_port=80,
        cidr="192.0.2.9/24",
    ),
    _no(404, "does not exist", "DELETE", f"{RULES}/{NOBODYS}"),
    _not_allowed("POST", RULES, {"security_group_rule": {"parent_group_id": WEB}}),
    _not_allowed("DELETE", f"{RULES}/{uid(113)}"),
    _get(FLOATING_IPS, {"floating_ips": []}),
    _get(f"{V21}/os-floating-ip-pools", {"floating_ip_pools": []}, "rita"),
    _no(404, f"Floating IP {NOBODYS} could", "GET", f"{FLOATING_IPS}/{NOBODYS}"),
    _no(404, f"Floating IP {NOBODYS} could", "DELETE", f"{FLOATING_IPS}/{NOBODYS}"),
    _no(404, "Floating IP pool not found", "POST", FLOATING_IPS, {}),
    _no(404, "Floating IP pool not found", "POST", FLOATING_IPS, {"pool": "private"}),
    _no(400, "pool", "POST", FLOATING_IPS, {"pool": 5}),
    _no(400, "colour: Unknown field", "POST", FLOATING_IPS, {"colour": "blue"}),
    _not_allowed("POST", FLOATING_IPS, {}),
    _not_allowed("DELETE", f"{FLOATING_IPS}/{NOBODYS}"),
    _get(VOLUMES, {"volumes": []}, "rita"),
    _get(f"{VOLUMES}/detail", {"volumes": []}),
    _get(SNAPSHOTS, {"snapshots": []}, "rita"),
    _get(f"{SNAPSHOTS}/detail", {"snapshots": []}),
    *(
        case
        for path, noun in ((VOLUMES, "Volume"), (SNAPSHOTS, "Snapshot"))
        for case in (
            _no(404, f"{noun} 5 could not be found: there is no", "GET", f"{path}/5"),
            _no(404, f"{noun} 5 could not be found: there is no", "DELETE", f"{path}/5"),
            _no(501, "Volumes are not supported: there is no", "POST", path, {"volume": {}}),
            _later(36, path),
        )
    ),
    *(_later(36, path) for path in (IMAGES, NETWORKS, TENANT_NETWORKS, GROUPS, FLOATING_IPS)),
    _later(36, f"{V21}/os-floating-ip-pools"),
    _later(39, f"{IMAGES}/{PUBLIC_IMAGE}/metadata"),
    Case(
        "2.38 metadata of an image",
        "alice",
        "GET",
        f"{IMAGES}/{ALPHA_IMAGE}/metadata",
        200,
        {"metadata": {}},
        at=38,
    ),
]
