"""Cases of compute that change nothing: what is shown, to whom, in which form."""

from typing import Any

from app.services.server_views import host_id
from tests.http.cases import BASE, Case, Like, compute_fault, links
from tests.http.world import (
    ACTIVE,
    ALICE,
    ALPHA,
    BETA,
    BETA_SERVER,
    BOB,
    FAILED,
    GONE,
    KEYPAIR,
    NETWORK,
    PORT,
    PUBLIC_IMAGE,
    PUBLIC_KEY,
    SUBNET,
    THEN_MICRO,
    THEN_TEXT,
    uid,
)

V20 = {
    "id": "v2.0",
    "status": "DEPRECATED",
    "version": "",
    "min_version": "",
    "updated": "2011-01-21T11:33:21Z",
    "links": [{"rel": "self", "href": f"{BASE}/compute/v2/"}],
}
V21 = {
    "id": "v2.1",
    "status": "CURRENT",
    "version": "2.64",
    "min_version": "2.1",
    "updated": "2013-07-23T11:33:21Z",
    "links": [{"rel": "self", "href": f"{BASE}/compute/v2.1/"}],
}

INTERFACE = {
    "port_id": PORT,
    "net_id": NETWORK,
    "mac_addr": "fa:16:3e:00:00:01",
    "port_state": "ACTIVE",
    "fixed_ips": [{"subnet_id": SUBNET, "ip_address": "10.77.0.5"}],
}


def _version(version: dict[str, Any]) -> dict[str, Any]:
    kind = f"application/vnd.openstack.compute+json;version={version['id'][1:]}"
    return {"version": {**version, "media-types": [{"base": "application/json", "type": kind}]}}


def _brief(server_id: str, name: str) -> dict[str, Any]:
    return {"id": server_id, "name": name, "links": links("servers", server_id)}


def _bookmark(kind: str, thing_id: str) -> list[dict[str, str]]:
    return [{"rel": "bookmark", "href": f"{BASE}/compute/{kind}/{thing_id}"}]


def _server(server_id: str, name: str, **changes: Any) -> dict[str, Any]:
    return {
        **_brief(server_id, name),
        "status": "ACTIVE",
        "tenant_id": ALPHA,
        "user_id": ALICE,
        "created": THEN_TEXT,
        "updated": THEN_TEXT,
        "hostId": host_id(ALPHA, "host-1"),
        "image": {"id": PUBLIC_IMAGE, "links": _bookmark("images", PUBLIC_IMAGE)},
        "flavor": {"id": "42", "links": _bookmark("flavors", "42")},
        "metadata": {"role": "web"},
        "addresses": {
            "private": [
                {
                    "version": 4,
                    "addr": "10.77.0.5",
                    "OS-EXT-IPS:type": "fixed",
                    "OS-EXT-IPS-MAC:mac_addr": "fa:16:3e:00:00:01",
                }
            ]
        },
        "accessIPv4": "",
        "accessIPv6": "",
        "config_drive": "True",
        "key_name": "key",
        "OS-DCF:diskConfig": "MANUAL",
        "OS-EXT-AZ:availability_zone": "nova",
        "OS-EXT-STS:task_state": None,
        "OS-EXT-STS:vm_state": "active",
        "OS-EXT-STS:power_state": 1,
        "OS-SRV-USG:launched_at": THEN_MICRO,
        "OS-SRV-USG:terminated_at": None,
        "os-extended-volumes:volumes_attached": [],
        **changes,
    }


WEB = _server(ACTIVE, "web", progress=100, security_groups=[{"name": "default"}])
BROKEN = _server(
    FAILED,
    "broken",
    status="ERROR",
    created="2026-11-23T03:33:43Z",
    updated="2026-11-23T03:33:43Z",
    hostId="",
    metadata={},
    addresses={},
    key_name=None,
    fault={"code": 500, "created": THEN_TEXT, "message": "No valid host was found."},
    **{
        "OS-EXT-AZ:availability_zone": "",
        "OS-EXT-STS:vm_state": "error",
        "OS-EXT-STS:power_state": 0,
        "OS-SRV-USG:launched_at": None,
    },
)
FOREIGN = _server(
    BETA_SERVER,
    "foreign",
    progress=100,
    tenant_id=BETA,
    user_id=BOB,
    created="2026-11-23T03:33:42Z",
    updated="2026-11-23T03:33:42Z",
    hostId=host_id(BETA, "host-1"),
    addresses={},
)
ON_HOST = {
    "OS-EXT-SRV-ATTR:host": "host-1",
    "OS-EXT-SRV-ATTR:hypervisor_hostname": "host-1",
}
NOWHERE = {"OS-EXT-SRV-ATTR:host": None, "OS-EXT-SRV-ATTR:hypervisor_hostname": None}


