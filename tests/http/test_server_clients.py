"""What is said of servers, by OpenStack's own command and SDK: each command as people type it."""

from collections.abc import Iterator

import pytest
from openstack.compute.v2.server import Server
from openstack.connection import Connection
from openstack.exceptions import ForbiddenException, NotFoundException

from tests.http.test_identity_clients import Cloud
from tests.http.test_serving import Running
from tests.http.world import ACTIVE, PUBLIC_IMAGE
from tests.openstack_command import OpenStackCommand
from tests.processes import wait_until


@pytest.fixture(scope="module")
def cloud(
    tmp_path_factory: pytest.TempPathFactory, openstack_command: OpenStackCommand
) -> Iterator[Cloud]:
    running = Running(tmp_path_factory.mktemp("servers"))
    running.program.start()
    try:
        wait_until(running.answers, "the API", 20)
        yield Cloud(running, openstack_command)
    finally:
        running.program.stop()


@pytest.fixture
def alice(cloud: Cloud) -> dict[str, str]:
    return cloud.login("alice", "alpha")


def test_a_server_is_renamed_and_noted_on(cloud: Cloud, alice: dict[str, str]) -> None:
    cloud.silent(alice, "server", "set", ACTIVE, "--name", "db")
    cloud.silent(alice, "server", "set", "db", "--property", "tier=gold", "--property", "a=b")
    cloud.silent(alice, "server", "unset", "db", "--property", "a")

    found = cloud.json(alice, "server", "show", "db")
    assert (found["name"], found["properties"]) == ("db", {"role": "web", "tier": "gold"})
    refused = cloud.run(alice, "server", "unset", "db", "--property", "a")
    assert "Metadata item was not found" in refused.stderr

    cloud.silent(alice, "server", "set", ACTIVE, "--name", "web")


def test_servers_are_found_by_what_is_known_of_them(cloud: Cloud, alice: dict[str, str]) -> None:
    def names(*words: str) -> list[str]:
        return [each["Name"] for each in cloud.json(alice, "server", "list", *words)]

    assert names("--ip", "10.77.0") == ["web"]
    assert names("--ip6", "fd00") == []
    assert names("--availability-zone", "nova") == ["web"]
    assert names("--power-state", "running") == ["web"]
    assert names("--key-name", "key", "--status", "ACTIVE") == ["web"]
    assert names("--name", "^bro.*") == ["broken"]


def test_the_sdk_sees_what_it_changed(cloud: Cloud) -> None:
    sdk: Connection = cloud.connect("alice", "alpha")
    server = sdk.compute.set_server_metadata(ACTIVE, colour="blue")
    assert server.metadata["colour"] == "blue"
    assert sdk.compute.get_server_metadata(ACTIVE).metadata["colour"] == "blue"
    sdk.compute.delete_server_metadata(ACTIVE, ["colour"])
    assert "colour" not in sdk.compute.get_server(ACTIVE).metadata
    addresses = {one.network_label: one.address for one in sdk.compute.server_ips(ACTIVE)}
    assert addresses == {"private": "10.77.0.5"}
    assert [one.address for one in sdk.compute.server_ips(ACTIVE, "private")] == ["10.77.0.5"]
    assert sdk.compute.update_server(ACTIVE, access_ipv4="192.0.2.7").access_ipv4 == "192.0.2.7"


def test_what_was_done_with_a_server_is_told(cloud: Cloud, alice: dict[str, str]) -> None:
    found = cloud.json(alice, "server", "event", "list", ACTIVE)
    assert [(one["Action"], one["Request ID"]) for one in found] == [("create", "req-1")]
    for who in (alice, cloud.root):
        steps = cloud.json(who, "server", "event", "show", ACTIVE, "req-1")["events"]
        assert [step["event"] for step in steps] == ["poll_boot", "validate"]


def test_an_administrator_says_how_much_a_project_may_have(cloud: Cloud) -> None:
    def quota(*words: str) -> dict[str, int]:
        found = cloud.json(cloud.root, "quota", "show", "--compute", *words)
        return {one["Resource"]: one["Limit"] for one in found}

    before = quota("alpha")
    cloud.silent(cloud.root, "quota", "set", "--cores", "40", "--ram", "-1", "alpha")
    assert quota("alpha") == {**before, "cores": 40, "ram": -1}
    too_few = cloud.run(cloud.root, "quota", "set", "--instances", "1", "alpha")
    assert "Quota limit 1 for instances must be greater than or equal to" in too_few.stderr
    cloud.silent(cloud.root, "quota", "delete", "--compute", "alpha")
    assert quota("alpha") == quota("--default", "alpha")
    alice = cloud.login("alice", "alpha")
    assert cloud.json(alice, "quota", "show", "--compute", "--usage")


