"""Cases of security groups that leave the world as it was: looking, and refusals."""

from typing import Any

from tests.http.cases import Case, Like, compute_fault, network_fault
from tests.http.world import (
    ACTIVE,
    ALPHA,
    ALPHA_DEFAULT,
    BETA,
    BETA_DEFAULT,
    BETA_SERVER,
    FAILED,
    OTHER_TWIN,
    THEN_MICRO,
    THEN_TEXT,
    TWIN,
    WEB,
    uid,
)

V2 = "/network/v2.0"
GROUPS, RULES = f"{V2}/security-groups", f"{V2}/security-group-rules"


def _rule(number: int, group_id: str, project_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": uid(number),
        "tenant_id": project_id,
        "project_id": project_id,
        "security_group_id": group_id,
        "direction": "ingress",
        "ethertype": "IPv4",
        "protocol": None,
        "port_range_min": None,
        "port_range_max": None,
        "remote_ip_prefix": None,
        "normalized_cidr": None,
        "remote_group_id": None,
        "remote_address_group_id": None,
        "description": "",
        "revision_number": 0,
        "created_at": THEN_TEXT,
        "updated_at": THEN_TEXT,
        **changes,
    }


def _group(group_id: str, project_id: str, name: str, *rules: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": group_id,
        "name": name,
        "tenant_id": project_id,
        "project_id": project_id,
        "description": "",
        "stateful": True,
        "shared": False,
        "tags": [],
        "revision_number": 0,
        "created_at": THEN_TEXT,
        "updated_at": THEN_TEXT,
        "security_group_rules": list(rules),
    }


FROM_ITSELF = _rule(111, ALPHA_DEFAULT, ALPHA, remote_group_id=ALPHA_DEFAULT)
OUT = _rule(112, ALPHA_DEFAULT, ALPHA, direction="egress", ethertype="IPv6")
HTTP = _rule(
    113,
    WEB,
    ALPHA,
    protocol="tcp",
    port_range_min=80,
    port_range_max=80,
    remote_ip_prefix="192.0.2.7/24",
    normalized_cidr="192.0.2.0/24",
)
DEFAULT_GROUP = _group(ALPHA_DEFAULT, ALPHA, "default", FROM_ITSELF, OUT)
WEB_GROUP = _group(WEB, ALPHA, "web", HTTP)
TWINS = [_group(each, ALPHA, "twin") for each in (TWIN, OTHER_TWIN)]

#: Compute's view of the server's one group.
OF_SERVER = {
    "id": ALPHA_DEFAULT,
    "name": "default",
    "description": "",
    "tenant_id": ALPHA,
    "rules": [
        {
            "id": uid(111),
            "parent_group_id": ALPHA_DEFAULT,
            "ip_protocol": None,
            "from_port": None,
            "to_port": None,
            "group": {"name": "default", "tenant_id": ALPHA},
            "ip_range": {},
        }
    ],
}


def _groups(query: str, *bodies: dict[str, Any], who: str = "alice") -> Case:
    path = f"{GROUPS}?{query}"
    answer = {"security_groups": list(bodies)}
    return Case(f"security-groups?{query} of {who}", who, "GET", path, 200, answer)


def _rules(query: str, *bodies: dict[str, Any], who: str = "alice") -> Case:
    path = f"{RULES}?{query}"
    answer = {"security_group_rules": list(bodies)}
    return Case(f"security-group-rules?{query} of {who}", who, "GET", path, 200, answer)


def _missing(group_id: str) -> dict[str, Any]:
    return network_fault("HTTPNotFound", f"Security group {group_id} does not exist")


def _refused(
    title: str, message: Any, status: int = 400, kind: str = "HTTPBadRequest", /, **rule: Any
) -> Case:
    asked = {"security_group_id": WEB, "direction": "ingress", **rule}
    return Case(
        f"rule: {title}",
        "alice",
        "POST",
        RULES,
        status,
        network_fault(kind, message),
        send={"security_group_rule": asked},
    )


def _group_refused(
    title: str, method: str, path: str, status: int, body: Any, /, who: str = "alice", **send: Any
) -> Case:
    sent = {"security_group": send} if send else None
    return Case(f"group: {title}", who, method, f"{GROUPS}{path}", status, body, send=sent)


def _conflict(message: str, kind: str = "Conflict") -> dict[str, Any]:
    return network_fault(kind, message)