def _for_admin(server: dict[str, Any], host: dict[str, Any]) -> dict[str, Any]:
    return {**server, **host, "OS-EXT-SRV-ATTR:instance_name": f"byre-{server['id']}"}


SERVERS = "/compute/v2.1/servers"
BOTH = {"servers": [_brief(ACTIVE, "web"), _brief(FAILED, "broken")]}
WEB_ONLY = {"servers": [_brief(ACTIVE, "web")]}
BROKEN_ONLY = {"servers": [_brief(FAILED, "broken")]}
NONE: dict[str, Any] = {"servers": []}


def missing(server_id: str) -> dict[str, Any]:
    return compute_fault(404, f"Instance {server_id} could not be found.")


def _flavor(flavor_id: str, name: str, vcpus: int, ram: int, disk: int, **more: Any) -> Any:
    return {
        "id": flavor_id,
        "name": name,
        "links": links("flavors", flavor_id),
        "ram": ram,
        "vcpus": vcpus,
        "disk": disk,
        "swap": "",
        "rxtx_factor": 1.0,
        "OS-FLV-EXT-DATA:ephemeral": 0,
        "OS-FLV-DISABLED:disabled": False,
        "os-flavor-access:is_public": True,
        **more,
    }


NANO, HUGE = _flavor("42", "m1.nano", 1, 256, 1), _flavor("43", "m1.huge", 8, 4096, 80)
SECRET = _flavor("secret", "secret", 1, 256, 1, **{"os-flavor-access:is_public": False})

KEY = {"name": "key", "public_key": PUBLIC_KEY, "fingerprint": "f8:f5"}

HYPERVISOR = {
    "id": 1,
    "hypervisor_hostname": "host-1",
    "state": "up",
    "status": "enabled",
}
SUMS = {
    "vcpus": 8,
    "vcpus_used": 1,
    "memory_mb": 16_384,
    "memory_mb_used": 256,
    "free_ram_mb": 16_128,
    "local_gb": 100,
    "local_gb_used": 3,
    "free_disk_gb": 97,
    "disk_available_least": 90,
    "running_vms": 0,
    "current_workload": 0,
}
HYPERVISOR_DETAIL = {
    **HYPERVISOR,
    **SUMS,
    "host_ip": "10.0.0.1",
    "hypervisor_type": "QEMU",
    "hypervisor_version": 7_002_000,
    "cpu_info": '{"arch": "x86_64", "model": "EPYC", "domain_type": "qemu", "uefi": false,'
    ' "vif_limits": false,'
    ' "dedicated_vcpus": 0, "dedicated_vcpus_used": 0, "dedicated_vcpus_free": 0}',
    "service": {"id": 1, "host": "host-1", "disabled_reason": None},
}


MIGRATIONS = "/compute/v2.1/os-migrations"
SERVICES = "/compute/v2.1/os-services"
REF = {"host": "host-1", "binary": "nova-compute"}
SERVICE = {
    **REF,
    "id": 1,
    "zone": "nova",
    "status": "enabled",
    "state": "up",
    "updated_at": Like(r"\d{4}-.*\.\d{6}"),
    "disabled_reason": None,
}


def _zones(hosts: Any) -> dict[str, Any]:
    zone = {"zoneName": "nova", "zoneState": {"available": True}, "hosts": hosts}
    return {"availabilityZoneInfo": [zone]}


