"""Cases of identity that change nothing."""

from http import HTTPStatus
from typing import Any

from app.services.roles import role_id
from tests.http.cases import BASE, HEX, MICRO, UNAUTHORIZED, Case, Like, identity_fault
from tests.http.world import ALICE, ALPHA, BETA, BOB, CREDENTIAL, OPERATIONS, RITA, ROOT, token_of

DOMAIN = {"id": "default", "name": "Default"}

V3 = {
    "id": "v3.14",
    "status": "stable",
    "updated": "2020-04-07T00:00:00Z",
    "links": [{"rel": "self", "href": f"{BASE}/identity/v3/"}],
    "media-types": [
        {"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}
    ],
}


def _service(kind: str, name: str, path: str) -> dict[str, Any]:
    endpoints = [
        {
            "id": HEX,
            "interface": interface,
            "region": "RegionOne",
            "region_id": "RegionOne",
            "url": f"{BASE}{path}",
        }
        for interface in ("public", "internal", "admin")
    ]
    return {"id": HEX, "type": kind, "name": name, "endpoints": endpoints}


CATALOG = [
    _service("identity", "keystone", "/identity/v3"),
    _service("compute", "nova", "/compute/v2.1"),
    _service("image", "glance", "/image"),
    _service("network", "neutron", "/network"),
]


def token_body(**changes: Any) -> dict[str, Any]:
    """Return the body of Alice's token."""
    token = {
        "methods": ["password"],
        "user": {"id": ALICE, "name": "alice", "domain": DOMAIN, "password_expires_at": None},
        "audit_ids": ["audit-token-of-alice"],
        "issued_at": "2026-11-23T03:33:44.123456Z",
        "expires_at": MICRO,
        "project": {"id": ALPHA, "name": "alpha", "domain": DOMAIN},
        "is_domain": False,
        "roles": [{"id": HEX, "name": "member"}, {"id": HEX, "name": "reader"}],
        "catalog": CATALOG,
        **changes,
    }
    return {"token": {key: value for key, value in token.items() if value is not None}}


PROJECT = {
    "id": ALPHA,
    "name": "alpha",
    "domain_id": "default",
    "description": "",
    "enabled": True,
    "is_domain": False,
    "parent_id": "default",
    "tags": [],
    "options": {},
    "links": {"self": f"{BASE}/identity/v3/projects/{ALPHA}"},
}

USER = {
    "id": ALICE,
    "name": "alice",
    "domain_id": "default",
    "description": "",
    "enabled": True,
    "options": {},
    "password_expires_at": None,
    "default_project_id": ALPHA,
    "links": {"self": f"{BASE}/identity/v3/users/{ALICE}"},
}


DOMAIN_BODY = {
    **DOMAIN,
    "description": "",
    "enabled": True,
    "options": {},
    "tags": [],
    "links": {"self": f"{BASE}/identity/v3/domains/default"},
}


def _list_links(path: str) -> dict[str, Any]:
    return {"self": f"{BASE}/identity/v3/{path}", "next": None, "previous": None}


MINE = {"X-Subject-Token": token_of("alice")}
BOBS = {"X-Subject-Token": token_of("bob")}
TOKENS = "/identity/v3/auth/tokens"
NO_TOKEN = identity_fault(404, "Not Found", "Could not find token.")
NO_PROJECT = identity_fault(404, "Not Found", f"Could not find project: {BETA}.")

V3_PATH = "/identity/v3"
MEMBER, READER = role_id("member"), role_id("reader")


def _project(project_id: str, name: str) -> dict[str, Any]:
    links = {"self": f"{BASE}/identity/v3/projects/{project_id}"}
    return {**PROJECT, "id": project_id, "name": name, "links": links}


def _user(user_id: str, name: str, project_id: str) -> dict[str, Any]:
    links = {"self": f"{BASE}/identity/v3/users/{user_id}"}
    return {
        **USER,
        "id": user_id,
        "name": name,
        "default_project_id": project_id,
        "links": links,
    }


def _role(name: str) -> dict[str, Any]:
    return {
        "id": role_id(name),
        "name": name,
        "domain_id": None,
        "description": None,
        "options": {},
        "links": {"self": f"{BASE}/identity/v3/roles/{role_id(name)}"},
    }


def _list(who: str, path: str, kind: str, *bodies: Any) -> Case:
    body = {kind: list(bodies), "links": _list_links(path.partition("?")[0])}
    return Case(f"{who} lists {path}", who, "GET", f"{V3_PATH}/{path}", 200, body)


def _missing(who: str, method: str, path: str, what: str) -> Case:
    message = f"Could not find {what}."
    return Case(
        f"{method} {path} is missing for {who}",
        who,
        method,
        f"{V3_PATH}/{path}",
        404,
        identity_fault(404, "Not Found", message),
        send={what.partition(":")[0]: {}} if method == "PATCH" else None,
    )


def _denied(method: str, path: str, action: str) -> Case:
    """Also where there is nothing of that name: 403 comes before the look."""
    message = f"Policy doesn't allow identity:{action} to be performed."
    return Case(
        f"{method} {path} is for administrators",
        "alice",
        method,
        f"{V3_PATH}/{path}",
        403,
        identity_fault(403, "Forbidden", message),
        send={} if method in ("POST", "PATCH") else None,
    )


def _refused(
    method: str, path: str, kind: str, message: Any, status: int = 400, **sent: Any
) -> Case:
    title = "Conflict" if status == 409 else "Bad Request"
    return Case(
        f"{method} {path} with {sent!r:.80}",
        "root",
        method,
        f"{V3_PATH}/{path}",
        status,
        identity_fault(status, title, message),
        send={kind: sent},
    )


def _wrong(kind: str, field: str, text: str = ".*", **sent: Any) -> Case:
    message = Like(f"Invalid input for field/attribute {kind}.{field}: {text}")
    return _refused("POST", f"{kind}s", kind, message, **sent)


def _assignment(role: str, user_id: str, project_id: str, **names: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "role": {"id": role_id(role)},
        "user": {"id": user_id},
        "scope": {"project": {"id": project_id}},
        "links": {
            "assignment": f"{BASE}/identity/v3/projects/{project_id}/users/{user_id}/roles/"
            + role_id(role)
        },
    }
    if names:
        body["role"]["name"] = role
        body["user"] |= {"name": names["user"], "domain": DOMAIN}
        body["scope"]["project"] |= {"name": names["project"], "domain": DOMAIN}
    return body


PROJECTS = [PROJECT, _project(BETA, "beta"), _project(OPERATIONS, "operations")]
USERS = [USER, _user(BOB, "bob", BETA), _user(RITA, "rita", ALPHA), _user(ROOT, "root", OPERATIONS)]
ROLES = [_role(name) for name in ("admin", "manager", "member", "reader", "service")]
IN_ALPHA = f"projects/{ALPHA}/users/{ALICE}/roles"
NO_ROLE = "role assignment with role: {}, user: {}, project: {}"

CREDENTIALS = f"users/{ALICE}/application_credentials"
ROBOT = {
    "id": CREDENTIAL,
    "name": "robot",
    "description": "sweeps",
    "project_id": ALPHA,
    "user_id": ALICE,
    "roles": [{"id": READER, "name": "reader", "domain_id": None}],
    "unrestricted": False,
    "expires_at": None,
    "system": None,
    "links": {"self": f"{BASE}{V3_PATH}/{CREDENTIALS}/{CREDENTIAL}"},
}


def _credential(
    title: str, message: Any, status: int = 400, who: str = "alice", /, **sent: Any
) -> Case:
    phrase = HTTPStatus(status).phrase
    return Case(
        f"an application credential {title}: {sent!r:.90}",
        who,
        "POST",
        f"{V3_PATH}/{CREDENTIALS}",
        status,
        identity_fault(status, phrase, message),
        send={"application_credential": sent},
    )


#: Ids of the catalog follow from the names: the same everywhere, and for good.
NOT_OTHERS = Like("Policy doesn't allow identity:tokens:.*:others to be performed.")
COMPUTE = "e9edee254f0e570d8f09d2908a75ce81"
COMPUTE_PUBLIC = "60b2d89d3dd45f4da4886ad609869a0d"
SERVICES = [
    {
        "id": HEX,
        "type": service["type"],
        "name": service["name"],
        "description": "",
        "enabled": True,
        "links": {"self": Like(f"{BASE}{V3_PATH}/services/[0-9a-f]{{32}}")},
    }
    for service in CATALOG
]
ENDPOINTS = [
    {
        **service["endpoints"][0],
        "service_id": HEX,
        "enabled": True,
        "links": {"self": Like(f"{BASE}{V3_PATH}/endpoints/[0-9a-f]{{32}}")},
    }
    for service in CATALOG
]
REGION = {
    "id": "RegionOne",
    "description": "",
    "parent_region_id": None,
    "links": {"self": f"{BASE}{V3_PATH}/regions/RegionOne"},
}


#: Lists and their filters.
LISTS = [
    _list("root", "projects", "projects", *PROJECTS),
    _list("root", "projects?name=beta&domain_id=default", "projects", PROJECTS[1]),
    _list("root", "projects?enabled=false", "projects"),
    _list("root", "projects?domain_id=other", "projects"),
    _list("root", "projects?is_domain=true", "projects"),
    _list("root", "projects?parent_id=default&is_domain=False", "projects", *PROJECTS),
    _list("root", f"projects?parent_id={ALPHA}", "projects"),
    _list("root", "projects?tags=x", "projects"),
    _list("root", "users", "users", *USERS),
    _list("root", "users?name=bob&domain_id=default", "users", USERS[1]),
    _list("root", "users?enabled=False", "users"),
    _list("root", "users?domain_id=other", "users"),
    _list("root", f"users/{BOB}/projects", "projects", PROJECTS[1]),
    _list("alice", "roles", "roles", *ROLES),
    _list("alice", "roles?name=member", "roles", _role("member")),
    _list("alice", "roles?name=cook", "roles"),
    _list("alice", "roles?domain_id=default", "roles"),
    _list("unscoped-token", "domains", "domains", DOMAIN_BODY),
    _list("alice", "domains?name=Default", "domains", DOMAIN_BODY),
    _list("alice", "domains?name=other", "domains"),
    _list("root", IN_ALPHA, "roles", _role("member")),
    _list(
        "root",
        "role_assignments",
        "role_assignments",
        _assignment("member", ALICE, ALPHA),
        _assignment("reader", RITA, ALPHA),
        _assignment("member", BOB, BETA),
        _assignment("admin", ROOT, OPERATIONS),
    ),
    _list(
        "root",
        f"role_assignments?user.id={ALICE}&include_names=True",
        "role_assignments",
        _assignment("member", ALICE, ALPHA, user="alice", project="alpha"),
    ),
    _list(
        "root",
        f"role_assignments?scope.project.id={ALPHA}&role.id={READER}&effective",
        "role_assignments",
        _assignment("reader", ALICE, ALPHA),
        _assignment("reader", RITA, ALPHA),
    ),
    _list("root", f"role_assignments?role.id={READER}&user.id={ALICE}", "role_assignments"),
    _list("root", "role_assignments?scope.domain.id=default", "role_assignments"),
    _list("root", "role_assignments?group.id=x", "role_assignments"),
    _list("root", "services", "services", *SERVICES),
    _list("root", "services?type=compute", "services", SERVICES[1]),
    _list("root", "services?name=cinder", "services"),
    _list("root", "endpoints?interface=public", "endpoints", *ENDPOINTS),
    _list("root", f"endpoints?interface=public&service_id={COMPUTE}", "endpoints", ENDPOINTS[1]),
    _list("root", "endpoints?region_id=other", "endpoints"),
    _list("root", "regions", "regions", REGION),
    _list("alice", CREDENTIALS, "application_credentials", ROBOT),
    _list("alice", f"{CREDENTIALS}?name=robot", "application_credentials", ROBOT),
    _list("root", f"{CREDENTIALS}?name=other", "application_credentials"),
]

#: What only administrators may, and what they cannot either.
ADMINISTRATION = [
    _denied("GET", "services", "services:list"),
    _denied("GET", "endpoints", "services:list"),
    _missing("root", "GET", "services/nova", "service: nova"),
    _missing("root", "GET", "endpoints/nova", "endpoint: nova"),
    _missing("root", "GET", "regions/other", "region: other"),
    Case(
        "a service", "root", "GET", f"{V3_PATH}/services/{COMPUTE}", 200, {"service": SERVICES[1]}
    ),
    Case(
        "an endpoint",
        "root",
        "GET",
        f"{V3_PATH}/endpoints/{COMPUTE_PUBLIC}",
        200,
        {"endpoint": ENDPOINTS[1]},
    ),
    Case("the region", "root", "GET", f"{V3_PATH}/regions/RegionOne", 200, {"region": REGION}),
    _denied("GET", "projects", "projects:list"),
    _denied("POST", "projects", "projects:create"),
    _denied("PATCH", "projects/nothing", "projects:change"),
    _denied("DELETE", "projects/nothing", "projects:delete"),
    _denied("GET", "users", "users:list"),
    _denied("POST", "users", "users:create"),
    _denied("PATCH", f"users/{ALICE}", "users:change"),
    _denied("DELETE", "users/nothing", "users:delete"),
    _denied("GET", "role_assignments", "role_assignments:list"),
    _denied("GET", IN_ALPHA, "role_assignments:list"),
    _denied("GET", f"{IN_ALPHA}/{MEMBER}", "role_assignments:list"),
    _denied("PUT", f"{IN_ALPHA}/{role_id('admin')}", "role_assignments:give"),
    _denied("DELETE", f"{IN_ALPHA}/{MEMBER}", "role_assignments:take"),
    _missing("alice", "GET", f"{CREDENTIALS}/robot", "Application Credential: robot"),
    _missing("alice", "DELETE", f"{CREDENTIALS}/robot", "Application Credential: robot"),
    _missing("bob", "GET", CREDENTIALS, f"user: {ALICE}"),
    _missing("bob", "GET", f"{CREDENTIALS}/{CREDENTIAL}", f"user: {ALICE}"),
    _missing("bob", "DELETE", f"{CREDENTIALS}/{CREDENTIAL}", f"user: {ALICE}"),
    _missing(
        "root",
        "GET",
        f"users/{BOB}/application_credentials/{CREDENTIAL}",
        f"Application Credential: {CREDENTIAL}",
    ),
    _credential("for somebody else", f"Could not find user: {ALICE}.", 404, "root", name="x"),
    _credential(
        "without a project",
        "An application credential needs a token with a project.",
        403,
        "unscoped-token",
        name="x",
    ),
    _credential(
        "of a name that is taken",
        "There is an application credential robot already.",
        409,
        name="robot",
    ),
    _credential(
        "beyond one's roles",
        "roles: you have no role admin in this project.",
        name="x",
        roles=[{"name": "admin"}, {"name": "member"}],
    ),
    _credential(
        "with a role that is none",
        Like("roles: Could not find role: cook.*"),
        name="x",
        roles=[{"name": "cook"}],
    ),
    _credential("in the past", "expires_at: is in the past.", name="x", expires_at="2020-01-01"),
    *(
        _credential(
            f"with wrong {field}",
            Like(f"Invalid input for field/attribute application_credential.{field}.*"),
            **{"name": "x", field: value},
        )
        for field, value in (
            ("name", ""),
            ("secret", ""),
            ("roles", ["member"]),
            ("expires_at", "tomorrow"),
            ("expires_at", "9999-12-31T23:59:59-14:00"),
            ("access_rules", [{"path": "/v2.1/servers", "method": "GET", "service": "compute"}]),
            ("colour", "red"),
        )
    ),
    Case(
        "an application credential",
        "root",
        "GET",
        f"{V3_PATH}/{CREDENTIALS}/{CREDENTIAL}",
        200,
        {"application_credential": ROBOT},
    ),
    _missing("root", "GET", "projects/alpha", "project: alpha"),
    _missing("root", "PATCH", "projects/alpha", "project: alpha"),
    _missing("root", "DELETE", "projects/alpha", "project: alpha"),
    _missing("root", "GET", "users/alice", "user: alice"),
    _missing("root", "PATCH", "users/alice", "user: alice"),
    _missing("root", "DELETE", "users/alice", "user: alice"),
    _missing("root", "GET", "users/alice/projects", "user: alice"),
    _missing("alice", "GET", "roles/member", "role: member"),
    _missing("alice", "GET", "domains/Default", "domain: Default"),
    _missing("root", "GET", f"projects/none/users/{ALICE}/roles", "project: none"),
    _missing("root", "PUT", f"projects/{ALPHA}/users/none/roles/{MEMBER}", "user: none"),
    _missing("root", "PUT", f"{IN_ALPHA}/cook", "role: cook"),
    _missing("root", "GET", f"{IN_ALPHA}/{READER}", NO_ROLE.format(READER, ALICE, ALPHA)),
    _missing("root", "DELETE", f"{IN_ALPHA}/{READER}", NO_ROLE.format(READER, ALICE, ALPHA)),
    Case("a role is there", "root", "GET", f"{V3_PATH}/{IN_ALPHA}/{MEMBER}", 204),
    Case("a role is there, by HEAD", "root", "HEAD", f"{V3_PATH}/{IN_ALPHA}/{MEMBER}", 204),
    Case("a role given again", "root", "PUT", f"{V3_PATH}/{IN_ALPHA}/{MEMBER}", 204),
    Case("a role", "alice", "GET", f"{V3_PATH}/roles/{MEMBER}", 200, {"role": _role("member")}),
    Case(
        "the domain by id",
        "rita",
        "GET",
        f"{V3_PATH}/domains/default",
        200,
        {"domain": DOMAIN_BODY},
    ),
    _refused("DELETE", f"projects/{ALPHA}", "project", Like("Project alpha still has .*"), 409),
    _refused("POST", "projects", "project", "There is a project alpha already.", 409, name="alpha"),
    _refused("POST", "users", "user", "There is a user bob already.", 409, name="bob"),
    _refused("PATCH", f"users/{ALICE}", "user", "There is a user bob already.", 409, name="bob"),
    _refused(
        "PATCH",
        f"projects/{ALPHA}",
        "project",
        "There is a project beta already.",
        409,
        name="beta",
    ),
    _refused(
        "POST",
        "users",
        "user",
        "default_project_id: project nope could not be found.",
        name="new",
        default_project_id="nope",
    ),
    _wrong("project", "name"),
    _wrong("project", "name", name=""),
    _wrong("project", "name", name=" x"),
    _wrong("project", "name", name="x" * 65),
    _wrong("project", "name", name=7),
    _wrong("project", "description", name="x", description="x" * 256),
    _wrong("project", "domain_id", name="x", domain_id="other"),
    _wrong("project", "parent_id", name="x", parent_id=ALPHA),
    _wrong("project", "is_domain", name="x", is_domain=True),
    _wrong("project", "tags", name="x", tags=["t"]),
    _wrong(
        "project", "options", "immutable: not supported.", name="x", options={"immutable": True}
    ),
    _wrong("project", "colour", "Unknown field.", name="x", colour="red"),
    _wrong("user", "name"),
    _wrong("user", "name", name="x" * 256),
    _wrong("user", "password", name="x", password=""),
    _wrong("user", "password", name="x", password="x" * 1025),
    _wrong("user", "enabled", name="x", enabled="perhaps"),
    _wrong("user", "domain_id", name="x", domain_id="other"),
    _wrong("user", "options", name="x", options={"lock_password": True}),
    Case(
        "a password of somebody else",
        "root",
        "POST",
        f"{V3_PATH}/users/{ALICE}/password",
        404,
        identity_fault(404, "Not Found", f"Could not find user: {ALICE}."),
        send={"user": {"original_password": "a", "password": "b"}},
    ),
]

CASES = [
    Case("versions", None, "GET", "/identity", 300, {"versions": {"values": [V3]}}),
    Case("versions with slash", None, "GET", "/identity/", 300, {"versions": {"values": [V3]}}),
    Case("version", None, "GET", "/identity/v3", 200, {"version": V3}),
    Case("version with slash", None, "GET", "/identity/v3/", 200, {"version": V3}),
    Case("token", "alice", "GET", TOKENS, 200, token_body(), with_headers=MINE, headers=MINE),
    Case("token by HEAD", "alice", "HEAD", TOKENS, 200, with_headers=MINE),
    Case(
        "token without catalog",
        "alice",
        "GET",
        f"{TOKENS}?nocatalog",
        200,
        token_body(catalog=None),
        with_headers=MINE,
    ),
    Case(
        "an unknown token",
        "alice",
        "GET",
        TOKENS,
        404,
        NO_TOKEN,
        with_headers={"X-Subject-Token": "nonsense"},
    ),
    Case(
        "an expired token",
        "alice",
        "GET",
        TOKENS,
        404,
        NO_TOKEN,
        with_headers={"X-Subject-Token": "expired-token"},
    ),
    Case(
        "no subject",
        "alice",
        "GET",
        TOKENS,
        400,
        identity_fault(400, "Bad Request", "The header X-Subject-Token is missing."),
    ),
    Case(
        "another's token",
        "alice",
        "GET",
        TOKENS,
        403,
        identity_fault(403, "Forbidden", NOT_OTHERS),
        with_headers=BOBS,
    ),
    Case(
        "another's token may not be revoked",
        "alice",
        "DELETE",
        TOKENS,
        403,
        identity_fault(403, "Forbidden", NOT_OTHERS),
        with_headers=BOBS,
    ),
    Case(
        "catalog",
        "alice",
        "GET",
        "/identity/v3/auth/catalog",
        200,
        {"catalog": CATALOG, "links": {"self": f"{BASE}/identity/v3/auth/catalog"}},
    ),
    Case(
        "my projects, with an unscoped token",
        "unscoped-token",
        "GET",
        "/identity/v3/auth/projects",
        200,
        {"projects": [PROJECT], "links": _list_links("auth/projects")},
    ),
    Case(
        "the domain",
        "alice",
        "GET",
        "/identity/v3/auth/domains",
        200,
        {
            "domains": [DOMAIN_BODY],
            "links": _list_links("auth/domains"),
        },
    ),
    Case("my project", "rita", "GET", f"/identity/v3/projects/{ALPHA}", 200, {"project": PROJECT}),
    Case("another project", "alice", "GET", f"/identity/v3/projects/{BETA}", 404, NO_PROJECT),
    Case(
        "an operator sees it",
        "root",
        "GET",
        f"/identity/v3/projects/{ALPHA}",
        200,
        {"project": PROJECT},
    ),
    Case("myself", "alice", "GET", f"/identity/v3/users/{ALICE}", 200, {"user": USER}),
    Case(
        "another user",
        "alice",
        "GET",
        f"/identity/v3/users/{BOB}",
        404,
        identity_fault(404, "Not Found", f"Could not find user: {BOB}."),
    ),
    Case(
        "my projects, by my id",
        "alice",
        "GET",
        f"/identity/v3/users/{ALICE}/projects",
        200,
        {"projects": [PROJECT], "links": _list_links(f"users/{ALICE}/projects")},
    ),
    Case(
        "another's projects",
        "alice",
        "GET",
        f"/identity/v3/users/{RITA}/projects",
        404,
        identity_fault(404, "Not Found", f"Could not find user: {RITA}."),
    ),
    Case("no token", None, "GET", "/identity/v3/auth/catalog", 401, UNAUTHORIZED),
    *LISTS,
    *ADMINISTRATION,
]