def _act(title: str, status: int, body: Any, server_id: str = ACTIVE, **send: Any) -> Case:
    path = f"/compute/v2.1/servers/{server_id}/action"
    return Case(f"action: {title}", "alice", "POST", path, status, body, send=send)


_PORTS = "For TCP/UDP protocols, port_range_min must be <= port_range_max"
_FIELD = "Invalid input for field/attribute security_group_rule."

RULES_REFUSED = [
    _refused("unknown direction", Like(f"{_FIELD}direction: .*"), direction="sideways"),
    _refused("no direction", Like(f"{_FIELD}direction: .*"), direction=None),
    _refused("unknown ethertype", Like(f"{_FIELD}ethertype: .*"), ethertype="IPv5"),
    _refused("unknown field", f"{_FIELD}foo: Unknown field.", foo=1),
    _refused("protocol of no name", Like(".*'nonsense' not supported.*"), protocol="nonsense"),
    _refused("protocol 256", Like(".*'256' not supported.*"), protocol=256),
    _refused("protocol -1", Like(".*'-1' not supported.*"), protocol=-1),
    _refused("protocol of nft's", Like(".*not supported.*"), protocol="tcp; flush ruleset"),
    _refused("protocol of superscripts", Like(".*not supported.*"), protocol="²"),
    _refused("protocol that is a list", Like(f"{_FIELD}protocol: .*"), protocol=["tcp"]),
    _refused(
        "protocol of the other version",
        "Invalid ethertype IPv4 for protocol ipv6-icmp.",
        protocol="ipv6-icmp",
    ),
    _refused(
        "ports of any", "Must also specify protocol if port range is given.", port_range_min=1
    ),
    _refused("ports backwards", _PORTS, protocol="tcp", port_range_min=2, port_range_max=1),
    _refused("half a range", _PORTS, protocol="tcp", port_range_min=2),
    _refused(
        "port 0", "Invalid value for port 0", protocol="udp", port_range_min=0, port_range_max=1
    ),
    _refused(
        "port 65536",
        f"{_FIELD}port_range_max: Invalid value for port 65536",
        protocol="sctp",
        port_range_min=1,
        port_range_max=65536,
    ),
    _refused(
        "absurd port", Like(f"{_FIELD}port_range_min: .*"), protocol="tcp", port_range_min=10**30
    ),
    _refused("port that is a list", Like(f"{_FIELD}port_range_min: .*"), port_range_min=[1]),
    _refused("port that is a fraction", Like(f"{_FIELD}port_range_min: .*"), port_range_min=80.5),
    _refused(
        "ports of a protocol without",
        "Invalid protocol gre for port range, only supported for TCP, UDP, UDPLITE, SCTP and DCCP.",
        protocol="gre",
        port_range_min=1,
        port_range_max=1,
    ),
    _refused(
        "ICMP type 256",
        "Invalid value for ICMP type (port_range_min) 256. It must be 0 to 255.",
        protocol="icmp",
        port_range_min=256,
    ),
    _refused(
        "ICMP code without type",
        "ICMP code (port-range-max) 0 is provided but ICMP type (port-range-min) is missing.",
        protocol="icmp",
        port_range_max=0,
    ),
    _refused(
        "prefix that is none",
        "Invalid CIDR '10.0.0.0/33' given as IP prefix.",
        remote_ip_prefix="10.0.0.0/33",
    ),
    _refused(
        "prefix of nft's", Like("Invalid CIDR .*"), remote_ip_prefix="0.0.0.0/0 } ; accept ; {"
    ),
    _refused("prefix with a zone", Like(".*"), ethertype="IPv6", remote_ip_prefix="fe80::1%lo/64"),
    _refused("prefix that is a number", Like(f"{_FIELD}remote_ip_prefix: .*"), remote_ip_prefix=1),
    _refused(
        "prefix of the other version",
        "Conflicting value ethertype IPv6 for CIDR 10.0.0.0/8",
        ethertype="IPv6",
        remote_ip_prefix="10.0.0.0/8",
    ),
    _refused(
        "prefix and group",
        "Only remote_ip_prefix or remote_group_id may be provided.",
        remote_ip_prefix="10.0.0.0/8",
        remote_group_id=WEB,
    ),
    _refused(
        "address group",
        Like(f"{_FIELD}remote_address_group_id: .*"),
        remote_address_group_id=uid(9),
    ),
    _refused("long description", Like(f"{_FIELD}description: .*"), description="d" * 256),
    _refused(
        "unknown group",
        "Security group nope does not exist",
        404,
        "HTTPNotFound",
        security_group_id="nope",
    ),
    _refused(
        "another project's group",
        f"Security group {BETA_DEFAULT} does not exist",
        404,
        "HTTPNotFound",
        security_group_id=BETA_DEFAULT,
    ),
    _refused(
        "unknown remote group",
        "Security group nope does not exist",
        404,
        "HTTPNotFound",
        remote_group_id="nope",
    ),
    _refused(
        "another project's remote group",
        f"Security group {BETA_DEFAULT} does not exist",
        404,
        "HTTPNotFound",
        remote_group_id=BETA_DEFAULT,
    ),
    _refused(
        "twice",
        f"Security group rule already exists. Rule id is {uid(113)}.",
        409,
        "SecurityGroupRuleExists",
        protocol=6,
        port_range_min="80",
        port_range_max="80",
        remote_ip_prefix="192.0.2.200/24",
    ),
    Case(
        "rules: one and several",
        "alice",
        "POST",
        RULES,
        400,
        network_fault("HTTPBadRequest", Like(".*security_group_rules.*")),
        send={"security_group_rule": {}, "security_group_rules": []},
    ),
    Case(
        "rules: a reader's",
        "rita",
        "POST",
        RULES,
        403,
        network_fault("PolicyNotAuthorized", Like(".*security_group_rules:create.*")),
        send={"security_group_rule": {"security_group_id": WEB, "direction": "ingress"}},
    ),
    Case(
        "rules: more than may be",
        "alice",
        "POST",
        RULES,
        409,
        network_fault("OverQuota", "Quota exceeded for resources: ['security_group_rule']."),
        send={
            "security_group_rules": [
                {
                    "security_group_id": WEB,
                    "direction": "egress",
                    "protocol": "tcp",
                    "port_range_min": port,
                    "port_range_max": port,
                }
                for port in range(1, 101)
            ]
        },
    ),
    Case(
        "rules: two of one kind at once",
        "alice",
        "POST",
        RULES,
        409,
        network_fault("SecurityGroupRuleExists", Like("Security group rule already exists.*")),
        send={"security_group_rules": [{"security_group_id": WEB, "direction": "egress"}] * 2},
    ),
]