ABSOLUTE = {
    "maxTotalInstances": 5,
    "maxTotalCores": 20,
    "maxTotalRAMSize": 8192,
    "maxTotalKeypairs": 100,
    "maxServerMeta": 128,
    "maxImageMeta": 128,
    "maxPersonality": 5,
    "maxPersonalitySize": 10240,
    "maxServerGroups": 10,
    "maxServerGroupMembers": 10,
    "maxSecurityGroups": 10,
    "maxSecurityGroupRules": 100,
    "maxTotalFloatingIps": 50,
    "totalInstancesUsed": 2,
    "totalCoresUsed": 2,
    "totalRAMUsed": 512,
    "totalServerGroupsUsed": 0,
    "totalSecurityGroupsUsed": 4,
    "totalFloatingIpsUsed": 0,
}

NOT_ALLOWED = Like("Policy doesn't allow .* to be performed.")


def _listed(query: str, body: Any, who: str = "alice") -> Case:
    return Case(f"servers?{query} of {who}", who, "GET", f"{SERVERS}?{query}", 200, body)


CASES = [
    Case("versions", None, "GET", "/compute", 200, {"versions": [V20, V21]}),
    Case("versions with slash", None, "GET", "/compute/", 200, {"versions": [V20, V21]}),
    Case("old version", None, "GET", "/compute/v2/", 200, _version(V20)),
    Case("version", None, "GET", "/compute/v2.1", 200, _version(V21)),
    Case("version with slash", None, "GET", "/compute/v2.1/", 200, _version(V21)),
    # servers
    Case("servers", "alice", "GET", SERVERS, 200, BOTH),
    Case("servers of a reader", "rita", "GET", SERVERS, 200, BOTH),
    Case("detail", "alice", "GET", f"{SERVERS}/detail", 200, {"servers": [WEB, BROKEN]}),
    Case(
        "detail of everybody",
        "root",
        "GET",
        f"{SERVERS}/detail?all_tenants=1",
        200,
        {
            "servers": [
                _for_admin(WEB, ON_HOST),
                _for_admin(BROKEN, NOWHERE),
                _for_admin(FOREIGN, ON_HOST),
            ]
        },
    ),
    Case("server", "alice", "GET", f"{SERVERS}/{ACTIVE}", 200, {"server": WEB}),
    Case(
        "server for an operator",
        "root",
        "GET",
        f"{SERVERS}/{ACTIVE}",
        200,
        {"server": _for_admin(WEB, ON_HOST)},
    ),
    Case("failed server", "alice", "GET", f"{SERVERS}/{FAILED}", 200, {"server": BROKEN}),
    Case("foreign server", "alice", "GET", f"{SERVERS}/{BETA_SERVER}", 404, missing(BETA_SERVER)),
    Case("deleted server", "alice", "GET", f"{SERVERS}/{GONE}", 404, missing(GONE)),
    Case("server by name", "alice", "GET", f"{SERVERS}/web", 404, missing("web")),
    Case(
        "delete a foreign one",
        "alice",
        "DELETE",
        f"{SERVERS}/{BETA_SERVER}",
        404,
        missing(BETA_SERVER),
    ),
    Case("delete none", "alice", "DELETE", f"{SERVERS}/{uid(99)}", 404, missing(uid(99))),
    _listed("name=we", WEB_ONLY),
    _listed("name=WE", WEB_ONLY),
    _listed("name=^web$", WEB_ONLY),
    _listed("name=^e", NONE),
    _listed("name=w.b", WEB_ONLY),
    _listed("name=^b.*n$", BROKEN_ONLY),
    _listed("name=%25", NONE),
    _listed("name=(a%2B)%2B$", NONE),
    _listed("status=error", BROKEN_ONLY),
    _listed("status=error&status=Active", BOTH),
    _listed(f"image={PUBLIC_IMAGE}", BOTH),
    _listed("flavor=43", NONE),
    _listed("ip=10.77", WEB_ONLY),
    _listed("key_name=key", WEB_ONLY),
    _listed(f"uuid={FAILED}", BROKEN_ONLY),
    _listed("deleted=False", BOTH),
    _listed("deleted=True", BOTH),
    _listed("all_tenants=False", BOTH),
    _listed("nonsense=1", BOTH),
    _listed("sort_key=display_name&sort_dir=asc", {"servers": BOTH["servers"][::-1]}),
    _listed("limit=0", NONE),
    _listed(f"marker={ACTIVE}", BROKEN_ONLY),
    _listed("changes-since=2026-11-23T03:33:44Z", WEB_ONLY),
    _listed(
        "changes-since=2026-11-23T03:33:41Z&status=deleted",
        {"servers": [_brief(GONE, "gone")]},
    ),
    _listed("all_tenants=1&deleted=True", {"servers": [_brief(GONE, "gone")]}, "root"),
    _listed(
        f"all_tenants&project_id={BETA}", {"servers": [_brief(BETA_SERVER, "foreign")]}, "root"
    ),
    _listed("all_tenants=1&host=nowhere", NONE, "root"),
    _listed(
        "limit=1",
        {
            **WEB_ONLY,
            "servers_links": [{"rel": "next", "href": f"{BASE}{SERVERS}?limit=1&marker={ACTIVE}"}],
        },
    ),
    Case(
        "a member asks for all projects",
        "alice",
        "GET",
        f"{SERVERS}?all_tenants=1",
        403,
        compute_fault(403, Like("Policy doesn't allow .*servers:list:all_projects.*")),
    ),
    # flavors
    Case(
        "flavors",
        "alice",
        "GET",
        "/compute/v2.1/flavors",
        200,
        {"flavors": [{key: each[key] for key in ("id", "name", "links")} for each in (NANO, HUGE)]},
    ),
    Case(
        "flavors in full",
        "alice",
        "GET",
        "/compute/v2.1/flavors/detail?is_public=None",
        200,
        {"flavors": [NANO, HUGE]},
    ),
    Case(
        "flavors for an operator",
        "root",
        "GET",
        "/compute/v2.1/flavors/detail?is_public=None",
        200,
        {"flavors": [NANO, HUGE, SECRET]},
    ),
    Case(
        "large flavors",
        "alice",
        "GET",
        "/compute/v2.1/flavors/detail?minRam=4096&minDisk=80",
        200,
        {"flavors": [HUGE]},
    ),
    Case("flavor", "alice", "GET", "/compute/v2.1/flavors/42", 200, {"flavor": NANO}),
    Case(
        "private flavor",
        "alice",
        "GET",
        "/compute/v2.1/flavors/secret",
        404,
        compute_fault(404, "Flavor secret could not be found."),
    ),
    Case(
        "extra specs",
        "alice",
        "GET",
        "/compute/v2.1/flavors/42/os-extra_specs",
        200,
        {"extra_specs": {}},
    ),
    Case(
        "extra specs of none",
        "alice",
        "GET",
        "/compute/v2.1/flavors/nope/os-extra_specs",
        404,
        compute_fault(404, "Flavor nope could not be found."),
    ),
    Case(
        "an extra spec that is not there",
        "alice",
        "GET",
        "/compute/v2.1/flavors/42/os-extra_specs/hw:cpu_policy",
        404,
        compute_fault(404, "Flavor 42 has no extra specs with key hw:cpu_policy."),
    ),
    Case(
        "an extra spec of a private flavor",
        "alice",
        "GET",
        "/compute/v2.1/flavors/secret/os-extra_specs/x",
        404,
        compute_fault(404, "Flavor secret could not be found."),
    ),
    *(
        Case(
            f"a member's {method} of extra specs",
            "alice",
            method,
            f"/compute/v2.1/flavors/42/os-extra_specs{path}",
            403,
            compute_fault(403, NOT_ALLOWED),
            send=send,
        )
        for method, path, send in (
            ("POST", "", {"extra_specs": {"x": "y"}}),
            ("PUT", "/x", {"x": "y"}),
            ("DELETE", "/x", None),
        )
    ),
    Case(
        "a member makes a flavor",
        "alice",
        "POST",
        "/compute/v2.1/flavors",
        403,
        compute_fault(403, NOT_ALLOWED),
        send={},
    ),
    Case(
        "a member deletes a flavor that is not there",
        "alice",
        "DELETE",
        "/compute/v2.1/flavors/nope",
        403,
        compute_fault(403, NOT_ALLOWED),
    ),
    # who may use a flavor
    Case(
        "who may use a private flavor",
        "root",
        "GET",
        "/compute/v2.1/flavors/secret/os-flavor-access",
        200,
        {"flavor_access": []},
    ),
    Case(
        "who may use a public flavor",
        "root",
        "GET",
        "/compute/v2.1/flavors/42/os-flavor-access",
        404,
        compute_fault(404, "Access list not available for public flavors."),
    ),
    Case(
        "a member asks who may use a flavor",
        "alice",
        "GET",
        "/compute/v2.1/flavors/nope/os-flavor-access",
        403,
        compute_fault(403, NOT_ALLOWED),
    ),
    Case(
        "a member lends a flavor",
        "alice",
        "POST",
        "/compute/v2.1/flavors/secret/action",
        403,
        compute_fault(403, NOT_ALLOWED),
        send={"addTenantAccess": {"tenant": ALPHA}},
    ),
    *(
        Case(
            f"lending of {flavor}: {send}",
            "root",
            "POST",
            f"/compute/v2.1/flavors/{flavor}/action",
            status,
            compute_fault(status, Like(f".*{message}.*")),
            send=send,
        )
        for flavor, send, status, message in (
            ("nope", {"addTenantAccess": {"tenant": ALPHA}}, 404, "Flavor nope could not"),
            ("42", {"addTenantAccess": {"tenant": ALPHA}}, 409, "to a public flavor"),
            ("42", {"removeTenantAccess": {"tenant": ALPHA}}, 409, "from a public flavor"),
            ("secret", {"addTenantAccess": {"tenant": "x"}}, 400, "tenant: project x could not"),
            ("secret", {"addTenantAccess": {}}, 400, "addTenantAccess.tenant"),
            ("secret", {}, 400, "must be one, and only one"),
        )
    ),
    # keypairs
    Case(
        "keypairs",
        "alice",
        "GET",
        "/compute/v2.1/os-keypairs",
        200,
        {"keypairs": [{"keypair": KEY}]},
    ),
    Case("another's keypairs", "rita", "GET", "/compute/v2.1/os-keypairs", 200, {"keypairs": []}),
    Case(
        "keypair",
        "alice",
        "GET",
        "/compute/v2.1/os-keypairs/key",
        200,
        {
            "keypair": {
                **KEY,
                "user_id": ALICE,
                "id": int(KEYPAIR.replace("-", ""), 16) >> 98,
                "deleted": False,
                "created_at": THEN_MICRO,
                "updated_at": None,
                "deleted_at": None,
            }
        },
    ),
    Case(
        "no keypair",
        "rita",
        "GET",
        "/compute/v2.1/os-keypairs/key",
        404,
        compute_fault(404, "Keypair key not found for user."),
    ),
    # hypervisors and zones
    Case(
        "hypervisors",
        "root",
        "GET",
        "/compute/v2.1/os-hypervisors",
        200,
        {"hypervisors": [HYPERVISOR]},
    ),
    Case(
        "hypervisors in full",
        "root",
        "GET",
        "/compute/v2.1/os-hypervisors/detail",
        200,
        {"hypervisors": [HYPERVISOR_DETAIL]},
    ),
    Case(
        "hypervisor",
        "root",
        "GET",
        "/compute/v2.1/os-hypervisors/1",
        200,
        {"hypervisor": HYPERVISOR_DETAIL},
    ),
    Case(
        "hypervisor by name",
        "root",
        "GET",
        "/compute/v2.1/os-hypervisors/host-1",
        404,
        compute_fault(404, "Hypervisor with ID 'host-1' could not be found."),
    ),
    Case(
        "no such hypervisor",
        "root",
        "GET",
        "/compute/v2.1/os-hypervisors/7",
        404,
        compute_fault(404, "Compute host 7 could not be found."),
    ),
    Case(
        "statistics",
        "root",
        "GET",
        "/compute/v2.1/os-hypervisors/statistics",
        200,
        {"hypervisor_statistics": {**SUMS, "count": 1}},
    ),
    Case(
        "a member asks for hypervisors",
        "alice",
        "GET",
        "/compute/v2.1/os-hypervisors",
        403,
        compute_fault(403, NOT_ALLOWED),
    ),
    Case(
        "uptime",
        "root",
        "GET",
        "/compute/v2.1/os-hypervisors/1/uptime",
        501,
        {
            "notImplemented": {
                "code": 501,
                "message": "Virt driver does not implement uptime function.",
            }
        },
    ),
    Case("migrations", "root", "GET", MIGRATIONS, 200, {"migrations": []}),
    Case(
        "a member asks for migrations",
        "alice",
        "GET",
        MIGRATIONS,
        403,
        compute_fault(403, NOT_ALLOWED),
    ),
    Case("services", "root", "GET", SERVICES, 200, {"services": [SERVICE]}),
    Case(
        "services of a host",
        "root",
        "GET",
        f"{SERVICES}?host=host-1&binary=nova-compute",
        200,
        {"services": [SERVICE]},
    ),
    Case("services of no host", "root", "GET", f"{SERVICES}?host=host-2", 200, {"services": []}),
    Case(
        "a member asks for services",
        "alice",
        "GET",
        SERVICES,
        403,
        compute_fault(403, NOT_ALLOWED),
    ),
    *(
        Case(
            f"{verb} a service that is not there",
            "root",
            "PUT",
            f"{SERVICES}/{verb}",
            404,
            compute_fault(404, message),
            send={"host": host, "binary": binary, **more},
        )
        for verb, more in (
            ("enable", {}),
            ("disable", {}),
            ("disable-log-reason", {"disabled_reason": "new memory"}),
        )
        for host, binary, message in (
            ("host-2", "nova-compute", "No hypervisor is named host-2."),
            ("host-1", "nova-conductor", "Could not find binary nova-conductor on host host-1."),
        )
    ),
    *(
        Case(
            f"{verb} a service: {title}",
            user,
            "PUT",
            f"{SERVICES}/{verb}",
            status,
            compute_fault(status, message),
            send=send,
        )
        for verb, title, user, status, message, send in (
            ("enable", "no binary", "root", 400, Like(".*binary.*"), {"host": "host-1"}),
            ("disable", "of another kind", "root", 400, Like(".*why.*"), {**REF, "why": "x"}),
            ("disable-log-reason", "no reason", "root", 400, Like(".*disabled_reason.*"), REF),
            (
                "disable-log-reason",
                "blank reason",
                "root",
                400,
                Like(".*disabled_reason.*"),
                {**REF, "disabled_reason": " "},
            ),
            ("enable", "a member", "alice", 403, NOT_ALLOWED, REF),
            ("disable", "a member", "alice", 403, NOT_ALLOWED, REF),
            ("disable-log-reason", "a member", "alice", 403, NOT_ALLOWED, REF),
        )
    ),
    Case(
        "aggregates, which showing a hypervisor asks for",
        "root",
        "GET",
        "/compute/v2.1/os-aggregates",
        200,
        {"aggregates": []},
    ),
    Case("zones", "alice", "GET", "/compute/v2.1/os-availability-zone", 200, _zones(None)),
    Case(
        "zones in full",
        "root",
        "GET",
        "/compute/v2.1/os-availability-zone/detail",
        200,
        _zones(
            {
                "host-1": {
                    "nova-compute": {
                        "active": True,
                        "available": True,
                        "updated_at": Like(r"\d{4}-.*\.\d{6}"),
                    }
                }
            }
        ),
    ),
    Case(
        "limits",
        "alice",
        "GET",
        "/compute/v2.1/limits?reserved=False",
        200,
        {"limits": {"rate": [], "absolute": ABSOLUTE}},
    ),
    Case(
        "interfaces",
        "alice",
        "GET",
        f"/compute/v2.1/servers/{ACTIVE}/os-interface",
        200,
        {"interfaceAttachments": [INTERFACE]},
    ),
    Case(
        "interface",
        "alice",
        "GET",
        f"/compute/v2.1/servers/{ACTIVE}/os-interface/{PORT}",
        200,
        {"interfaceAttachment": INTERFACE},
    ),
    Case(
        "no interface",
        "alice",
        "GET",
        f"/compute/v2.1/servers/{ACTIVE}/os-interface/x",
        404,
        compute_fault(404, f"Interface x of server {ACTIVE} could not be found."),
    ),
    Case(
        "another's interfaces",
        "bob",
        "GET",
        f"/compute/v2.1/servers/{ACTIVE}/os-interface",
        404,
        compute_fault(404, f"Instance {ACTIVE} could not be found."),
    ),
]
