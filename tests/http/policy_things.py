"""What every route is tried on with every role: whose things its path names, and what is sent.

A new route needs here what the failing test says: a thing for each argument of its path, and a body
if it takes one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from app.db.models import (
    Aggregate,
    Allocation,
    ApplicationCredential,
    FixedAddress,
    Flavor,
    FloatingIp,
    Image,
    Keypair,
    Network,
    Port,
    Project,
    RoleAssignment,
    Router,
    RouterInterface,
    Server,
    ServerGroup,
    ServerTag,
    Subnet,
    User,
)
from app.db.session import Sessions
from app.services.roles import role_id
from tests.http.table_identity import COMPUTE, COMPUTE_PUBLIC
from tests.http.table_refusals import GOOD
from tests.http.world import (
    ACTIVE,
    ALICE,
    ALPHA,
    ALPHA_IMAGE,
    BETA,
    BYTES,
    FAILED,
    HOST,
    NETWORK,
    OPERATIONS,
    PASSWORD,
    PASSWORD_HASH,
    PORT,
    PUBLIC_IMAGE,
    PUBLIC_KEY,
    QUEUED_IMAGE,
    RITA,
    ROOT,
    RUN,
    SUBNET,
    WEB,
    add_token,
    make_world,
    token_of,
    uid,
)

#: Things of the project alpha that only this world has.
OWN_NETWORK, OWN_SUBNET, OWN_PORT, SERVER_GROUP = (uid(n) for n in range(901, 905))
EXTERNAL, EXTERNAL_SUBNET, ROUTER, HOLDER, FLOATING, GATEWAY = (uid(n) for n in range(905, 911))
#: Of nobody who asks: a user with a key, and a project.
NOBODY, NOBODYS_PROJECT = uid(981), uid(982)
#: An image of alpha's that is deactivated. Its server that failed is locked by an administrator.
ASLEEP = uid(983)
#: A network of alpha's, on an operator's bridge.
BRIDGED = uid(984)
FLOATING_ADDRESS = "203.0.113.10"
WEB_RULE = uid(113)

#: Somebody of each role: alpha's people, an administrator, and the strongest of another project.
PEOPLE = {
    "rita": (ALPHA, "reader"),
    "alice": (ALPHA, "member"),
    "root": (OPERATIONS, "admin"),
    "mona": (ALPHA, "manager"),
    "sven": (ALPHA, "service"),
    "nora": (BETA, "manager"),
}
_IDS = {"rita": RITA, "alice": ALICE, "root": ROOT}


def id_of(name: str) -> str:
    """Return the id of one of these people."""
    return _IDS.get(name) or uid(950 + list(PEOPLE).index(name))


def credential_of(user_id: str) -> str:
    """Return the id of the application credential that each has."""
    return f"{user_id[:-3]}8{user_id[-2:]}"


class Owner(Enum):
    """Who has a thing, and so who is told that it is there."""

    PROJECT = "alpha"
    #: Everybody has one of their own, of the same name.
    USER = "who asks"
    #: All see the same.
    ALL = "all"


@dataclass(frozen=True)
class Thing:
    """What stands in a path. The text may hold {me} and {my_credential}, of who asks."""

    value: str
    owner: Owner = Owner.ALL


#: Argument of a path -> the thing, unless the route has one of its own below.
THINGS: dict[str, Thing] = {
    "server_id": Thing(ACTIVE, Owner.PROJECT),
    "image_id": Thing(ALPHA_IMAGE, Owner.PROJECT),
    "network_id": Thing(OWN_NETWORK, Owner.PROJECT),
    "subnet_id": Thing(OWN_SUBNET, Owner.PROJECT),
    "port_id": Thing(OWN_PORT, Owner.PROJECT),
    "router_id": Thing(ROUTER, Owner.PROJECT),
    "floating_id": Thing(FLOATING, Owner.PROJECT),
    "group_id": Thing(WEB, Owner.PROJECT),
    "rule_id": Thing(WEB_RULE, Owner.PROJECT),
    "thing_id": Thing(OWN_NETWORK, Owner.PROJECT),
    "project_id": Thing(ALPHA, Owner.PROJECT),
    "user_id": Thing("{me}", Owner.USER),
    "credential_id": Thing("{my_credential}", Owner.USER),
    "collection": Thing("networks"),
    "tag": Thing("blue"),
    "key": Thing("role"),
    "network": Thing("private"),
    "request_id": Thing("req-1"),
    "flavor_id": Thing("43"),
    "name": Thing("key", Owner.USER),
    "host": Thing("host-1"),
    "hypervisor_id": Thing("1"),
    "aggregate_id": Thing("1"),
    "pattern": Thing("host"),
    "before": Thing("2026-11-01"),
    "domain_id": Thing("default"),
    "role_id": Thing(role_id("reader")),
    "region_id": Thing("RegionOne"),
    "alias": Thing("security-group"),
    "migration_id": Thing("1"),
    "volume_id": Thing(uid(998)),
    "snapshot_id": Thing(uid(998)),
}

SERVER = {
    "name": "new",
    "flavorRef": "42",
    "imageRef": PUBLIC_IMAGE,
    "networks": [{"uuid": NETWORK}],
}


def values(arguments: Iterable[str], particular: Mapping[str, Thing], who: str) -> dict[str, str]:
    """Return what stands in a path when one of these people asks."""
    me = id_of(who)
    return {
        name: thing.value.format(me=me, my_credential=credential_of(me))
        for name, thing in things_of(arguments, particular).items()
    }


def things_of(arguments: Iterable[str], particular: Mapping[str, Thing]) -> dict[str, Thing]:
    """Return what the arguments of a path stand for."""
    return {name: particular.get(name) or THINGS[name] for name in arguments}


@dataclass(frozen=True)
class Try:
    """What is particular to a route. A body of None is none."""

    body: Any = None
    #: Arguments of the path that are not those of THINGS.
    things: Mapping[str, Thing] = field(default_factory=dict)
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    #: What whoever may do it is answered, if that is neither success nor a conflict.
    answer: int | None = None
    #: What another project's token is answered, if that is not 404 for a thing of a project or a
    #: user, and success for what all see.
    foreign: int | None = None
    #: What a token without a project is answered where the table lets it in.
    unscoped: int = 0


_MY_TOKEN = {"X-Subject-Token": "{my_token}"}
_V21 = "/compute/v2.1"
_FLAVOR = f"{_V21}/flavors/<flavor_id>"
_ONE = f"{_V21}/servers/<server_id>"
_GROUP = f"{_V21}/os-server-groups/<group_id>"
_PROJECT, _USER = "/identity/v3/projects/<project_id>", "/identity/v3/users/<user_id>"
_ROLES = f"{_PROJECT}/users/<user_id>/roles"
_IMAGE = "/image/v2/images/<image_id>"
_NET = "/network/v2.0"
_KINDS = "networks, subnets, ports, 'security-groups', routers, floatingips"
_TAGS = f"{_NET}/<any({_KINDS}):collection>/<thing_id>/tags"
_PRIVATE = {"flavor_id": Thing("secret")}
_OTHER = {"user_id": Thing(RITA)}
_SERVER_GROUP = {"group_id": Thing(SERVER_GROUP, Owner.PROJECT)}
_HOST_SERVICE = {"host": "host-1", "binary": "nova-compute"}
#: Projects are told by 403, as by Nova and Neutron.
_QUOTA = Try(foreign=403)
_UPLOAD = "/byre/v1/images/<image_id>/upload"
_PATCH = "application/openstack-images-v2.1-json-patch"
#: Nova's word for what was nova-network's.
_GONE = Try(answer=410, foreign=410)
_VOLUME = {"volumeAttachment": {"volumeId": uid(998)}}
_NAMED = {"name": "new", "description": ""}
_SPEC = {"flavor_id": Thing("42"), "key": Thing("quota:disk_total_iops_sec")}

#: Method and rule -> what is particular to it.
TRIES: dict[tuple[str, str], Try] = {
    ("GET", "/docs/assets/<name>"): Try(things={"name": Thing("index.css")}),
    # The ticket in the URL decides; there is none here.
    ("GET", "/byre/v1/images/<image_id>/file"): Try(
        query="?ticket=none", answer=403, foreign=403, things={"image_id": Thing(ALPHA_IMAGE)}
    ),
    ("GET", _UPLOAD): Try(query="?ticket=none", answer=403, foreign=403),
    ("PUT", _UPLOAD): Try(
        "x",
        query="?ticket=none",
        content_type="application/octet-stream",
        answer=403,
        foreign=403,
    ),
    ("POST", "/byre/v1/hypervisors/<host>/cache"): Try({"image_id": PUBLIC_IMAGE}),
    ("POST", "/byre/v1/plan"): Try({"server": GOOD}),
    ("POST", f"{_V21}/flavors"): Try(
        {"flavor": {"name": "f", "ram": 64, "vcpus": 1, "disk": 1, "id": None}}
    ),
    ("PUT", _FLAVOR): Try({"flavor": {"description": "small"}}),
    ("POST", f"{_FLAVOR}/action"): Try({"addTenantAccess": {"tenant": ALPHA}}, _PRIVATE),
    # It is heard of.
    ("DELETE", f"{_V21}/os-services/<service_id>"): Try(
        things={"service_id": Thing("1")}, answer=409
    ),
    ("GET", f"{_V21}/extensions/<alias>"): Try(things={"alias": Thing("os-hosts")}),
    ("GET", f"{_V21}/os-simple-tenant-usage/<project_id>"): _QUOTA,
    # Nova's word for what is not done to hosts from here.
    ("PUT", f"{_V21}/os-hosts/<host>"): Try({"status": "enable"}, answer=501),
    **{
        ("GET", f"{_V21}/os-hosts/<host>/{verb}"): Try(answer=501)
        for verb in ("startup", "shutdown", "reboot")
    },
    ("POST", f"{_V21}/os-server-external-events"): Try(
        {"events": [{"name": "network-changed", "server_uuid": ACTIVE}]}
    ),
    # Nova's word for a host that does not tell it.
    ("GET", f"{_V21}/os-hypervisors/<hypervisor_id>/uptime"): Try(answer=501),
    ("POST", f"{_V21}/os-aggregates"): Try({"aggregate": {"name": "new"}}),
    ("PUT", f"{_V21}/os-aggregates/<aggregate_id>"): Try({"aggregate": {"name": "new"}}),
    ("POST", f"{_V21}/os-aggregates/<aggregate_id>/action"): Try({"add_host": {"host": "host-1"}}),
    ("GET", f"{_FLAVOR}/os-flavor-access"): Try(things=_PRIVATE),
    ("POST", f"{_FLAVOR}/os-extra_specs"): Try({"extra_specs": {"quota:vif_inbound_average": "9"}}),
    ("GET", f"{_FLAVOR}/os-extra_specs/<key>"): Try(things=_SPEC),
    ("PUT", f"{_FLAVOR}/os-extra_specs/<key>"): Try({_SPEC["key"].value: "5"}, _SPEC),
    ("DELETE", f"{_FLAVOR}/os-extra_specs/<key>"): Try(things=_SPEC),
    ("POST", f"{_V21}/os-keypairs"): Try({"keypair": {"name": "new", "public_key": PUBLIC_KEY}}),
    ("GET", f"{_V21}/os-quota-sets/<project_id>"): _QUOTA,
    ("GET", f"{_V21}/os-quota-sets/<project_id>/detail"): _QUOTA,
    # They are the same for all.
    ("GET", f"{_V21}/os-quota-sets/<project_id>/defaults"): Try(things={"project_id": Thing(BETA)}),
    ("PUT", f"{_V21}/os-quota-sets/<project_id>"): Try({"quota_set": {"cores": 40}}),
    ("GET", f"{_V21}/os-quota-class-sets/<name>"): Try(things={"name": Thing("default")}),
    ("PUT", f"{_V21}/os-quota-class-sets/<name>"): Try(
        {"quota_class_set": {"cores": 40}}, {"name": Thing("default")}
    ),
    ("POST", f"{_ONE}/remote-consoles"): Try(
        {"remote_console": {"protocol": "vnc", "type": "novnc"}}
    ),
    # There is none, and whoever may not ask is not told so.
    ("GET", f"{_V21}/os-console-auth-tokens/<token>"): Try(
        things={"token": Thing("none")}, answer=404
    ),
    ("POST", f"{_V21}/os-server-groups"): Try(
        {"server_group": {"name": "new", "policies": ["affinity"]}}
    ),
    ("GET", _GROUP): Try(things=_SERVER_GROUP),
    ("DELETE", _GROUP): Try(things=_SERVER_GROUP),
    ("PUT", f"{_V21}/os-services/enable"): Try(_HOST_SERVICE),
    ("PUT", f"{_V21}/os-services/disable"): Try(_HOST_SERVICE),
    ("PUT", f"{_V21}/os-services/force-down"): Try({**_HOST_SERVICE, "forced_down": True}),
    ("PUT", f"{_V21}/os-services/<service_id>"): Try(
        {"status": "enabled"}, {"service_id": Thing(HOST)}
    ),
    ("PUT", f"{_V21}/os-services/disable-log-reason"): Try(
        {**_HOST_SERVICE, "disabled_reason": "memory"}
    ),
    ("POST", f"{_V21}/servers"): Try({"server": GOOD}),
    ("PUT", _ONE): Try({"server": {"name": "renamed"}}),
    ("POST", f"{_ONE}/metadata"): Try({"metadata": {"a": "b"}}),
    ("PUT", f"{_ONE}/metadata"): Try({"metadata": {"a": "b"}}),
    ("PUT", f"{_ONE}/metadata/<key>"): Try({"meta": {"role": "db"}}),
    ("PUT", f"{_ONE}/tags"): Try({"tags": ["a"]}),
    ("DELETE", f"{_ONE}/tags/<tag>"): Try(things={"tag": Thing("old")}),
    ("GET", f"{_ONE}/tags/<tag>"): Try(things={"tag": Thing("old")}),
    # There are none.
    ("GET", f"{_ONE}/migrations/<migration_id>"): Try(answer=404),
    ("DELETE", f"{_ONE}/migrations/<migration_id>"): Try(answer=404),
    ("POST", f"{_ONE}/migrations/<migration_id>/action"): Try({"force_complete": None}, answer=404),
    ("GET", f"{_ONE}/os-interface/<port_id>"): Try(things={"port_id": Thing(PORT)}),
    ("DELETE", f"{_ONE}/os-interface/<port_id>"): Try(things={"port_id": Thing(PORT)}),
    ("POST", f"{_ONE}/os-interface"): Try({"interfaceAttachment": {"net_id": NETWORK}}),
    ("POST", f"{_V21}/images/<image_id>/metadata"): Try({"metadata": {"a": "b"}}),
    ("PUT", f"{_V21}/images/<image_id>/metadata"): Try({"metadata": {"a": "b"}}),
    ("PUT", f"{_V21}/images/<image_id>/metadata/<key>"): Try({"meta": {"role": "db"}}),
    **{
        (method, f"{_ONE}/os-volume_attachments{path}"): Try(body, answer=404)
        for method, path, body in (
            ("POST", "", _VOLUME),
            ("GET", "/<volume_id>", None),
            ("PUT", "/<volume_id>", _VOLUME),
            ("DELETE", "/<volume_id>", None),
        )
    },
    **{
        (method, f"{_V21}/{path}"): Try(answer=status, foreign=status)
        for method, path, status in (
            ("GET", "os-volumes/<volume_id>", 404),
            ("DELETE", "os-volumes/<volume_id>", 404),
            ("POST", "os-volumes", 501),
            ("GET", "os-snapshots/<snapshot_id>", 404),
            ("DELETE", "os-snapshots/<snapshot_id>", 404),
            ("POST", "os-snapshots", 501),
        )
    },
    ("POST", f"{_V21}/os-networks"): _GONE,
    ("POST", f"{_V21}/os-networks/add"): _GONE,
    ("DELETE", f"{_V21}/os-networks/<network_id>"): _GONE,
    ("POST", f"{_V21}/os-networks/<network_id>/action"): _GONE,
    ("POST", f"{_V21}/os-tenant-networks"): _GONE,
    ("DELETE", f"{_V21}/os-tenant-networks/<network_id>"): _GONE,
    ("POST", f"{_V21}/os-security-groups"): Try({"security_group": _NAMED}),
    ("PUT", f"{_V21}/os-security-groups/<group_id>"): Try({"security_group": _NAMED}),
    ("POST", f"{_V21}/os-security-group-rules"): Try(
        {
            "security_group_rule": {
                "parent_group_id": WEB,
                "ip_protocol": "tcp",
                "from_port": 22,
                "to_port": 22,
            }
        },
        foreign=404,
    ),
    ("POST", f"{_V21}/os-floating-ips"): Try({"pool": "public"}),
    ("GET", "/identity/v3/auth/tokens"): Try(headers=_MY_TOKEN, foreign=403),
    ("DELETE", "/identity/v3/auth/tokens"): Try(headers=_MY_TOKEN, foreign=403),
    ("POST", "/identity/v3/auth/tokens"): Try(
        {
            "auth": {
                "identity": {
                    "methods": ["password"],
                    "password": {"user": {"id": ALICE, "password": PASSWORD}},
                }
            }
        }
    ),
    ("GET", "/identity/v3/endpoints/<endpoint_id>"): Try(
        things={"endpoint_id": Thing(COMPUTE_PUBLIC)}
    ),
    ("GET", "/identity/v3/services/<service_id>"): Try(things={"service_id": Thing(COMPUTE)}),
    ("POST", "/identity/v3/projects"): Try({"project": {"name": "new"}}),
    ("PATCH", _PROJECT): Try({"project": {"description": "ours"}}),
    ("GET", _ROLES): Try(things=_OTHER),
    ("GET", f"{_ROLES}/<role_id>"): Try(things=_OTHER),
    ("PUT", f"{_ROLES}/<role_id>"): Try(things=_OTHER),
    ("DELETE", f"{_ROLES}/<role_id>"): Try(things=_OTHER),
    ("POST", "/identity/v3/users"): Try({"user": {"name": "new", "password": "p"}}),
    ("PATCH", _USER): Try({"user": {"description": "away"}}, _OTHER),
    ("DELETE", _USER): Try(things=_OTHER),
    # It is for the project of the token that makes it.
    ("POST", f"{_USER}/application_credentials"): Try(
        {"application_credential": {"name": "new"}}, unscoped=403
    ),
    ("POST", f"{_USER}/password"): Try({"user": {"original_password": PASSWORD, "password": "b"}}),
    ("POST", "/image/v2/images"): Try({"name": "new"}),
    ("PATCH", _IMAGE): Try(
        [{"op": "replace", "path": "/name", "value": "new"}], content_type=_PATCH
    ),
    ("PUT", f"{_IMAGE}/file"): Try(
        "x",
        {"image_id": Thing(QUEUED_IMAGE, Owner.PROJECT)},
        content_type="application/octet-stream",
        answer=400,
    ),
    ("DELETE", f"{_IMAGE}/tags/<tag>"): Try(things={"tag": Thing("old")}),
    ("PUT", _TAGS): Try({"tags": ["a"]}),
    ("POST", f"{_NET}/networks"): Try({"network": {"name": "new"}}),
    ("PUT", f"{_NET}/networks/<network_id>"): Try({"network": {"name": "new"}}),
    ("POST", f"{_NET}/ports"): Try({"port": {"network_id": NETWORK}}),
    ("PUT", f"{_NET}/ports/<port_id>"): Try({"port": {"name": "new"}}),
    ("POST", f"{_NET}/routers"): Try({"router": {"name": "new"}}),
    ("PUT", f"{_NET}/routers/<router_id>"): Try({"router": {"name": "new"}}),
    # It has no gateway that a router could have.
    ("PUT", f"{_NET}/routers/<router_id>/add_router_interface"): Try(
        {"subnet_id": OWN_SUBNET}, answer=400
    ),
    ("PUT", f"{_NET}/routers/<router_id>/remove_router_interface"): Try(
        {"subnet_id": OWN_SUBNET}, answer=404
    ),
    ("GET", f"{_NET}/auto-allocated-topology/<project_id>"): _QUOTA,
    ("DELETE", f"{_NET}/auto-allocated-topology/<project_id>"): _QUOTA,
    ("POST", f"{_NET}/floatingips"): Try({"floatingip": {"floating_network_id": EXTERNAL}}),
    ("PUT", f"{_NET}/floatingips/<floating_id>"): Try({"floatingip": {"description": "new"}}),
    ("POST", f"{_NET}/subnets"): Try(
        {"subnet": {"network_id": OWN_NETWORK, "ip_version": 4, "cidr": "10.2.0.0/24"}},
        foreign=404,
    ),
    ("PUT", f"{_NET}/subnets/<subnet_id>"): Try({"subnet": {"name": "new"}}),
    ("POST", f"{_NET}/security-groups"): Try({"security_group": {"name": "new"}}),
    ("PUT", f"{_NET}/security-groups/<group_id>"): Try({"security_group": {"name": "new"}}),
    ("POST", f"{_NET}/security-group-rules"): Try(
        {"security_group_rule": {"security_group_id": WEB, "direction": "egress"}},
        foreign=404,
    ),
    ("GET", f"{_NET}/quotas/<project_id>"): _QUOTA,
    ("GET", f"{_NET}/quotas/<project_id>/details"): _QUOTA,
    ("GET", f"{_NET}/quotas/<project_id>/details.json"): _QUOTA,
    ("PUT", f"{_NET}/quotas/<project_id>"): Try({"quota": {"port": 9}}),
}

#: What is said of each action on a server.
ACTIONS: dict[str, Any] = {
    "addFixedIp": {"networkId": NETWORK},
    "addFloatingIp": {"address": FLOATING_ADDRESS},
    "addSecurityGroup": {"name": "web"},
    "changePassword": {"adminPass": "secret"},
    "confirmResize": None,
    "createBackup": {"name": "b", "backup_type": "daily", "rotation": 1},
    "createImage": {"name": "mine"},
    "evacuate": {"onSharedStorage": False},
    "forceDelete": None,
    "lock": None,
    "migrate": None,
    "os-getConsoleOutput": {},
    "os-getRDPConsole": {"type": "rdp-html5"},
    "os-getSPICEConsole": {"type": "spice-html5"},
    "os-getSerialConsole": {"type": "serial"},
    "os-getVNCConsole": {"type": "novnc"},
    "os-migrateLive": {"host": None, "block_migration": False, "disk_over_commit": False},
    "os-resetState": {"state": "error"},
    "os-start": None,
    "os-stop": None,
    "pause": None,
    "reboot": {"type": "HARD"},
    "rebuild": {"imageRef": PUBLIC_IMAGE},
    "removeFloatingIp": {"address": FLOATING_ADDRESS},
    "removeFixedIp": {"address": "10.77.0.5"},
    "removeSecurityGroup": {"name": "default"},
    "rescue": None,
    "restore": None,
    "resize": {"flavorRef": "43"},
    "resume": None,
    "revertResize": None,
    "shelve": None,
    "shelveOffload": None,
    "suspend": None,
    "trigger_crash_dump": None,
    "unlock": None,
    "unpause": None,
    "unrescue": None,
    "unshelve": None,
}


#: What is answered to who may ask for a console that there is not, or to have a server moved.
ANSWERS = {
    **dict.fromkeys(("os-getRDPConsole", "os-getSPICEConsole"), 400),
    "os-migrateLive": 501,
    # There is one host, and it answers.
    **dict.fromkeys(("evacuate", "migrate"), 400),
}


def write_bytes(images: Path) -> None:
    """Write what alpha's own images hold."""
    for image_id in (ALPHA_IMAGE, ASLEEP):
        (images / image_id).write_bytes(BYTES)