GROUPS_REFUSED = [
    _group_refused(
        "another default",
        "POST",
        "",
        409,
        _conflict("Default security group already exists."),
        name="Default",
    ),
    _group_refused(
        "for another project",
        "POST",
        "",
        403,
        network_fault("PolicyNotAuthorized", Like(".*things:create:others.*")),
        name="x",
        project_id=BETA,
    ),
    _group_refused(
        "for no project",
        "POST",
        "",
        400,
        network_fault("HTTPBadRequest", "project_id: project nope could not be found."),
        "root",
        project_id="nope",
    ),
    _group_refused(
        "of a long name",
        "POST",
        "",
        400,
        network_fault("HTTPBadRequest", Like(".*security_group.name.*")),
        name="n" * 256,
    ),
    _group_refused(
        "of a name that is none",
        "POST",
        "",
        400,
        network_fault("HTTPBadRequest", Like(".*security_group.name.*")),
        name=["web"],
    ),
    _group_refused(
        "default by another name",
        "PUT",
        f"/{ALPHA_DEFAULT}",
        409,
        _conflict("Updating default security group not allowed."),
        name="mine",
    ),
    _group_refused(
        "stateless while used",
        "PUT",
        f"/{ALPHA_DEFAULT}",
        409,
        _conflict(f"Security Group {ALPHA_DEFAULT} in use.", "SecurityGroupInUse"),
        stateful=False,
    ),
    _group_refused("another's", "PUT", f"/{BETA_DEFAULT}", 404, _missing(BETA_DEFAULT), name="x"),
    _group_refused(
        "default away",
        "DELETE",
        f"/{ALPHA_DEFAULT}",
        409,
        _conflict("Insufficient rights for removing default security group."),
    ),
    _group_refused("another's away", "DELETE", f"/{BETA_DEFAULT}", 404, _missing(BETA_DEFAULT)),
    Case(
        "group: tags of another's",
        "alice",
        "PUT",
        f"{GROUPS}/{BETA_DEFAULT}/tags",
        404,
        _missing(BETA_DEFAULT),
        send={"tags": ["a"]},
    ),
    Case(
        "rule: another's away",
        "bob",
        "DELETE",
        f"{RULES}/{uid(113)}",
        404,
        network_fault("HTTPNotFound", f"Security group rule {uid(113)} does not exist"),
    ),
]

