"""Who may do what: the one table. Each route names its action; a route without a row fails a test,
and another test tries every route with every role, as this table says (tests/http/test_policy.py).

What a caller sees of other projects' things is decided where it is looked up (404, not 403).
"""

from collections.abc import Collection
from enum import Enum


class Who(Enum):
    """Who may. Each role includes those above it here; `service` is apart."""

    #: No token is asked for.
    ANYONE = "anyone"
    #: Any token, also one without a project.
    USER = "user"
    READER = "reader"
    MEMBER = "member"
    #: Who runs a project: as in Nova, what moves its servers without naming hosts.
    MANAGER = "manager"
    ADMIN = "admin"
    #: Programs that act for others; an administrator may too.
    SERVICE = "service"


ANYONE, USER, READER, MEMBER, MANAGER, ADMIN, SERVICE = Who

POLICY: dict[str, Who] = {
    "identity:versions": ANYONE,
    "identity:tokens:issue": ANYONE,
    "identity:tokens:show": USER,
    "identity:tokens:revoke": USER,
    "identity:catalog:show": USER,
    "identity:projects:list_own": USER,
    "identity:projects:list": ADMIN,
    "identity:projects:show": USER,
    "identity:projects:create": ADMIN,
    "identity:projects:change": ADMIN,
    "identity:projects:delete": ADMIN,
    "identity:domains:list": USER,
    "identity:users:list": ADMIN,
    "identity:users:show": USER,
    "identity:users:create": ADMIN,
    "identity:users:change": ADMIN,
    "identity:users:delete": ADMIN,
    "identity:users:change_password": USER,
    "identity:application_credentials:list": USER,
    "identity:application_credentials:create": USER,
    "identity:application_credentials:delete": USER,
    "identity:services:list": ADMIN,
    "identity:roles:list": USER,
    "identity:role_assignments:list": ADMIN,
    "identity:role_assignments:give": ADMIN,
    "identity:role_assignments:take": ADMIN,
    "compute:versions": ANYONE,
    "compute:servers:list": READER,
    "compute:servers:show": READER,
    "compute:servers:create": MEMBER,
    "compute:servers:delete": MEMBER,
    "compute:servers:update": MEMBER,
    # Each action has a row of its own below.
    "compute:servers:act": READER,
    "compute:remote_consoles:create": MEMBER,
    # For console proxies of others; Byre's own asks nobody.
    "compute:console_auth_tokens:show": ADMIN,
    "compute:server_groups:list": READER,
    "compute:server_groups:show": READER,
    "compute:server_groups:create": MEMBER,
    "compute:server_groups:delete": MEMBER,
    "compute:server_tags:show": READER,
    "compute:server_tags:change": MEMBER,
    "compute:migrations:list": ADMIN,
    "compute:live_migrations:show": ADMIN,
    "compute:live_migrations:change": ADMIN,
    "compute:addresses:show": READER,
    "compute:instance_actions:show": READER,
    "compute:quotas:show": READER,
    "compute:quotas:defaults": READER,
    "compute:quotas:change": ADMIN,
    "compute:quotas:classes": ADMIN,
    "compute:metadata:show": READER,
    "compute:metadata:change": MEMBER,
    "compute:interfaces:list": READER,
    "compute:volumes:list": READER,
    "compute:passwords:show": READER,
    "compute:passwords:clear": MEMBER,
    "compute:interfaces:attach": MEMBER,
    "compute:interfaces:detach": MEMBER,
    "compute:flavors:list": READER,
    "compute:flavors:show": READER,
    "compute:flavors:create": ADMIN,
    "compute:flavors:update": ADMIN,
    "compute:flavors:delete": ADMIN,
    "compute:flavors:access:list": ADMIN,
    "compute:flavors:access:change": ADMIN,
    "compute:flavors:extra_specs:set": ADMIN,
    "compute:flavors:extra_specs:delete": ADMIN,
    "compute:keypairs:list": READER,
    "compute:keypairs:show": READER,
    "compute:keypairs:create": READER,
    "compute:keypairs:delete": READER,
    "compute:hypervisors:list": ADMIN,
    "compute:hypervisors:show": ADMIN,
    "compute:hypervisors:search": ADMIN,
    "compute:hosts:list": ADMIN,
    "compute:hosts:show": ADMIN,
    "compute:hosts:change": ADMIN,
    "compute:usage:list": ADMIN,
    "compute:usage:show": READER,
    "compute:audit_log:show": ADMIN,
    "compute:extensions:list": READER,
    "compute:external_events:tell": SERVICE,
    "compute:services:list": ADMIN,
    "compute:services:change": ADMIN,
    "compute:services:delete": ADMIN,
    "compute:aggregates:list": ADMIN,
    "compute:aggregates:show": ADMIN,
    "compute:aggregates:create": ADMIN,
    "compute:aggregates:change": ADMIN,
    "compute:aggregates:delete": ADMIN,
    "compute:zones:list": READER,
    "compute:zones:detail": ADMIN,
    "compute:limits:show": READER,
    "image:versions": ANYONE,
    "image:images:list": READER,
    "image:images:show": READER,
    "image:images:create": MEMBER,
    "image:images:update": MEMBER,
    "image:images:upload": MEMBER,
    "image:images:download": READER,
    "image:images:delete": MEMBER,
    "image:images:deactivate": MEMBER,
    "image:schemas:show": READER,
    "image:imports:show": READER,
    "network:versions": ANYONE,
    "network:extensions:list": READER,
    "network:networks:list": READER,
    "network:networks:create": MEMBER,
    "network:networks:update": MEMBER,
    "network:networks:delete": MEMBER,
    "network:subnets:list": READER,
    "network:subnets:create": MEMBER,
    "network:subnets:update": MEMBER,
    "network:subnets:delete": MEMBER,
    "network:ports:list": READER,
    "network:zones:list": READER,
    "network:agents:list": ADMIN,
    "network:subnetpools:list": READER,
    "network:routers:list": READER,
    "network:routers:create": MEMBER,
    "network:routers:update": MEMBER,
    "network:routers:delete": MEMBER,
    "network:floatingips:list": READER,
    "network:floatingips:create": MEMBER,
    "network:floatingips:update": MEMBER,
    "network:floatingips:delete": MEMBER,
    "network:security_groups:list": READER,
    "network:security_groups:create": MEMBER,
    "network:security_groups:update": MEMBER,
    "network:security_groups:delete": MEMBER,
    "network:security_group_rules:list": READER,
    "network:security_group_rules:create": MEMBER,
    "network:security_group_rules:delete": MEMBER,
    "network:ports:create": MEMBER,
    "network:ports:update": MEMBER,
    "network:ports:delete": MEMBER,
    "network:tags:show": READER,
    "network:tags:change": MEMBER,
    "network:quotas:show": READER,
    "network:quotas:change": ADMIN,
    "byre:runs:show": READER,
    "byre:plans:make": MEMBER,
    "byre:boot:show": READER,
    "byre:drift:list": ADMIN,
    "byre:hypervisors:list": ADMIN,
    "byre:cache:list": ADMIN,
    "byre:cache:warm": ADMIN,
    # The ticket in the URL says who may.
    "byre:images:fetch": ANYONE,
    "byre:images:send": ANYONE,
    "byre:health:show": ANYONE,
    # Counts only; keep the port from the world as with any exporter.
    "byre:metrics:show": ANYONE,
    "byre:docs:show": ANYONE,
}