def make_policy_world(sessions: Sessions, images: Path) -> None:
    """Write the small world, and what it lacks: people of each role, and things of alpha's own."""
    make_world(sessions, images)
    write_bytes(images)
    with sessions.begin() as session:
        for number, (name, (project_id, role)) in enumerate(PEOPLE.items(), 950):
            if name not in _IDS:
                _person(session, uid(number), name, project_id, role)
        session.flush()
        for user_id in map(id_of, PEOPLE):
            _belongings(session, user_id)
        _own(session)
        _of_nobody(session)


def _person(session: Session, user_id: str, name: str, project_id: str, role: str) -> None:
    session.add(User(id=user_id, name=name, password_hash=PASSWORD_HASH))
    session.flush()
    session.add(RoleAssignment(user_id=user_id, project_id=project_id, role=role))
    add_token(session, token_of(name), user_id, project_id, lives_s=3600)


def _belongings(session: Session, user_id: str) -> None:
    """What each has of the same name."""
    if user_id not in (ALICE, id_of("nora")):
        session.add(
            Keypair(user_id=user_id, name="key", public_key=PUBLIC_KEY, fingerprint="f8:f5")
        )
    session.add(
        ApplicationCredential(
            id=credential_of(user_id),
            user_id=user_id,
            project_id=ALPHA,
            name="tool",
            secret_hash="",
            roles=["reader"],
        )
    )


