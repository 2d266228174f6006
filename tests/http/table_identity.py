"""Cases of identity that change nothing."""

from typing import Any

from tests.http.cases import BASE, HEX, MICRO, UNAUTHORIZED, Case, identity_fault
from tests.http.world import ALICE, ALPHA, BETA, BOB, RITA, token_of

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
    "enabled": True,
    "options": {},
    "password_expires_at": None,
    "default_project_id": ALPHA,
    "links": {"self": f"{BASE}/identity/v3/users/{ALICE}"},
}


def _list_links(path: str) -> dict[str, Any]:
    return {"self": f"{BASE}/identity/v3/{path}", "next": None, "previous": None}


MINE = {"X-Subject-Token": token_of("alice")}
BOBS = {"X-Subject-Token": token_of("bob")}
TOKENS = "/identity/v3/auth/tokens"
NO_TOKEN = identity_fault(404, "Not Found", "Could not find token.")
NO_PROJECT = identity_fault(404, "Not Found", f"Could not find project: {BETA}.")

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
        identity_fault(403, "Forbidden", "You are not authorized to look at another user's token."),
        with_headers=BOBS,
    ),
    Case(
        "another's token may not be revoked",
        "alice",
        "DELETE",
        TOKENS,
        403,
        identity_fault(403, "Forbidden", "You are not authorized to look at another user's token."),
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
            "domains": [
                {
                    **DOMAIN,
                    "description": "",
                    "enabled": True,
                    "links": {"self": f"{BASE}/identity/v3/domains/default"},
                }
            ],
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
]
