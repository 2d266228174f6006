"""What projects may have is changed, holds at once, and is given back."""

from typing import Any

from tests.http.cases import Api
from tests.http.table_refusals import GOOD
from tests.http.table_servers import DEFAULTS, LIMITS, QUOTAS
from tests.http.world import ALPHA

ALPHAS = f"{QUOTAS}/{ALPHA}"


def change(api: Api, **limits: Any) -> Any:
    return api.call("root", "PUT", ALPHAS, json={"quota_set": limits})


def test_a_limit_is_changed_and_holds_at_once(api: Api) -> None:
    answer = change(api, instances=2, tenant_id=ALPHA)
    assert answer.get_json() == {"quota_set": {**LIMITS, "instances": 2}}
    refused = api.call("alice", "POST", "/compute/v2.1/servers", json={"server": GOOD})
    assert refused.status_code == 403
    assert change(api, instances=3).status_code == 200
    made = api.call("alice", "POST", "/compute/v2.1/servers", json={"server": GOOD})
    assert made.status_code == 202


def test_a_limit_below_what_is_used_is_taken_by_force_only(api: Api) -> None:
    assert change(api, cores=1).status_code == 400
    assert change(api, cores=1, force="True").get_json()["quota_set"]["cores"] == 1
    assert change(api, cores=-1, ram=-1).get_json()["quota_set"]["cores"] == -1


def test_one_that_is_refused_changes_nothing(api: Api) -> None:
    assert change(api, instances=50, cores=1).status_code == 400
    shown = api.call("alice", "GET", ALPHAS).get_json()
    assert shown == {"quota_set": {"id": ALPHA, **LIMITS}}


def test_a_project_gets_the_limits_of_a_new_one(api: Api) -> None:
    change(api, cores=99)
    assert api.call("root", "DELETE", ALPHAS).status_code == 202
    shown = api.call("root", "GET", ALPHAS).get_json()
    assert shown == {"quota_set": {"id": ALPHA, **DEFAULTS}}