def _of_nobody(session: Session) -> None:
    """What belongs to nobody who asks, or may be touched by some of its owners only."""
    session.add(
        Project(
            id=NOBODYS_PROJECT, name="empty", quota_servers=5, quota_vcpus=20, quota_memory_mib=8192
        )
    )
    session.add(User(id=NOBODY, name="nobody", password_hash=PASSWORD_HASH))
    session.flush()
    session.add(Keypair(user_id=NOBODY, name="key", public_key=PUBLIC_KEY, fingerprint="f8:f5"))
    session.get_one(Server, FAILED).locked_by = "admin"
    facts = {"project_id": ALPHA, "kind": "provider", "physical_network": "ext", "vlan": 0}
    session.add(Network(id=BRIDGED, name="bridged", **facts))
    session.add(
        Image(
            id=ASLEEP,
            project_id=ALPHA,
            name="asleep",
            status="deactivated",
            visibility="private",
            disk_format="qcow2",
            container_format="bare",
            size_bytes=len(BYTES),
        )
    )


def _own(session: Session) -> None:
    image = session.get_one(Image, ALPHA_IMAGE)
    image.tags, image.properties = ["old"], {"role": "db"}
    session.add(ServerTag(server_id=ACTIVE, tag="old"))
    session.get_one(Flavor, "42").extra_specs = {_SPEC["key"].value: "7"}
    session.add(Aggregate(number=1, name="rack"))
    # Who is resized holds room; how much it has of it is told by its own row.
    session.add(
        Allocation(
            server_id=ACTIVE,
            hypervisor_id=HOST,
            run_id=RUN,
            attempt=1,
            vcpus=1,
            memory_mib=256,
            disk_gib=1,
        )
    )
    session.add(Network(id=OWN_NETWORK, project_id=ALPHA, name="own", tags=["blue"]))
    session.add(
        ServerGroup(id=SERVER_GROUP, project_id=ALPHA, user_id=ALICE, name="ha", policy="affinity")
    )
    session.flush()
    session.add(Subnet(id=OWN_SUBNET, network_id=OWN_NETWORK, name="own", cidr="10.1.0.0/24"))
    session.add(
        Port(
            id=OWN_PORT,
            project_id=ALPHA,
            network_id=NETWORK,
            is_owners=True,
            mac="fa:16:3e:00:00:09",
        )
    )
    _routed(session)


