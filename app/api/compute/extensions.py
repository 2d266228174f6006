"""Compute's extensions, which in Nova 2.1 are all always there; clients of old look here first."""

from typing import Any

from marshmallow import Schema, fields

from app.api.compute.schema import Json, answer
from app.api.dialects import COMPUTE
from app.api.routes import Routes
from tasks.errors import NotFound

routes = Routes(COMPUTE, "extensions", "What compute can do, by Nova's names.", "/v2.1/extensions")

#: alias -> (name, what it is for): of Nova's, those that are carried out here.
EXTENSIONS = {
    "NMN": ("Multinic", "addFixedIp and removeFixedIp."),
    "OS-DCF": ("DiskConfig", "OS-DCF:diskConfig of a server."),
    "OS-EXT-AZ": ("ExtendedAvailabilityZone", "The zone of a server."),
    "OS-EXT-IPS": ("ExtendedIps", "What kind an address is."),
    "OS-EXT-IPS-MAC": ("ExtendedIpsMac", "The MAC of an address."),
    "OS-EXT-SRV-ATTR": ("ExtendedServerAttributes", "Where a server is, for administrators."),
    "OS-EXT-STS": ("ExtendedStatus", "A server's states."),
    "OS-FLV-DISABLED": ("FlavorDisabled", "OS-FLV-DISABLED:disabled of a flavor."),
    "OS-FLV-EXT-DATA": ("FlavorExtraData", "The ephemeral disk of a flavor."),
    "OS-SCH-HNT": ("SchedulerHints", "With whom a server shares its host."),
    "OS-SRV-USG": ("ServerUsage", "When a server was launched and ended."),
    "os-admin-actions": ("AdminActions", "os-resetState and the like."),
    "os-aggregates": ("Aggregates", "Hosts that belong together."),
    "os-attach-interfaces": ("AttachInterfaces", "A server's interfaces."),
    "os-availability-zone": ("AvailabilityZone", "Where servers can be."),
    "os-config-drive": ("ConfigDrive", "config_drive of a server."),
    "os-console-output": ("ConsoleOutput", "What a server writes to its console."),
    "os-deferred-delete": ("DeferredDelete", "forceDelete."),
    "os-flavor-access": ("FlavorAccess", "Who may use a private flavor."),
    "os-flavor-extra-specs": ("FlavorExtraSpecs", "Extra specs of flavors."),
    "os-flavor-manage": ("FlavorManage", "Flavors are made and removed."),
    "os-flavor-rxtx": ("FlavorRxtx", "rxtx_factor of a flavor."),
    "os-flavor-swap": ("FlavorSwap", "swap of a flavor."),
    "os-floating-ip-pools": ("FloatingIpPools", "External networks, by name."),
    "os-floating-ips": ("FloatingIps", "Floating IPs of the network API."),
    "os-hosts": ("Hosts", "Hosts, and who holds what of them."),
    "os-hypervisors": ("Hypervisors", "What each host has."),
    "os-instance-actions": ("InstanceActions", "What was done with a server."),
    "os-instance_usage_audit_log": ("OSInstanceUsageAuditLog", "Audits of usage: none."),
    "os-keypairs": ("Keypairs", "SSH public keys."),
    "os-lock-server": ("LockServer", "lock and unlock."),
    "os-multiple-create": ("MultipleCreate", "Several servers by one create."),
    "os-networks": ("Networks", "Networks of the network API, to look at."),
    "os-pause-server": ("PauseServer", "pause and unpause."),
    "os-quota-sets": ("Quotas", "What projects may have."),
    "os-security-groups": ("SecurityGroups", "Security groups, and those of a server."),
    "os-server-external-events": ("ServerExternalEvents", "What other services tell of servers."),
    "os-server-groups": ("ServerGroups", "Servers to be kept together, or apart."),
    "os-services": ("Services", "The hypervisors' workers."),
    "os-simple-tenant-usage": ("SimpleTenantUsage", "What projects have used, in hours."),
    "os-suspend-server": ("SuspendServer", "suspend and resume."),
    "os-tenant-networks": ("OSTenantNetworks", "The same, in brief."),
    "os-used-limits": ("UsedLimits", "What is used of the limits."),
    "os-user-data": ("UserData", "user_data of a create."),
}

_NAMESPACE = "http://docs.openstack.org/compute/ext/fake_xml"
_UPDATED = "2014-12-03T00:00:00Z"


class ComputeExtension(Schema):
    """An extension."""

    alias = fields.String(required=True)
    name = fields.String(required=True)
    description = fields.String(required=True)
    namespace = fields.String(required=True)
    updated = fields.String(required=True)
    links = fields.List(fields.Dict(), required=True)


Extensions = answer(
    "ComputeExtensionsAnswer",
    extensions=fields.List(fields.Nested(ComputeExtension), required=True),
)
Extension = answer(
    "ComputeExtensionAnswer", extension=fields.Nested(ComputeExtension, required=True)
)


@routes.endpoint("GET", "", "extensions:list", returns=Extensions)
def list_extensions() -> Any:
    """List what compute can do"""
    return {"extensions": [_body(alias) for alias in sorted(EXTENSIONS)]}


@routes.endpoint("GET", "/<alias>", "extensions:list", returns=Extension, errors=(404,))
def show_extension(alias: str) -> Any:
    """Show one of the things that compute can do"""
    if alias not in EXTENSIONS:
        raise NotFound(f"Extension {alias} could not be found.")
    return {"extension": _body(alias)}


def _body(alias: str) -> Json:
    name, description = EXTENSIONS[alias]
    return {
        "alias": alias,
        "name": name,
        "description": description,
        "namespace": _NAMESPACE,
        "updated": _UPDATED,
        "links": [],
    }
