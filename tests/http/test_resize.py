"""Resizes as they are asked for: what is claimed and begun, what is refused, and who may."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.db.models import Allocation, Hypervisor, Migration, Project, RequestSpec, Run, Server
from app.db.models.base import now
from app.db.session import reading
from tests.http.cases import BASE, Api
from tests.http.table_servers import ONE
from tests.http.test_server_actions import act, begun, change, reason
from tests.http.world import ACTIVE, ALPHA, HOST

RESIZE: dict[str, Any] = {"resize": {"flavorRef": "43"}}
CONFIRM: dict[str, Any] = {"confirmResize": None}
REVERT: dict[str, Any] = {"revertResize": {}}


@pytest.fixture(autouse=True)
def held(api: Api) -> None:
    """The server holds room on its host, as every placed one does."""
    with api.sessions.begin() as session:
        if session.get(RequestSpec, ACTIVE) is None:
            session.add(RequestSpec(server_id=ACTIVE))
        session.merge(
            Allocation(
                server_id=ACTIVE,
                hypervisor_id=HOST,
                run_id="r",
                attempt=1,
                vcpus=1,
                memory_mib=256,
                disk_gib=1,
            )
        )


def used(api: Api) -> tuple[int, int, int]:
    with reading(api.sessions) as session:
        host = session.get_one(Hypervisor, HOST)
        return host.vcpus_used, host.memory_mib_used, host.disk_gib_used


def shown(api: Api) -> dict[str, Any]:
    return dict(api.call("rita", "GET", ONE).get_json()["server"])


def resized(api: Api) -> None:
    """Let the resize that was begun be at its end, and wait for a word."""
    with api.sessions.begin() as session:
        for run in session.scalars(select(Run).where(Run.server_id == ACTIVE)):
            run.state = "done"
        migration = session.scalars(select(Migration)).one()
        migration.status, migration.waits_since = "finished", now()
    change(api, status="VERIFY_RESIZE", vm_state="resized", task_state=None, power_state=1)


@pytest.mark.parametrize("vm_state", ["active", "stopped"])
def test_resize_begins_with_both_sizes_claimed(api: Api, vm_state: str) -> None:
    change(api, vm_state=vm_state)

    answer = act(api, {"resize": {"flavorRef": "43", "OS-DCF:diskConfig": "AUTO"}})

    assert (answer.status_code, answer.get_data()) == (202, b"")
    # A guest has one of them at a time; disks are there twice.
    assert used(api) == (8, 4096, 81)
    [run] = begun(api)
    with reading(api.sessions) as session:
        stages = [stage.name for stage in session.get_one(Run, run.id).stages]
    turned_on = ["power_on"] if vm_state == "active" else []
    assert stages == ["shut_down", "keep_disks", "reshape", *turned_on]
    server = shown(api)
    assert (server["status"], server["OS-EXT-STS:task_state"]) == ("RESIZE", "resize_prep")
    assert (server["flavor"]["id"], server["OS-DCF:diskConfig"]) == ("42", "AUTO")


def test_both_sizes_count_against_the_quota(api: Api) -> None:
    act(api, RESIZE)

    limits = api.call("alice", "GET", "/compute/v2.1/limits").get_json()["limits"]["absolute"]
    assert (limits["totalCoresUsed"], limits["totalRAMUsed"]) == (9, 4352)


def test_resize_over_the_quota_is_refused(api: Api) -> None:
    with api.sessions.begin() as session:
        session.get_one(Project, ALPHA).quota_vcpus = 5

    refused = act(api, RESIZE)

    assert (refused.status_code, reason(refused)) == (
        403,
        "Quota exceeded for cores: Requested 7, but already used 2 of 5 cores",
    )
    assert (begun(api), used(api)) == ([], (1, 256, 1))


def test_resize_without_room_is_refused_at_once(api: Api) -> None:
    with api.sessions.begin() as session:
        session.get_one(Hypervisor, HOST).memory_mib = 2048

    refused = act(api, RESIZE)

    assert refused.status_code == 400
    assert reason(refused) == (
        "Where it is: No valid host was found among 1: 1 without room for 3840 MiB of memory."
        " Elsewhere: No valid host was found among 1: 1 where it is."
    )
    assert (begun(api), used(api)) == ([], (1, 256, 1))


@pytest.mark.parametrize(
    ("body", "facts", "told"),
    [
        ({"flavorRef": "42"}, {}, "When resizing, instances must change flavor!"),
        ({"flavorRef": "nope"}, {}, "flavorRef: flavor nope could not be found."),
        ({"flavorRef": "secret"}, {}, "flavorRef: flavor secret could not be found."),
        ({"flavorRef": "43"}, {"root_gib": 81}, "its disk is smaller than the server's"),
        ({"flavorRef": "43"}, {"ephemeral_gib": 1}, "its ephemeral disk is smaller"),
        ({}, {}, "resize.flavorRef"),
        ({"flavorRef": "43", "OS-DCF:diskConfig": "MAYBE"}, {}, "resize.OS-DCF:diskConfig"),
        ({"flavorRef": "43", "host": "h"}, {}, "resize.host"),
    ],
)
def test_bad_resize_is_refused(
    api: Api, body: dict[str, Any], facts: dict[str, Any], told: str
) -> None:
    change(api, **facts)

    refused = act(api, {"resize": body})

    assert (refused.status_code, told in reason(refused)) == (400, True), reason(refused)
    assert (begun(api), used(api)) == ([], (1, 256, 1))


@pytest.mark.parametrize("vm_state", ["paused", "suspended", "error", "resized"])
def test_resize_is_refused_where_nova_refuses_it(api: Api, vm_state: str) -> None:
    change(api, vm_state=vm_state)
    refused = act(api, RESIZE)
    told = f"Cannot 'resize' instance {ACTIVE} while it is in vm_state {vm_state}"
    assert (refused.status_code, reason(refused)) == (409, told)


@pytest.mark.parametrize("body", [CONFIRM, REVERT], ids=["confirmResize", "revertResize"])
def test_only_what_was_resized_is_confirmed_or_reverted(api: Api, body: dict[str, Any]) -> None:
    word = next(iter(body))
    refused = act(api, body)
    told = f"Cannot '{word}' instance {ACTIVE} while it is in vm_state active"
    assert (refused.status_code, reason(refused)) == (409, told)

    change(api, status="VERIFY_RESIZE", vm_state="resized")
    refused = act(api, body)
    assert (refused.status_code, reason(refused)) == (400, "Instance has not been resized.")
    assert begun(api) == []


def test_confirm_answers_204_and_begins(api: Api) -> None:
    act(api, RESIZE)
    resized(api)

    answer = act(api, CONFIRM)

    assert (answer.status_code, answer.get_data()) == (204, b"")
    assert [run.pipeline for run in begun(api)] == ["confirm_resize"]
    server = shown(api)
    assert (server["status"], server["OS-EXT-STS:task_state"]) == (
        "VERIFY_RESIZE",
        "resize_confirming",
    )
    actions = api.call("alice", "GET", f"{ONE}/os-instance-actions").get_json()["instanceActions"]
    assert [action["action"] for action in actions[:2]] == ["confirmResize", "resize"]


def test_revert_begins(api: Api) -> None:
    act(api, RESIZE)
    resized(api)

    assert act(api, REVERT).status_code == 202

    assert [run.pipeline for run in begun(api)] == ["revert_resize"]
    server = shown(api)
    assert (server["status"], server["OS-EXT-STS:task_state"]) == (
        "REVERT_RESIZE",
        "resize_reverting",
    )


@pytest.mark.parametrize("body", [RESIZE, CONFIRM, REVERT])
def test_a_silent_host_a_lock_and_other_projects(api: Api, body: dict[str, Any]) -> None:
    if body is not RESIZE:
        act(api, RESIZE)
        resized(api)
    assert act(api, body, user="bob").status_code == 404
    assert act(api, body, user="rita").status_code == 403
    change(api, locked_by="owner")
    assert reason(act(api, body)) == f"Instance {ACTIVE} is locked"
    change(api, locked_by=None)
    with api.sessions.begin() as session:
        session.get_one(Hypervisor, HOST).last_seen_at = now() - timedelta(hours=1)
    refused = act(api, body)
    assert refused.status_code == 409
    assert reason(refused).endswith("its host does not answer")
    assert begun(api) == []


def test_delete_of_a_resized_server_ends_its_resize(api: Api) -> None:
    act(api, RESIZE)
    resized(api)

    assert api.call("alice", "DELETE", ONE).status_code == 204

    with reading(api.sessions) as session:
        migration = session.scalars(select(Migration)).one()
        assert (migration.status, migration.settled_at is not None) == ("confirmed", True)
        assert session.get_one(Server, ACTIVE).task_state == "deleting"


_LIVE: dict[str, Any] = {"host": None, "block_migration": False}
_OLD_LIVE = {**_LIVE, "disk_over_commit": "false"}


@pytest.mark.parametrize(
    ("minor", "name", "said"),
    [
        (1, "os-migrateLive", _OLD_LIVE),
        (25, "os-migrateLive", {**_LIVE, "block_migration": "auto"}),
        (30, "os-migrateLive", {**_LIVE, "host": "host-2", "force": True}),
        (34, "os-migrateLive", {**_LIVE, "force": False}),
    ],
)
def test_what_no_hypervisor_does_is_refused(api: Api, minor: int, name: str, said: Any) -> None:
    def move(user: str = "root", path: str = ONE) -> Any:
        headers = {"OpenStack-API-Version": f"compute 2.{minor}"}
        return api.call(user, "POST", f"{path}/action", json={name: said}, headers=headers)

    refused = move()
    message = "Servers are stopped to be moved to another host: see `migrate`."
    assert (refused.status_code, refused.get_json()) == (
        501,
        {"notImplemented": {"code": 501, "message": message}},
    )
    assert (move("bob").status_code, move("alice").status_code) == (404, 403)
    assert move(path=f"{ONE}0").status_code == 404
    assert begun(api) == []


# --- for operators ------------------------------------------------------------------------------


MIGRATIONS = "/compute/v2.1/os-migrations"


def migrations(api: Api, query: str = "") -> list[dict[str, Any]]:
    return list(at(api, 1, query)["migrations"])


def at(api: Api, minor: int, query: str = "", status: int = 200) -> dict[str, Any]:
    """Return what is answered of migrations at a microversion."""
    headers = {"OpenStack-API-Version": f"compute 2.{minor}"}
    answer = api.call("root", "GET", f"{MIGRATIONS}{query}", headers=headers)
    assert answer.status_code == status, answer.get_json()
    return dict(answer.get_json())


def test_resizes_are_told_to_administrators(api: Api) -> None:
    assert migrations(api) == []
    act(api, RESIZE)

    [found] = migrations(api)
    with reading(api.sessions) as session:
        row = session.scalars(select(Migration)).one()
    times = {name: found.pop(name) for name in ("created_at", "updated_at")}
    assert found == {
        "id": row.id,
        "status": "migrating",
        "instance_uuid": ACTIVE,
        "source_node": "host-1",
        "source_compute": "host-1",
        "dest_node": "host-1",
        "dest_compute": "host-1",
        "dest_host": "10.0.0.1",
        "old_instance_type_id": "42",
        "new_instance_type_id": "43",
    }
    assert times == {
        "created_at": row.created_at.strftime("%Y-%m-%dT%H:%M:%S.%f"),
        "updated_at": None,
    }
    for query, count in (
        ("?status=migrating&host=host-1", 1),
        (f"?instance_uuid={ACTIVE}&source_compute=host-1&migration_type=resize", 1),
        ("?status=finished", 0),
        ("?host=host-2", 0),
        ("?migration_type=migration&hidden=0", 0),
    ):
        assert len(migrations(api, query)) == count, query
    for user in ("alice", "rita"):
        assert api.call(user, "GET", "/compute/v2.1/os-migrations").status_code == 403


def test_later_versions_tell_more_of_migrations_and_have_pages(api: Api) -> None:
    act(api, RESIZE)
    with api.sessions.begin() as session:
        first = session.scalars(select(Migration)).one()
        first.settled_at = now()
        columns = {c.name: getattr(first, c.name) for c in Migration.__table__.columns}
        session.add(Migration(**columns | {"id": first.id + 1, "run_id": "another"}))
    with reading(api.sessions) as session:
        last, first = session.scalars(select(Migration).order_by(Migration.id.desc()))

    for minor, more in ((22, set()), (23, {"migration_type"}), (59, {"migration_type", "uuid"})):
        newest, oldest = at(api, minor)["migrations"]
        assert (newest["id"], oldest["id"]) == (last.id, first.id)
        assert newest.keys() - migrations(api)[0].keys() == more
    assert (newest["migration_type"], newest["uuid"]) == ("resize", last.run_id)
    assert len(at(api, 58, f"?limit=1&marker=none&changes-since={_LATER}")["migrations"]) == 2

    page = at(api, 59, "?limit=1")
    assert [one["id"] for one in page["migrations"]] == [last.id]
    href = f"{BASE}{MIGRATIONS}?limit=1&marker={last.run_id}"
    assert page["migrations_links"] == [{"rel": "next", "href": href}]
    rest = at(api, 59, f"?marker={last.run_id}")
    assert ([one["id"] for one in rest["migrations"]], "migrations_links" in rest) == (
        [first.id],
        False,
    )
    assert at(api, 59, f"?changes-since={_LATER}") == {"migrations": []}
    assert len(at(api, 59, "?changes-since=2026-01-01T00:00:00Z")["migrations"]) == 2
    for query in ("?marker=none", "?limit=-1", "?changes-since=soon"):
        at(api, 59, query, 400)


_LATER = "2100-01-01T00:00:00Z"
