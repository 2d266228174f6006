"""Application credentials are made, used and removed; and how far they reach."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine

from app.db.models import ApplicationCredential
from app.db.models.base import now
from app.db.session import reading
from app.services.roles import role_id
from tests.http.cases import UUID, Api, Like, identity_fault
from tests.http.table_identity import ROBOT, token_body
from tests.http.test_accounts import change, give
from tests.http.test_things import FLAVORS, KEYPAIRS, TOKENS
from tests.http.world import ALICE, ALPHA, BETA, CREDENTIAL, PASSWORD

CREDENTIALS = f"/identity/v3/users/{ALICE}/application_credentials"
SERVERS = "/compute/v2.1/servers"


def make(api: Api, who: Any = "alice", **values: Any) -> Any:
    """Make a credential; return its body."""
    body = {"application_credential": {"name": "made", **values}}
    headers = {"X-Auth-Token": who} if len(who) > 20 else {}
    answer = api.call(None if headers else who, "POST", CREDENTIALS, json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.get_json()["application_credential"]


def login(api: Api, scope: Any = None, **credential: Any) -> Any:
    """Log in with a credential."""
    identity = {"methods": ["application_credential"], "application_credential": credential}
    auth = {"identity": identity} | ({"scope": scope} if scope else {})
    return api.call(None, "POST", TOKENS, json={"auth": auth})


def with_token(api: Api, answer: Any, method: str, path: str, **more: Any) -> Any:
    """Send a request with the token of a login."""
    assert answer.status_code == 201, answer.text
    headers = {"X-Auth-Token": answer.headers["X-Subject-Token"]}
    return api.call(None, method, path, headers=headers, **more)


def robot(api: Api) -> Any:
    """Log in with the credential that is there from the start."""
    return login(api, id=CREDENTIAL, secret=PASSWORD)


def test_one_is_made_with_all_that_its_maker_may(api: Api) -> None:
    made = make(api, description=None, secret=None, roles=[], expires_at=None, access_rules=None)

    roles = [{"id": role_id(n), "name": n, "domain_id": None} for n in ("member", "reader")]
    links = {"self": f"http://localhost{CREDENTIALS}/{made['id']}"}
    expected = {"id": UUID, "name": "made", "description": "", "roles": roles, "links": links}
    assert made == ROBOT | expected | {"secret": Like("[0-9a-f]{64}")}
    with reading(api.sessions) as session:
        row = session.get_one(ApplicationCredential, made["id"])
        assert row.secret_hash.startswith("$argon2id$")
    shown = api.call("alice", "GET", f"{CREDENTIALS}/{made['id']}").get_json()
    assert "secret" not in shown["application_credential"]


def test_a_login_by_it_is_its_makers_with_its_roles(api: Api) -> None:
    answer = robot(api)

    reader = [{"id": role_id("reader"), "name": "reader"}]
    named = {"id": CREDENTIAL, "name": "robot", "restricted": True}
    assert answer.get_json() == token_body(
        methods=["application_credential"],
        audit_ids=[Like(".{22}")],
        issued_at=Like("20.*Z"),
        roles=reader,
        application_credential=named,
    )
    assert with_token(api, answer, "GET", SERVERS).status_code == 200
    assert with_token(api, answer, "POST", SERVERS, json={}).status_code == 403


@pytest.mark.parametrize("whose", [{"id": ALICE}, {"name": "alice", "domain": {"id": "default"}}])
def test_it_is_found_by_its_name_and_whose_it_is(api: Api, whose: Any) -> None:
    assert login(api, name="robot", user=whose, secret=PASSWORD).status_code == 201
    assert login(api, name="other", user=whose, secret=PASSWORD).status_code == 401
    assert login(api, name="robot", user={"name": "bob"}, secret=PASSWORD).status_code == 401


@pytest.mark.parametrize(
    "given",
    [{"id": CREDENTIAL, "secret": "wrong"}, {"id": "nobody", "secret": PASSWORD}],
)
def test_a_wrong_one_is_refused_and_limited(api: Api, given: Any) -> None:
    assert [login(api, **given).status_code for _ in range(11)] == [401] * 10 + [429]


def test_a_login_needs_to_say_which(api: Api) -> None:
    text = "auth.identity.application_credential: needs an id, or a name and a user."

    for given in ({}, {"name": "robot"}, {"name": "robot", "user": {}}):
        answer = login(api, secret="s", **given)
        assert answer.get_json() == identity_fault(400, "Bad Request", text)


@pytest.mark.parametrize(
    "scope", ["unscoped", {"project": {"id": ALPHA}}, {"system": {"all": True}}]
)
def test_it_fixes_the_project(api: Api, scope: Any) -> None:
    assert login(api, scope, id=CREDENTIAL, secret=PASSWORD).status_code == 401


def swap(api: Api, answer: Any, scope: Any = None) -> Any:
    """Ask for a token for the token of a login."""
    secret = answer.headers["X-Subject-Token"]
    auth: dict[str, Any] = {"identity": {"methods": ["token"], "token": {"id": secret}}}
    auth |= {"scope": scope} if scope else {}
    return api.call(None, "POST", TOKENS, json={"auth": auth})


def test_a_token_for_its_token_reaches_no_further(api: Api) -> None:
    give(api, BETA, ALICE, "admin")
    change(api, "user", ALICE, default_project_id=BETA)
    first = robot(api)

    for other in ({"project": {"id": BETA}}, {"project": {"name": "beta"}}, "unscoped"):
        assert swap(api, first, other).status_code == 401
    for scope in (None, {"project": {"id": ALPHA}}, {"project": {"name": "alpha"}}):
        answer = swap(api, first, scope)
        token = answer.get_json()["token"]
        assert token["project"]["id"] == ALPHA
        assert [role["name"] for role in token["roles"]] == ["reader"]
        assert token["application_credential"]["id"] == CREDENTIAL
        assert token["methods"] == ["application_credential", "token"]
        assert (
            with_token(
                api, answer, "POST", CREDENTIALS, json={"application_credential": {"name": "x"}}
            ).status_code
            == 403
        )


def test_a_restricted_one_makes_and_removes_none(api: Api) -> None:
    answer = robot(api)

    body = {"application_credential": {"name": "child"}}
    assert with_token(api, answer, "POST", CREDENTIALS, json=body).status_code == 403
    path = f"{CREDENTIALS}/{CREDENTIAL}"
    assert with_token(api, answer, "DELETE", path).status_code == 403
    assert with_token(api, answer, "GET", path).status_code == 200


def test_an_unrestricted_one_makes_others_with_no_more_roles(api: Api) -> None:
    made = make(api, unrestricted=True, roles=[{"id": role_id("reader")}, {"name": "reader"}])
    answer = login(api, id=made["id"], secret=made["secret"])

    body: Any = {"application_credential": {"name": "child"}}
    child = with_token(api, answer, "POST", CREDENTIALS, json=body).get_json()
    roles = child["application_credential"]["roles"]
    assert [role["name"] for role in roles] == ["reader"]
    body["application_credential"] = {"name": "more", "roles": [{"name": "member"}]}
    assert with_token(api, answer, "POST", CREDENTIALS, json=body).status_code == 400


def test_a_role_that_its_maker_loses_it_loses_too(api: Api) -> None:
    made = make(api)
    answer = login(api, id=made["id"], secret=made["secret"])
    keypair = {"keypair": {"name": "k"}}
    assert with_token(api, answer, "POST", KEYPAIRS, json=keypair).status_code == 200

    give(api, ALPHA, ALICE, "reader")
    give(api, ALPHA, ALICE, "member", "DELETE")
    assert with_token(api, answer, "POST", SERVERS, json={}).status_code == 403
    assert with_token(api, answer, "GET", FLAVORS).status_code == 200

    give(api, ALPHA, ALICE, "reader", "DELETE")
    assert with_token(api, answer, "GET", FLAVORS).status_code == 401
    assert login(api, id=made["id"], secret=made["secret"]).status_code == 401


def test_a_role_that_its_maker_gets_it_does_not_get(api: Api) -> None:
    give(api, ALPHA, ALICE, "admin")

    assert with_token(api, robot(api), "GET", "/identity/v3/users").status_code == 403


def test_when_it_is_removed_its_tokens_end(api: Api) -> None:
    answer = robot(api)
    assert api.call("alice", "DELETE", f"{CREDENTIALS}/{CREDENTIAL}").status_code == 204

    assert with_token(api, answer, "GET", FLAVORS).status_code == 401
    assert robot(api).status_code == 401
    assert api.call("alice", "GET", FLAVORS).status_code == 200


def test_it_ends_with_its_maker_and_outlives_a_password(api: Api) -> None:
    change(api, "user", ALICE, password="new one")
    assert robot(api).status_code == 201

    change(api, "user", ALICE, enabled=False)
    assert robot(api).status_code == 401

    api.call("root", "DELETE", f"/identity/v3/users/{ALICE}")
    with reading(api.sessions) as session:
        assert session.query(ApplicationCredential).count() == 0


def test_neither_it_nor_its_tokens_outlive_its_end(api: Api) -> None:
    end = (now() + timedelta(hours=1)).replace(microsecond=0)
    made = make(api, secret="mine", expires_at=end.strftime("%Y-%m-%dT%H:%M:%S"))
    answer = login(api, id=made["id"], secret="mine")

    expected = end.strftime("%Y-%m-%dT%H:%M:%S.000000Z")
    assert made["expires_at"] == expected
    assert answer.get_json()["token"]["expires_at"] == expected
    with time_machine.travel(end + timedelta(seconds=1)):
        assert with_token(api, answer, "GET", FLAVORS).status_code == 401
        assert login(api, id=made["id"], secret="mine").status_code == 401


def test_there_are_not_more_than_a_hundred(api: Api) -> None:
    with api.sessions.begin() as session:
        for number in range(99):
            values = {"user_id": ALICE, "project_id": ALPHA, "roles": ["reader"]}
            session.add(ApplicationCredential(name=f"n{number}", secret_hash="", **values))

    body = {"application_credential": {"name": "more"}}
    assert api.call("alice", "POST", CREDENTIALS, json=body).status_code == 403
