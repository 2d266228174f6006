"""A private flavor is lent to a project: its members see and use it, others do not."""

from typing import Any

from tests.http.cases import Api
from tests.http.table_refusals import GOOD
from tests.http.world import ALPHA, BETA

FLAVORS = "/compute/v2.1/flavors"
SECRET = f"{FLAVORS}/secret"


def act(api: Api, action: str, tenant: str = ALPHA) -> Any:
    return api.call("root", "POST", f"{SECRET}/action", json={action: {"tenant": tenant}})


def seen(api: Api, who: str, query: str = "") -> list[str]:
    found = api.call(who, "GET", f"{FLAVORS}/detail{query}").get_json()["flavors"]
    return [flavor["id"] for flavor in found]


def create(api: Api, who: str) -> int:
    body = {"server": {**GOOD, "flavorRef": "secret"}}
    return api.call(who, "POST", "/compute/v2.1/servers", json=body).status_code


def test_a_project_is_given_a_private_flavor_and_it_is_taken_back(api: Api) -> None:
    assert (seen(api, "alice"), create(api, "alice")) == (["42", "43"], 400)

    answer = act(api, "addTenantAccess")
    given = {"flavor_access": [{"flavor_id": "secret", "tenant_id": ALPHA}]}
    assert (answer.status_code, answer.get_json()) == (200, given)
    assert api.call("root", "GET", f"{SECRET}/os-flavor-access").get_json() == given

    for query in ("", "?is_public=None", "?is_public=False"):
        assert seen(api, "alice", query) == ["42", "43", "secret"]
    assert seen(api, "bob") == ["42", "43"]
    assert api.call("alice", "GET", SECRET).status_code == 200
    assert api.call("alice", "GET", f"{SECRET}/os-extra_specs").status_code == 200
    assert api.call("bob", "GET", SECRET).status_code == 404
    assert (create(api, "alice"), create(api, "bob")) == (202, 400)

    answer = act(api, "removeTenantAccess")
    assert (answer.status_code, answer.get_json()) == (200, {"flavor_access": []})
    assert (seen(api, "alice"), create(api, "alice")) == (["42", "43"], 400)


def test_what_was_given_already_or_never_is_said(api: Api) -> None:
    assert act(api, "addTenantAccess", BETA).status_code == 200
    again = act(api, "addTenantAccess", BETA)
    assert again.status_code == 409
    assert "already exists for flavor secret" in again.get_json()["conflictingRequest"]["message"]
    never = act(api, "removeTenantAccess")
    assert never.status_code == 404
    assert "Flavor access not found" in never.get_json()["itemNotFound"]["message"]


def test_a_flavor_that_is_deleted_takes_its_lendings_along(api: Api) -> None:
    before = api.count_rows()["flavor_access"]
    act(api, "addTenantAccess")
    assert api.call("root", "DELETE", SECRET).status_code == 202
    assert api.count_rows()["flavor_access"] == before
