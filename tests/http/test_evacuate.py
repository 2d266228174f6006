"""Servers of hosts that do not answer, as they are made anew elsewhere: what is begun, what is
refused, and what is answered."""

from datetime import timedelta
from typing import Any

import pytest

from app.db.models import Hypervisor, Image, Migration, RequestSpec
from app.db.models.base import now
from app.db.session import reading
from tests.http.cases import Api
from tests.http.table_servers import ONE
from tests.http.test_migrate import elsewhere, rooms, stages
from tests.http.test_resize import MIGRATIONS, held, shown
from tests.http.test_server_actions import begun, change, reason
from tests.http.world import ACTIVE, HOST, PUBLIC_IMAGE

__all__ = ["elsewhere", "held"]

OLD: dict[str, Any] = {"onSharedStorage": "False"}


def evacuate(api: Api, said: Any, minor: int = 1, user: str = "root") -> Any:
    """Ask for it."""
    headers = {"OpenStack-API-Version": f"compute 2.{minor}"}
    return api.call(user, "POST", f"{ONE}/action", json={"evacuate": said}, headers=headers)


@pytest.fixture
def silent(api: Api, elsewhere: str) -> str:
    """The server's host is silent, another one is there; return that one's id."""
    change(api, image_id=PUBLIC_IMAGE)
    with api.sessions.begin() as session:
        session.get_one(Hypervisor, HOST).last_seen_at = now() - timedelta(hours=1)
    return elsewhere


_BUILT = ["rehost", "clear", "build_resources", "define_domain", "launch", "poll_boot"]


@pytest.mark.parametrize("state", ["active", "error", "stopped"])
def test_server_of_a_silent_host_is_made_anew(api: Api, silent: str, state: str) -> None:
    change(api, vm_state=state)

    answer = evacuate(api, {**OLD, "adminPass": "mine"})

    assert (answer.status_code, answer.get_json()) == (200, {"adminPass": "mine"})
    assert rooms(api) == {HOST: 256, silent: 256}
    [run] = begun(api)
    assert stages(api, run) == [*_BUILT, *(["shut_down"] if state == "stopped" else [])]
    # Nothing is asked of the host that does not answer.
    assert run.hypervisor_id is None
    server = shown(api)
    assert (server["status"], server["OS-EXT-STS:task_state"]) == ("REBUILD", "rebuilding")
    with reading(api.sessions) as session:
        assert session.get_one(RequestSpec, ACTIVE).admin_pass == "mine"
        assert session.query(Image).filter_by(hidden=True).all() == []
    headers = {"OpenStack-API-Version": "compute 2.23"}
    [told] = api.call("root", "GET", MIGRATIONS, headers=headers).get_json()["migrations"]
    assert (told["migration_type"], told["source_compute"], told["dest_compute"]) == (
        "evacuation",
        "host-1",
        "host-2",
    )
    actions = api.call("alice", "GET", f"{ONE}/os-instance-actions").get_json()["instanceActions"]
    assert actions[0]["action"] == "evacuate"


def test_later_versions_are_answered_nothing(api: Api, silent: str) -> None:
    answer = evacuate(api, {"host": "host-2"}, 14)

    assert (answer.status_code, answer.get_data()) == (200, b"")
    assert len(begun(api)) == 1


def test_host_that_is_forced_down_counts_as_silent(api: Api, elsewhere: str) -> None:
    change(api, image_id=PUBLIC_IMAGE)
    refused = evacuate(api, OLD)
    assert (refused.status_code, reason(refused)) == (
        400,
        "Compute service of host-1 is still in use.",
    )
    with api.sessions.begin() as session:
        session.get_one(Hypervisor, HOST).forced_down = True

    assert evacuate(api, OLD).status_code == 200


@pytest.mark.parametrize(
    ("said", "minor", "status", "told"),
    [
        ({"host": "host-1"}, 14, 400, "host: the server is on host-1 already."),
        ({"host": "nowhere"}, 14, 400, "host: compute host nowhere could not be found."),
        ({"onSharedStorage": True}, 1, 400, "evacuate.onSharedStorage: hosts share no storage."),
        ({"host": "host-2", "force": True}, 29, 501, "No server is forced on a host"),
    ],
)
def test_bad_evacuation_is_refused(
    api: Api, silent: str, said: Any, minor: int, status: int, told: str
) -> None:
    refused = evacuate(api, said, minor)

    assert (refused.status_code, told in reason(refused)) == (status, True), reason(refused)
    assert (begun(api), rooms(api)) == ([], {HOST: 256})


def test_force_is_refused_after_the_server_was_looked_for(api: Api) -> None:
    headers = {"OpenStack-API-Version": "compute 2.29"}
    body = {"evacuate": {"host": "host-2", "force": True}}

    refused = api.call("root", "POST", f"{ONE}0/action", json=body, headers=headers)

    assert refused.status_code == 404


def test_what_cannot_be_made_anew_is_refused(api: Api, silent: str) -> None:
    change(api, vm_state="paused")
    assert "in vm_state paused" in reason(evacuate(api, OLD))
    change(api, vm_state="active", image_id="gone")
    refused = evacuate(api, OLD)
    assert (refused.status_code, "Image gone" in reason(refused)) == (400, True)
    assert [evacuate(api, OLD, user=user).status_code for user in ("alice", "bob")] == [403, 404]
    with reading(api.sessions) as session:
        assert session.query(Migration).all() == []
    assert begun(api) == []
