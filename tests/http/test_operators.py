"""What changes the world or needs another one: uptime that a host tells, usage of what is gone,
hosts that are forgotten."""

from datetime import timedelta
from typing import Any

from app.db.models import Hypervisor, Server
from app.db.models.base import now
from tests.http.cases import Api
from tests.http.table_compute import HYPERVISOR
from tests.http.table_operators import USAGE, V21
from tests.http.world import ALPHA, GONE, HOST, THEN
from tests.rows import add_host

UP = " 10:00:00 up 3 days,  4:05,  1 user,  load average: 0.10, 0.20, 0.30"


def show(api: Api, path: str, who: str = "root") -> Any:
    return api.call(who, "GET", path).get_json()


def test_a_host_tells_its_uptime(api: Api) -> None:
    with api.sessions.begin() as session:
        session.get_one(Hypervisor, HOST).uptime = UP
    shown = show(api, f"{V21}/os-hypervisors/1/uptime")
    assert shown == {"hypervisor": {**HYPERVISOR, "uptime": UP}}


def test_what_is_deleted_was_used_all_the_same(api: Api) -> None:
    with api.sessions.begin() as session:
        gone = session.get_one(Server, GONE)
        gone.launched_at, gone.deleted_at = THEN - timedelta(hours=2), THEN
        gone.flavor_id, gone.ephemeral_gib = "nope", 2
    span = "start=2026-11-23T00:00:00&end=2026-11-23T03:33:44"
    used = show(api, f"{USAGE}/{ALPHA}?{span}", "alice")["tenant_usage"]
    [server] = used["server_usages"]
    assert (server["flavor"], server["local_gb"], server["state"]) == ("nope", 3, "terminated")
    assert server["uptime"] == 7200
    assert abs(used["total_hours"] - 2) < 0.001
    assert used["total_local_gb_usage"] == 3 * used["total_hours"]


def test_what_is_to_come_counts_for_nobody(api: Api) -> None:
    with api.sessions.begin() as session:
        session.get_one(Server, GONE).deleted_at = None
        session.get_one(Server, GONE).launched_at = now() - timedelta(hours=1)
    span = f"start={now() - timedelta(hours=9):%Y-%m-%dT%H:%M:%S}&end=2100-01-01"
    used = show(api, f"{USAGE}/{ALPHA}?{span}", "alice")["tenant_usage"]
    hours = {one["instance_id"]: one["hours"] for one in used["server_usages"]}
    assert 1 <= hours[GONE] < 1.1


def test_a_host_that_is_lost_is_forgotten_with_its_service(api: Api) -> None:
    host = add_host(api.sessions, "host-2", lost_at=now(), number=2)
    number = 2
    assert api.call("root", "DELETE", f"{V21}/os-services/{number}").status_code == 204
    with api.sessions() as session:
        assert session.get(Hypervisor, host) is None