#: What is done to servers, by its name in the request's body. The server is looked up first: 404
#: for others', 403 for one that is seen.
SERVER_ACTIONS: dict[str, Who] = {
    "addFixedIp": MEMBER,
    "addFloatingIp": MEMBER,
    "addSecurityGroup": MEMBER,
    "changePassword": MEMBER,
    "confirmResize": MEMBER,
    "createBackup": MEMBER,
    "createImage": MEMBER,
    "evacuate": ADMIN,
    "forceDelete": MEMBER,
    "lock": MEMBER,
    "migrate": ADMIN,
    "os-getConsoleOutput": MEMBER,
    "os-getRDPConsole": MEMBER,
    "os-getSPICEConsole": MEMBER,
    "os-getSerialConsole": MEMBER,
    "os-getVNCConsole": MEMBER,
    "os-migrateLive": ADMIN,
    "os-resetState": ADMIN,
    "os-start": MEMBER,
    "os-stop": MEMBER,
    "pause": MEMBER,
    "reboot": MEMBER,
    "rebuild": MEMBER,
    "removeFloatingIp": MEMBER,
    "removeFixedIp": MEMBER,
    "removeSecurityGroup": MEMBER,
    "rescue": MEMBER,
    "restore": MEMBER,
    "resize": MEMBER,
    "resume": MEMBER,
    "revertResize": MEMBER,
    "shelve": MEMBER,
    "shelveOffload": MANAGER,
    "suspend": MEMBER,
    "unlock": MEMBER,
    "unpause": MEMBER,
    "unrescue": MEMBER,
    "unshelve": MEMBER,
}

#: What a route does for some of those who may use it.
WITHIN: dict[str, Who] = {
    **{f"compute:servers:act:{name}": who for name, who in SERVER_ACTIONS.items()},
    "identity:tokens:show:others": SERVICE,
    "identity:tokens:revoke:others": ADMIN,
}


def allows(action: str, roles: Collection[str]) -> bool:
    """Say whether somebody with these roles may. Raises KeyError for an action without a row."""
    who = POLICY[action] if action in POLICY else WITHIN[action]
    return who in (ANYONE, USER) or who.value in roles or (who is SERVICE and ADMIN.value in roles)