CASES = [
    _groups("", DEFAULT_GROUP, WEB_GROUP, *TWINS),
    _groups("name=web", WEB_GROUP),
    _groups("name=web&fields=id&fields=shared", {"id": WEB, "shared": False}),
    _groups(f"id={TWIN}&id={OTHER_TWIN}", *TWINS),
    _groups("tags=none"),
    _groups(f"project_id={BETA}"),
    _groups(f"project_id={BETA}&fields=id", {"id": BETA_DEFAULT}, who="root"),
    Case("group", "rita", "GET", f"{GROUPS}/{WEB}", 200, {"security_group": WEB_GROUP}),
    Case("group by name", "alice", "GET", f"{GROUPS}/web", 404, _missing("web")),
    Case(
        "another's group", "alice", "GET", f"{GROUPS}/{BETA_DEFAULT}", 404, _missing(BETA_DEFAULT)
    ),
    Case("tags of a group", "alice", "GET", f"{GROUPS}/{WEB}/tags", 200, {"tags": []}),
    _rules("", FROM_ITSELF, OUT, HTTP),
    _rules(f"security_group_id={WEB}", HTTP),
    _rules(f"remote_group_id={ALPHA_DEFAULT}", FROM_ITSELF),
    _rules("direction=egress&ethertype=IPv6", OUT),
    _rules("protocol=tcp&port_range_min=80", HTTP),
    _rules(f"security_group_id={BETA_DEFAULT}"),
    Case("rule", "rita", "GET", f"{RULES}/{uid(113)}", 200, {"security_group_rule": HTTP}),
    Case(
        "another's rule",
        "bob",
        "GET",
        f"{RULES}/{uid(113)}",
        404,
        network_fault("HTTPNotFound", f"Security group rule {uid(113)} does not exist"),
    ),
    *RULES_REFUSED,
    *GROUPS_REFUSED,
    Case(
        "groups of a server",
        "alice",
        "GET",
        f"/compute/v2.1/servers/{ACTIVE}/os-security-groups",
        200,
        {"security_groups": [OF_SERVER]},
    ),
    Case(
        "groups of another's server",
        "alice",
        "GET",
        f"/compute/v2.1/servers/{BETA_SERVER}/os-security-groups",
        404,
        compute_fault(404, f"Instance {BETA_SERVER} could not be found."),
    ),
    _act(
        "unknown group",
        404,
        compute_fault(404, f"Security group nope not found for project {ALPHA}."),
        addSecurityGroup={"name": "nope"},
    ),
    _act(
        "ambiguous group",
        409,
        compute_fault(409, Like("Multiple security groups found matching 'twin'.*")),
        addSecurityGroup={"name": "twin"},
    ),
    _act(
        "group that it is not in",
        400,
        compute_fault(400, f"Security group web not associated with the instance {ACTIVE}"),
        removeSecurityGroup={"name": "web"},
    ),
    _act(
        "another's server",
        404,
        compute_fault(404, f"Instance {BETA_SERVER} could not be found."),
        BETA_SERVER,
        addSecurityGroup={"name": "web"},
    ),
    _act(
        "server without interfaces",
        409,
        compute_fault(409, Like(".*it has no interface.*")),
        FAILED,
        addSecurityGroup={"name": "web"},
    ),
    _act(
        "group without a name",
        400,
        compute_fault(400, Like(".*addSecurityGroup.name.*")),
        addSecurityGroup={"name": ""},
    ),
    _act("none", 400, compute_fault(400, Like(".*"))),
    _act("unknown", 400, compute_fault(400, Like(".*explode.*")), explode=None),
    Case(
        "what hypervisors have still to carry out",
        "root",
        "GET",
        "/byre/v1/hypervisors",
        200,
        {
            "hypervisors": [
                {
                    "host": "host-1",
                    "alive": True,
                    "fabric": {
                        "wanted": 7,
                        "carried_out": 5,
                        "pending": True,
                        "changed_at": f"{THEN_MICRO}Z",
                        "sent": 7,
                        "sent_at": f"{THEN_MICRO}Z",
                        "sends": 1,
                    },
                }
            ]
        },
    ),
    Case(
        "what hypervisors have still to carry out, to a member",
        "alice",
        "GET",
        "/byre/v1/hypervisors",
        403,
        {
            "error": {
                "code": 403,
                "message": "Policy doesn't allow byre:hypervisors:list to be performed.",
                "title": "Forbidden",
                "reason": "forbidden",
            }
        },
    ),
]