def _routed(session: Session) -> None:
    """A router, and a floating IP of a network that all may have floating IPs of."""
    facts = {"project_id": OPERATIONS, "external": True, "kind": "uplink"}
    session.add(Network(id=EXTERNAL, name="public", **facts))
    session.flush()
    facts = {"project_id": ALPHA, "external_network_id": EXTERNAL}
    session.add(Router(id=ROUTER, name="own", **facts))
    gateway = Port(
        id=GATEWAY,
        project_id=ALPHA,
        network_id=NETWORK,
        is_owners=True,
        device_owner="network:router_interface",
        device_id=ROUTER,
        mac="fa:16:3e:00:00:0b",
        addresses=[FixedAddress(subnet_id=SUBNET, address="10.77.0.1")],
    )
    session.add(gateway)
    session.flush()
    session.add(RouterInterface(port_id=GATEWAY, router_id=ROUTER))
    session.add(
        Subnet(
            id=EXTERNAL_SUBNET,
            network_id=EXTERNAL,
            cidr="203.0.113.0/24",
            pools=[{"start": "203.0.113.10", "end": "203.0.113.99"}],
        )
    )
    holder = Port(
        id=HOLDER,
        project_id=OPERATIONS,
        network_id=EXTERNAL,
        is_owners=True,
        device_owner="network:floatingip",
        mac="fa:16:3e:00:00:0a",
        addresses=[FixedAddress(subnet_id=EXTERNAL_SUBNET, address=FLOATING_ADDRESS)],
    )
    session.add(holder)
    session.flush()
    row = {"id": FLOATING, "project_id": ALPHA, "network_id": EXTERNAL, "holder_id": HOLDER}
    session.add(FloatingIp(address=FLOATING_ADDRESS, **row))