def test_files_are_given_at_the_last_version_that_has_them(cloud: Cloud) -> None:
    at_2_56 = ("--os-compute-api-version", "2.56", "quota", "set")
    cloud.silent(cloud.root, *at_2_56, "--injected-files", "1", "alpha")
    sdk: Connection = cloud.connect("alice", "alpha")
    file = {"path": "/etc/motd", "contents": "aGVsbG8="}
    facts = {"name": "told", "flavor_id": "42", "image_id": PUBLIC_IMAGE, "networks": "none"}

    def create(*files: dict[str, str]) -> Server:
        wanted = Server.new(**facts, personality=list(files))
        return wanted.create(sdk.compute, microversion="2.56")

    with pytest.raises(ForbiddenException, match="Personality file limit exceeded"):
        create(file, file)
    sdk.compute.delete_server(create(file).id)
    cloud.silent(cloud.root, "quota", "delete", "--compute", "alpha")


def test_that_there_are_no_volumes_is_said(cloud: Cloud) -> None:
    sdk: Connection = cloud.connect("alice", "alpha")
    volume = "00000000-0000-4000-8000-000000000998"
    assert list(sdk.compute.volume_attachments(ACTIVE)) == []
    with pytest.raises(NotFoundException, match="there is no block storage service"):
        sdk.compute.create_volume_attachment(ACTIVE, volume_id=volume)
    with pytest.raises(NotFoundException, match="is not attached to volume"):
        sdk.compute.delete_volume_attachment(ACTIVE, volume, ignore_missing=False)


def test_a_server_is_locked_reset_and_stopped(cloud: Cloud, alice: dict[str, str]) -> None:
    cloud.silent(alice, "server", "lock", ACTIVE)
    refused = cloud.run(alice, "server", "stop", ACTIVE)
    assert f"Instance {ACTIVE} is locked" in refused.stderr
    cloud.silent(alice, "server", "unlock", ACTIVE)

    root = cloud.login("root", "operations")
    for state, status in (("error", "ERROR"), ("active", "ACTIVE")):
        cloud.silent(root, "server", "set", "--auto-approve", ACTIVE, "--state", state)
        assert cloud.json(alice, "server", "show", ACTIVE)["status"] == status

    # Nobody is there to do it: it has begun, and nothing else may.
    cloud.silent(alice, "server", "reboot", "--hard", ACTIVE)
    assert cloud.json(alice, "server", "show", ACTIVE)["status"] == "HARD_REBOOT"
    for words in (("pause",), ("suspend",), ("stop",), ("reboot",)):
        refused = cloud.run(alice, "server", *words, ACTIVE)
        assert "while it is in task_state rebooting_hard" in refused.stderr
    events = cloud.json(alice, "server", "event", "list", ACTIVE)
    assert events[0]["Action"] == "reboot"


def test_operators_disable_a_hypervisor(cloud: Cloud) -> None:
    root = cloud.login("root", "operations")
    words = ("compute", "service", "set", "host-1", "nova-compute")
    cloud.silent(root, *words, "--disable", "--disable-reason", "new memory")
    [service] = cloud.json(root, "compute", "service", "list", "--long")
    assert (service["Binary"], service["Host"], service["Status"], service["Disabled Reason"]) == (
        "nova-compute",
        "host-1",
        "disabled",
        "new memory",
    )
    cloud.silent(root, *words, "--enable")
    [service] = cloud.json(root, "compute", "service", "list", "--service", "nova-compute")
    assert (service["Status"], service["Zone"]) == ("enabled", "nova")


def test_servers_are_kept_apart(cloud: Cloud, alice: dict[str, str]) -> None:
    made = cloud.json(alice, "server", "group", "create", "--policy", "anti-affinity", "ha")
    assert (made["name"], made["policy"], made["members"]) == ("ha", "anti-affinity", [])
    [listed] = cloud.json(alice, "server", "group", "list")
    assert (listed["Name"], listed["ID"]) == ("ha", made["id"])
    words = ("--flavor", "m1.nano", "--image", "guest", "--network", "private")
    cloud.json(alice, "server", "create", *words, "--server-group", "ha", "apart-1")
    cloud.json(alice, "server", "create", *words, "--hint", f"group={made['id']}", "apart-2")
    sdk: Connection = cloud.connect("alice", "alpha")
    group = sdk.compute.find_server_group("ha", ignore_missing=False)
    assert len(group.member_ids) == 2
    cloud.silent(alice, "server", "group", "delete", "ha")
    assert cloud.json(alice, "server", "group", "list") == []


def test_a_private_flavor_is_lent_to_a_project(cloud: Cloud, alice: dict[str, str]) -> None:
    def names() -> list[str]:
        return [each["Name"] for each in cloud.json(alice, "flavor", "list")]

    root = cloud.login("root", "operations")
    size = ("--ram", "128", "--vcpus", "1", "--disk", "1", "--private", "--project", "alpha")
    cloud.json(root, "flavor", "create", *size, "alphas")
    assert "alphas" in names()
    assert len(cloud.json(root, "flavor", "show", "alphas")["access_project_ids"]) == 1
    cloud.silent(root, "flavor", "unset", "alphas", "--project", "alpha")
    assert "alphas" not in names()
    cloud.silent(root, "flavor", "set", "alphas", "--project", "alpha")
    assert "alphas" in names()
    cloud.silent(root, "flavor", "delete", "alphas")
