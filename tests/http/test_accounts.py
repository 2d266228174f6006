"""Users, projects and roles are made, changed and removed; and what becomes of tokens by it."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine

from app.db.models import FailedLogin, Project, User
from app.db.models.base import now
from app.db.repo import quota
from app.db.session import reading
from app.services.roles import role_id
from tasks.errors import NotFound
from tests.http.cases import UUID, Api, identity_fault
from tests.http.table_identity import PROJECT, USER
from tests.http.test_things import FLAVORS, TOKENS, login
from tests.http.world import ALICE, ALPHA, BETA, BOB, PASSWORD, RITA

V3 = "/identity/v3"
TOO_MANY = identity_fault(
    429, "Too Many Requests", "Too many failed logins. Try again in 300 seconds."
)


def make(api: Api, kind: str, **values: Any) -> Any:
    """Make a user or a project as the administrator; return its body."""
    answer = api.call("root", "POST", f"{V3}/{kind}s", json={kind: values})
    assert answer.status_code == 201, answer.text
    return answer.get_json()[kind]


def change(api: Api, kind: str, thing_id: str, **values: Any) -> Any:
    """Change a user or a project as the administrator; return its body."""
    answer = api.call("root", "PATCH", f"{V3}/{kind}s/{thing_id}", json={kind: values})
    assert answer.status_code == 200, answer.text
    return answer.get_json()[kind]


def give(api: Api, project: str, user: str, role: str, method: str = "PUT") -> None:
    """Give a role, or with DELETE take it away."""
    path = f"{V3}/projects/{project}/users/{user}/roles/{role_id(role)}"
    assert api.call("root", method, path).status_code == 204


def test_a_team_is_made_and_works_and_is_taken_apart(api: Api) -> None:
    project = make(api, "project", name="team", description="ours", domain_id="default")
    user = make(api, "user", name="tess", password=PASSWORD, email="t@example.org")
    give(api, project["id"], user["id"], "member")

    token = login(api, {"project": {"id": project["id"]}}, name="tess")

    assert token.status_code == 201
    headers = {"X-Auth-Token": token.headers["X-Subject-Token"]}
    assert api.call(None, "GET", f"{V3}/auth/projects", headers=headers).get_json()["projects"] == [
        project
    ]
    links = {"self": f"http://localhost{V3}/projects/{project['id']}"}
    assert project == PROJECT | {
        "id": UUID,
        "name": "team",
        "description": "ours",
        "links": links,
    }
    assert api.call(None, "GET", FLAVORS, headers=headers).status_code == 200
    assert api.call("root", "DELETE", f"{V3}/projects/{project['id']}").status_code == 204
    assert api.call(None, "GET", FLAVORS, headers=headers).status_code == 401
    assert api.call("root", "DELETE", f"{V3}/users/{user['id']}").status_code == 204
    assert login(api, name="tess").status_code == 401


def test_a_user_is_shown_as_made(api: Api) -> None:
    made = make(api, "user", name="tess", email="t@example.org", description="d", enabled=False)

    assert made == {key: value for key, value in USER.items() if key != "default_project_id"} | {
        "id": UUID,
        "name": "tess",
        "description": "d",
        "email": "t@example.org",
        "enabled": False,
        "links": {"self": f"http://localhost{V3}/users/{made['id']}"},
    }
    assert api.call("root", "GET", f"{V3}/users/{made['id']}").get_json() == {"user": made}


def test_without_a_password_nobody_logs_in(api: Api) -> None:
    make(api, "user", name="tess")

    for password in ("", " ", "nobody has this password"):
        assert login(api, name="tess", password=password).status_code == 401


def test_a_deleted_name_is_free_and_means_somebody_else(api: Api) -> None:
    for kind in ("user", "project"):
        first = make(api, kind, name="again")
        api.call("root", "DELETE", f"{V3}/{kind}s/{first['id']}")
        second = make(api, kind, name="again")

        assert first["id"] != second["id"]
        for method in ("GET", "DELETE"):
            answer = api.call("root", method, f"{V3}/{kind}s/{first['id']}")
            assert answer.status_code == 404
        listed = api.call("root", "GET", f"{V3}/{kind}s?name=again").get_json()[f"{kind}s"]
        assert [each["id"] for each in listed] == [second["id"]]
        names = {e["name"] for e in api.call("root", "GET", f"{V3}/{kind}s").get_json()[f"{kind}s"]}
        assert first["id"] not in names


def test_a_user_who_made_servers_can_be_deleted(api: Api) -> None:
    assert api.call("root", "DELETE", f"{V3}/users/{ALICE}").status_code == 204

    assert api.call("alice", "GET", FLAVORS).status_code == 401
    assert login(api).status_code == 401
    assert api.call("rita", "GET", "/compute/v2.1/servers").get_json()["servers"]
    with reading(api.sessions) as session:
        assert session.get_one(User, ALICE).password_hash == ""


def test_a_project_is_changed(api: Api) -> None:
    changed = change(api, "project", ALPHA, name="first", description="d")

    assert changed == PROJECT | {"name": "first", "description": "d"}
    assert api.call("alice", "GET", f"{V3}/projects/{ALPHA}").get_json() == {"project": changed}
    assert change(api, "project", ALPHA, description=None)["description"] == ""


def test_in_a_disabled_project_no_token_is_worth_anything(api: Api) -> None:
    change(api, "project", ALPHA, enabled=False)
    assert api.call("alice", "GET", FLAVORS).status_code == 401
    assert login(api, {"project": {"id": ALPHA}}).status_code == 401

    change(api, "project", ALPHA, enabled=True)
    assert api.call("alice", "GET", FLAVORS).status_code == 200


def test_a_disabled_user_is_out_for_good(api: Api) -> None:
    change(api, "user", ALICE, enabled=False)
    assert login(api).status_code == 401

    change(api, "user", ALICE, enabled=True)
    assert api.call("alice", "GET", FLAVORS).status_code == 401
    assert login(api).status_code == 201


def test_a_user_is_changed(api: Api) -> None:
    values = {"name": "alicia", "email": "a@example.org", "default_project_id": BETA}

    assert change(api, "user", ALICE, **values) == USER | values
    assert "email" not in change(api, "user", ALICE, email=None)
    # No role there: a login without a scope gives a token without a project.
    assert "project" not in login(api, name="alicia").get_json()["token"]


def test_another_password_ends_all_tokens(api: Api) -> None:
    change(api, "user", ALICE, password="new one")

    assert api.call("alice", "GET", FLAVORS).status_code == 401
    assert login(api).status_code == 401
    assert login(api, password="new one").status_code == 201


def own_password(api: Api, original: str) -> int:
    body = {"user": {"original_password": original, "password": "new one"}}
    return api.call("alice", "POST", f"{V3}/users/{ALICE}/password", json=body).status_code


def test_one_gives_oneself_another_password(api: Api) -> None:
    assert own_password(api, "wrong") == 401
    assert api.call("alice", "GET", FLAVORS).status_code == 200
    assert own_password(api, PASSWORD) == 204

    assert api.call("alice", "GET", FLAVORS).status_code == 401
    assert login(api, password="new one").status_code == 201


def test_roles_work_at_once_on_tokens_that_are_there(api: Api) -> None:
    give(api, ALPHA, RITA, "admin")
    assert api.call("rita", "GET", f"{V3}/users").status_code == 200

    give(api, ALPHA, RITA, "admin", "DELETE")
    assert api.call("rita", "GET", f"{V3}/users").status_code == 403

    give(api, ALPHA, RITA, "reader", "DELETE")
    assert api.call("rita", "GET", FLAVORS).status_code == 401


@pytest.mark.parametrize(
    ("role", "held"),
    [
        ("admin", ["admin", "manager", "member", "reader"]),
        ("manager", ["manager", "member", "reader"]),
        ("member", ["member", "reader"]),
        ("reader", ["reader"]),
        ("service", ["service"]),
    ],
)
def test_a_role_holds_those_below_it(api: Api, role: str, held: list[str]) -> None:
    give(api, ALPHA, BOB, role)

    token = login(api, {"project": {"id": ALPHA}}, name="bob").get_json()["token"]

    assert token["roles"] == [{"id": role_id(name), "name": name} for name in held]


def test_a_project_with_things_stays(api: Api) -> None:
    answer = api.call("root", "DELETE", f"{V3}/projects/{BETA}")

    assert answer.status_code == 409
    with reading(api.sessions) as session:
        assert session.get_one(Project, BETA).deleted_at is None


def test_a_deleted_project_takes_nothing_more(api: Api) -> None:
    gone = make(api, "project", name="gone")["id"]
    api.call("root", "DELETE", f"{V3}/projects/{gone}")

    for path, body in (
        ("networks", {"network": {"name": "n", "project_id": gone}}),
        ("security-groups", {"security_group": {"name": "g", "project_id": gone}}),
    ):
        answer = api.call("root", "POST", f"/network/v2.0/{path}", json=body)
        assert answer.status_code in (400, 404)
        assert gone in answer.text
    assert api.call("root", "GET", f"/network/v2.0/quotas/{gone}").status_code == 404


def test_a_project_that_was_deleted_since_it_was_read_cannot_be_locked(api: Api) -> None:
    gone = make(api, "project", name="gone")["id"]
    with api.sessions() as session:
        read = session.get_one(Project, gone)
        session.commit()
        assert api.call("root", "DELETE", f"{V3}/projects/{gone}").status_code == 204

        with pytest.raises(NotFound):
            quota.lock_project(session, read.id)


def test_a_token_for_a_token_tells_where_it_comes_from(api: Api) -> None:
    first = login(api)
    audit_id = first.get_json()["token"]["audit_ids"][0]
    secret = first.headers["X-Subject-Token"]
    for _ in range(2):
        body = {"auth": {"identity": {"methods": ["token"], "token": {"id": secret}}}}
        answer = api.call(None, "POST", TOKENS, json=body)
        token, secret = answer.get_json()["token"], answer.headers["X-Subject-Token"]

        assert token["methods"] == ["password", "token"]
        assert (len(token["audit_ids"]), token["audit_ids"][1]) == (2, audit_id)
        headers = {"X-Subject-Token": secret}
        shown = api.call("root", "GET", TOKENS, headers=headers).get_json()["token"]
        assert shown == token


def fail(api: Api, times: int, **user: Any) -> int:
    for _ in range(times):
        status: int = login(api, **{"password": "wrong", **user}).status_code
    return status


def test_after_ten_wrong_passwords_not_even_the_right_one_is_looked_at(api: Api) -> None:
    assert fail(api, 10) == 401

    answer = login(api)

    assert (answer.status_code, answer.get_json()) == (429, TOO_MANY)
    assert login(api, name="bob").status_code == 201
    with reading(api.sessions) as session:
        assert session.query(FailedLogin).count() == 10
    with time_machine.travel(now() + timedelta(seconds=301)):
        assert login(api).status_code == 201


def test_the_id_is_no_way_round_the_limit_of_the_name(api: Api) -> None:
    fail(api, 10)
    who = {"id": ALICE, "password": PASSWORD}
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": who}}}}

    assert api.call(None, "POST", TOKENS, json=body).status_code == 429


def test_who_does_not_exist_is_limited_too(api: Api) -> None:
    assert fail(api, 10, name="nobody") == 401

    assert fail(api, 1, name="nobody") == 429


def test_another_address_is_let_in_for_a_while(api: Api) -> None:
    fail(api, 10)
    assert from_address(api, "192.0.2.7").status_code == 201


def from_address(api: Api, address: str, password: str = PASSWORD) -> Any:
    who = {"name": "alice", "password": password, "domain": {"id": "default"}}
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": who}}}}
    environ = {"REMOTE_ADDR": address}
    return api.call(None, "POST", TOKENS, json=body, environ_overrides=environ)


def add_failures(api: Api, who: list[str], addresses: list[str]) -> None:
    with api.sessions.begin() as session:
        for name, address in zip(who, addresses, strict=True):
            session.add(FailedLogin(who=name, address=address, at=now()))


def test_an_address_that_tries_many_names_is_limited(api: Api) -> None:
    add_failures(api, [f"name-{n}" for n in range(100)], ["192.0.2.7"] * 100)

    assert from_address(api, "192.0.2.7").status_code == 429
    assert from_address(api, "192.0.2.8").status_code == 201


def test_a_name_that_is_tried_from_many_addresses_is_limited(api: Api) -> None:
    assert from_address(api, "192.0.2.8", "wrong").status_code == 401
    with reading(api.sessions) as session:
        who = session.query(FailedLogin).one().who
    add_failures(api, [who] * 99, [f"198.51.100.{n}" for n in range(99)])

    assert from_address(api, "192.0.2.9").status_code == 429


def test_a_new_password_from_an_administrator_ends_the_wait(api: Api) -> None:
    fail(api, 10)

    change(api, "user", ALICE, password="new one")

    assert login(api, password="new one").status_code == 201


def test_a_wrong_original_password_counts_as_well(api: Api) -> None:
    assert [own_password(api, "wrong") for _ in range(11)] == [401] * 10 + [429]
