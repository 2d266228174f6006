"""Compute's microversions: the one table of what each of them changes here. A version is honoured
whole: what stands in its row, and in all above it.

Code names a row where its shape changes: a route by `since` or `until` of `Routes.endpoint`, a
field by `since`, `until` or `Changed` of app.api.compute.schema, a status by `later`; anything else
asks `Gate.X.is_open`. docs/microversions.md is written from this table.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from app.api import microversions


class Gate(Enum):
    """A minor version of 2, and what it changes. In order, without a gap."""

    KEYPAIR_TYPE = 2, "Keypairs have a `type`, which is `ssh`; POST answers 201, DELETE 204."
    SERVER_ATTRIBUTES = 3, "Seven more `OS-EXT-SRV-ATTR:*` of a server, for administrators."
    FIXED_IP_RESERVED = 4, "Nothing: there is no `os-fixed-ips`."
    IP6_FILTER = 5, "Nothing: the filter `ip6` of servers is for everybody at 2.1 too."
    REMOTE_CONSOLES = 6, "`POST /servers/{id}/remote-consoles`; no actions `os-get*Console`."
    FLAVOR_ACCESS_CONFLICT = 7, "Nothing: access to a public flavor is refused with 409 at 2.1 too."
    MKS_CONSOLE = 8, "Nothing: there are no consoles of protocol `mks`: 400 at 2.6 too."
    LOCKED = 9, "`locked` of a server."
    KEYPAIR_USER = 10, "Administrators keep keypairs for others, by `user_id`."
    FORCED_DOWN = 11, "`forced_down` of a compute service, and `PUT /os-services/force-down`."
    INTERFACE_NETWORK = 12, "Nothing: there is no `os-virtual-interfaces`."
    GROUP_OWNER = 13, "`project_id` and `user_id` of a server group."
    EVACUATE_BODY = 14, "No `onSharedStorage` in an `evacuate`, and no answer's body."
    SOFT_POLICIES = 15, "Server groups may be `soft-affinity` and `soft-anti-affinity`."
    HOST_STATUS = 16, "`host_status` of a server, for administrators."
    CRASH_DUMP = 17, "The action `trigger_crash_dump`."
    NO_PROJECT_IN_URL = 18, "Nothing: there is no project in Byre's URLs at any version."
    DESCRIPTION = 19, "`description` of a server, in create, update, rebuild and show."
    SHELVED_VOLUMES = 20, "Nothing: there are no volumes."
    DELETED_ACTIONS = 21, "What was done with a server that is deleted is still told."
    FORCE_COMPLETE = 22, "Live migrations may be hurried; there are none, so 404."
    LIVE_MIGRATIONS = 23, "`GET /servers/{id}/migrations`: none. `migration_type` of a migration."
    ABORT_MIGRATION = 24, "Live migrations may be ended; there are none, so 404."
    LIVE_MIGRATE_BODY = 25, "`os-migrateLive`, refused with 501: `auto`, no `disk_over_commit`."
    TAGS = 26, "`/servers/{id}/tags`, `tags` of a server, and four filters by them."
    STANDARD_HEADER = 27, "Nothing: `OpenStack-API-Version` is understood at every version."
    CPU_INFO = 28, "`cpu_info` of a hypervisor is an object, no text."
    EVACUATE_CHECKED = 29, "`force` in an `evacuate`, which is refused with 501 if it is true."
    LIVE_MIGRATE_CHECKED = 30, "`force` in an `os-migrateLive`, which is refused with 501."
    CONSOLE_TOKENS = 31, "`os-console-auth-tokens` knows tokens of all kinds of console."
    DEVICE_TAGS = 32, "`tag` of a network or block device, by which the guest knows it."
    HYPERVISOR_PAGES = 33, "Lists of hypervisors have pages. Block devices have no `tag`."
    LIVE_MIGRATE_LATER = 34, "Nothing: `os-migrateLive` is refused at once, with 501."
    KEYPAIR_PAGES = 35, "Lists of keypairs have pages."
    NO_PROXIES = 36, "Quotas and limits have nothing of networks. Other services' things are gone."
    NETWORKS_NEEDED = 37, "A create needs `networks`: a list, `auto` or `none`. They have no `tag`."
    STATUS_FILTER = 38, "Servers by a status that there is not: 400."
    NO_IMAGE_METADATA = 39, "Limits have no `maxImageMeta`; `/images/{id}/metadata` is gone."
    USAGE_PAGES = 40, "Usage has pages."
    AGGREGATE_UUID = 41, "`uuid` of an aggregate."
    DEVICE_TAGS_AGAIN = 42, "`tag` of a network or block device again."
    NO_HOSTS = 43, "`os-hosts` is gone."
    NO_ADDRESS_ACTIONS = 44, "Actions that add and remove fixed and floating addresses are gone."
    IMAGE_ID = 45, "`createImage` and `createBackup` answer with `image_id`, without `Location`."
    REQUEST_ID = 46, "Nothing: `x-openstack-request-id` is sent at every version."
    EMBEDDED_FLAVOR = 47, "`flavor` of a server is what it has, without id and links."
    DIAGNOSTICS = 48, "Diagnostics in a form that is the same for all hypervisors."
    ATTACH_TAG = 49, "`tag` of an interface to attach."
    QUOTA_CLASSES = 50, "Quota classes have server groups, and nothing of networks."
    ACTION_EVENTS = 51, "Nothing: owners see the `events` of an action at 2.1 too."
    CREATE_TAGS = 52, "`tags` in a create."
    UUIDS = 53, "Hypervisors and services have UUIDs; `PUT /os-services/{id}`; new filters."
    REBUILD_KEY = 54, "`key_name` in a rebuild."
    FLAVOR_DESCRIPTION = 55, "`description` of a flavor, and `PUT /flavors/{id}`."
    MIGRATE_HOST = 56, "`host` in a `migrate`."
    NO_PERSONALITY = 57, "No `personality`, no limits and quotas of it; `user_data` in a rebuild."
    ACTION_PAGES = 58, "Lists of actions have pages and `changes-since`; `updated_at` of an action."
    MIGRATION_PAGES = 59, "Lists of migrations have pages, `changes-since`; `uuid` of a migration."
    MULTIATTACH = 60, "Nothing: there are no volumes."
    FLAVOR_SPECS = 61, "`extra_specs` of a flavor."
    EVENT_HOST = 62, "`hostId` of an event; `host` for administrators."
    TRUSTED_CERTIFICATES = 63, "`trusted_image_certificates`: null, others are refused."
    GROUP_RULES = 64, "`policy` and `rules` of a server group; no `policies` and `metadata`."

    def __init__(self, minor: int, what: str) -> None:
        self.version = (2, minor)
        self.what = what

    @property
    def is_open(self) -> bool:
        """Say whether the request is answered in this version or a later one."""
        return microversions.used() >= self.version

    @property
    def text(self) -> str:
        """Return the version as it is written."""
        return microversions.text(self.version)


@dataclass(frozen=True)
class Span:
    """From which version on something is there, and from which on no more."""

    since: Gate | None = None
    until: Gate | None = None

    @property
    def is_open(self) -> bool:
        """Say whether it is there for this request."""
        has_come = self.since is None or self.since.is_open
        return has_come and (self.until is None or not self.until.is_open)

    def document(self) -> dict[str, Any]:
        """Return what the API's document says of it."""
        words: list[str] = []
        found: dict[str, Any] = {}
        if self.since is not None:
            words.append(f"From {self.since.text} on.")
            found["x-openstack-min-version"] = self.since.text
        if self.until is not None:
            major, minor = self.until.version
            last = microversions.text((major, minor - 1))
            words.append(f"Up to {last}.")
            found["x-openstack-max-version"] = last
        return {**found, "description": " ".join(words)}


#: At every version.
ALWAYS = Span()
