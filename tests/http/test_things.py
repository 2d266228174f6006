"""Flavors, keypairs and tokens are made and removed."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_ssh_private_key, load_ssh_public_key

from app.db.models import Token
from app.db.session import reading
from tests.http.cases import UUID, Api, Like, links
from tests.http.table_identity import token_body
from tests.http.world import ALICE, PASSWORD, PUBLIC_KEY, token_of

FLAVORS = "/compute/v2.1/flavors"
KEYPAIRS = "/compute/v2.1/os-keypairs"
TOKENS = "/identity/v3/auth/tokens"


@pytest.mark.parametrize(("asked", "given"), [({}, UUID), ({"id": "auto"}, UUID), ({"id": 7}, "7")])
def test_a_flavor_is_made_and_deleted(api: Api, asked: dict[str, Any], given: Any) -> None:
    body = {"name": "m1.odd", "ram": "512", "vcpus": 2, "disk": 0, "swap": 0, **asked}

    answer = api.call("root", "POST", FLAVORS, json={"flavor": body})

    flavor = answer.get_json()["flavor"]
    assert answer.status_code == 200
    assert flavor == {
        "id": given,
        "name": "m1.odd",
        "links": links("flavors", flavor["id"]),
        "ram": 512,
        "vcpus": 2,
        "disk": 0,
        "swap": "",
        "rxtx_factor": 1.0,
        "OS-FLV-EXT-DATA:ephemeral": 0,
        "OS-FLV-DISABLED:disabled": False,
        "os-flavor-access:is_public": True,
    }
    assert api.call("root", "DELETE", f"{FLAVORS}/{flavor['id']}").status_code == 202
    assert api.call("root", "GET", f"{FLAVORS}/{flavor['id']}").status_code == 404


def test_a_flavor_has_an_ephemeral_and_a_swap_disk(api: Api) -> None:
    body = {"name": "io", "ram": 512, "vcpus": 1, "disk": 1, "swap": "256"}
    body["OS-FLV-EXT-DATA:ephemeral"] = 20
    flavor = api.call("root", "POST", FLAVORS, json={"flavor": body}).get_json()["flavor"]
    shown = api.call("alice", "GET", f"{FLAVORS}/{flavor['id']}").get_json()["flavor"]
    api.call("root", "DELETE", f"{FLAVORS}/{flavor['id']}")
    assert shown == flavor
    assert (flavor["swap"], flavor["OS-FLV-EXT-DATA:ephemeral"]) == (256, 20)


def test_extra_specs_are_set_shown_changed_and_taken_away(api: Api) -> None:
    body = {"name": "limited", "ram": 512, "vcpus": 1, "disk": 1, "id": "limited"}
    api.call("root", "POST", FLAVORS, json={"flavor": body})
    specs = f"{FLAVORS}/limited/os-extra_specs"
    given = {"quota:disk_read_iops_sec": 500, "hw:cpu_policy": "dedicated", "team:note": "a b"}
    answer = api.call("root", "POST", specs, json={"extra_specs": given})
    kept = {**given, "quota:disk_read_iops_sec": "500"}
    assert (answer.status_code, answer.get_json()) == (200, {"extra_specs": kept})
    assert api.call("alice", "GET", specs).get_json() == {"extra_specs": kept}
    one = f"{specs}/hw:cpu_policy"
    answer = api.call("root", "PUT", one, json={"hw:cpu_policy": "shared"})
    assert (answer.status_code, answer.get_json()) == (200, {"hw:cpu_policy": "shared"})
    assert api.call("alice", "GET", one).get_json() == {"hw:cpu_policy": "shared"}
    answer = api.call("root", "DELETE", one)
    assert (answer.status_code, answer.data) == (200, b"")
    assert "hw:cpu_policy" not in api.call("alice", "GET", specs).get_json()["extra_specs"]
    api.call("root", "DELETE", f"{FLAVORS}/limited")


def test_an_extra_spec_that_another_needs_stays(api: Api) -> None:
    body = {"name": "paced", "ram": 512, "vcpus": 1, "disk": 1, "id": "paced"}
    api.call("root", "POST", FLAVORS, json={"flavor": body})
    specs = f"{FLAVORS}/paced/os-extra_specs"
    given = {"quota:vif_inbound_average": "10", "quota:vif_inbound_peak": "20"}
    api.call("root", "POST", specs, json={"extra_specs": given})
    answer = api.call("root", "DELETE", f"{specs}/quota:vif_inbound_average")
    assert answer.status_code == 400
    assert api.call("alice", "GET", specs).get_json() == {"extra_specs": given}
    api.call("root", "DELETE", f"{FLAVORS}/paced")


def test_a_public_key_is_kept(api: Api) -> None:
    body = {"name": "mine too", "public_key": f"{PUBLIC_KEY}\n"}

    answer = api.call("alice", "POST", KEYPAIRS, json={"keypair": body})

    assert (answer.status_code, answer.get_json()) == (
        200,
        {
            "keypair": {
                "name": "mine too",
                "public_key": PUBLIC_KEY,
                "fingerprint": Like("([0-9a-f]{2}:){15}[0-9a-f]{2}"),
                "user_id": ALICE,
            }
        },
    )
    assert api.call("alice", "DELETE", f"{KEYPAIRS}/mine too").status_code == 202
    assert api.call("alice", "GET", f"{KEYPAIRS}/mine too").status_code == 404


def test_a_pair_is_made_and_its_private_half_kept_nowhere(api: Api) -> None:
    answer = api.call("alice", "POST", KEYPAIRS, json={"keypair": {"name": "made"}})

    made = answer.get_json()["keypair"]
    private: Any = load_ssh_private_key(made["private_key"].encode(), None)
    public: Any = load_ssh_public_key(made["public_key"].encode())
    assert private.public_key().public_bytes_raw() == public.public_bytes_raw()
    assert "private_key" not in api.call("alice", "GET", f"{KEYPAIRS}/made").get_json()["keypair"]


def login(api: Api, scope: Any = None, **user: Any) -> Any:
    """Log in as Alice."""
    who = {"name": "alice", "password": PASSWORD, "domain": {"name": "Default"}, **user}
    auth: dict[str, Any] = {"identity": {"methods": ["password"], "password": {"user": who}}}
    if scope is not None:
        auth["scope"] = scope
    return api.call(None, "POST", TOKENS, json={"auth": auth})


@pytest.mark.parametrize(
    "scope",
    [
        None,
        {"project": {"name": "alpha", "domain": {"id": "default"}}},
        {"project": {"id": "00000000-0000-4000-8000-000000000001"}},
    ],
)
def test_login_gives_a_token_of_the_project(api: Api, scope: Any) -> None:
    answer = login(api, scope)

    expected = token_body(audit_ids=[Like(".{22}")], issued_at=Like("20.*Z"))
    assert (answer.status_code, answer.get_json()) == (201, expected)
    secret = answer.headers["X-Subject-Token"]
    # No dash in front, which would make it an option of a command.
    assert secret == Like("[0-9a-f]{64}")
    shown = api.call(
        None, "GET", TOKENS, headers={"X-Auth-Token": secret, "X-Subject-Token": secret}
    )
    assert shown.get_json() == answer.get_json()


@pytest.mark.parametrize("scope", ["unscoped", {"unscoped": {}}])
def test_login_without_a_project(api: Api, scope: Any) -> None:
    answer = login(api, scope)

    nothing = {"project": None, "is_domain": None, "roles": None, "catalog": None}
    expected = token_body(audit_ids=[Like(".{22}")], issued_at=Like("20.*Z"), **nothing)
    assert (answer.status_code, answer.get_json()) == (201, expected)


def test_a_token_gives_another_that_does_not_outlive_it(api: Api) -> None:
    identity = {"methods": ["token"], "token": {"id": token_of("alice")}}

    answer = api.call(None, "POST", TOKENS, json={"auth": {"identity": identity}})

    first = api.call(
        "alice", "GET", TOKENS, headers={"X-Subject-Token": token_of("alice")}
    ).get_json()
    assert answer.status_code == 201
    assert answer.get_json()["token"]["expires_at"][:19] == first["token"]["expires_at"][:19]


def test_a_revoked_token_is_worth_nothing(api: Api) -> None:
    mine = {"X-Subject-Token": token_of("alice")}

    assert api.call("alice", "DELETE", TOKENS, headers=mine).status_code == 204

    assert api.call("alice", "GET", FLAVORS).status_code == 401


def test_an_operator_revokes_anybodys(api: Api) -> None:
    theirs = {"X-Subject-Token": token_of("alice")}

    assert api.call("root", "DELETE", TOKENS, headers=theirs).status_code == 204

    assert api.call("alice", "GET", FLAVORS).status_code == 401


def test_login_sweeps_out_expired_tokens_and_keeps_no_secret(api: Api) -> None:
    secret = login(api).headers["X-Subject-Token"]

    with reading(api.sessions) as session:
        digests = {token.digest for token in session.query(Token)}
    # Four people's, an unscoped one and the new one; the expired one is gone.
    assert len(digests) == 6
    assert secret not in digests
