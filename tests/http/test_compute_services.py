"""Operators take a hypervisor out of the choice, and put it back."""

from typing import Any

from app.db.models import Hypervisor
from app.db.session import reading
from tests.http.cases import Api
from tests.http.table_compute import REF, SERVICE, SERVICES
from tests.http.world import HOST


def put(api: Api, verb: str, **more: str) -> Any:
    answer = api.call("root", "PUT", f"{SERVICES}/{verb}", json={**REF, **more})
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.get_json()["service"]


def shown(api: Api) -> Any:
    [service] = api.call("root", "GET", SERVICES).get_json()["services"]
    return service


def is_chosen(api: Api) -> bool:
    """Say whether the scheduler's own column lets the host have servers."""
    with reading(api.sessions) as session:
        return session.get_one(Hypervisor, HOST).enabled


def test_a_disabled_service_gets_nothing_until_it_is_enabled(api: Api) -> None:
    off = {**REF, "status": "disabled"}
    assert put(api, "disable") == off
    assert shown(api) == {**SERVICE, "status": "disabled"}
    assert not is_chosen(api)

    reason = {"disabled_reason": "new memory"}
    assert put(api, "disable-log-reason", **reason) == {**off, **reason}
    assert shown(api) == {**SERVICE, "status": "disabled", **reason}

    assert put(api, "enable") == {**REF, "status": "enabled"}
    assert shown(api) == SERVICE
    assert is_chosen(api)
