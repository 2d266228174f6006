"""Two hypervisors, real guests: each host's worker runs only its own tasks, a stopped one harms
nobody, and deleting leaves nothing on the host."""

import base64

import pytest
from openstack.exceptions import ResourceNotFound

from tests.lab.conftest import Lab
from tests.processes import wait_until

pytestmark = [pytest.mark.lab, pytest.mark.boots, pytest.mark.timeout(600)]

COMPUTE_STAGES = ["build_resources", "define_domain", "launch", "poll_boot"]
#: Of each server's root, from its creation on.
PASSWORD = "of-the-creation"


def create(lab: Lab, name: str, *, image_id: str | None = None, user_data: str = "") -> str:
    server = lab.user.compute.create_server(
        name=name,
        image_id=image_id or lab.image_id,
        user_data=base64.b64encode(user_data.encode()).decode() or None,
        admin_password=PASSWORD,
        flavor_id=lab.user.compute.find_flavor("m1.nano", ignore_missing=False).id,
        networks=[{"uuid": lab.user.network.find_network("private", ignore_missing=False).id}],
    )
    server_id: str = server.id
    return server_id


def wait_active(lab: Lab, server_id: str) -> None:
    lab.user.compute.wait_for_server(lab.user.compute.get_server(server_id), wait=180, interval=0.5)


def delete(lab: Lab, server_id: str) -> None:
    server = lab.user.compute.get_server(server_id)
    lab.user.compute.delete_server(server)
    lab.user.compute.wait_for_delete(server, interval=0.3, wait=60)
    with pytest.raises(ResourceNotFound):
        lab.user.compute.get_server(server_id)


def workers_of(lab: Lab, server_id: str) -> set[str]:
    stages = lab.stages_of(server_id)
    return {stages[name]["worker"] for name in COMPUTE_STAGES}


def test_server_on_each_host_is_built_by_that_hosts_worker_alone(lab: Lab) -> None:
    servers = [create(lab, "one"), create(lab, "two")]
    for server_id in servers:
        wait_active(lab, server_id)

    hosts = [lab.run_of(server_id)["host"] for server_id in servers]
    assert sorted(hosts) == ["lab-a", "lab-b"]
    for server_id, host in zip(servers, hosts, strict=True):
        assert workers_of(lab, server_id) == {f"compute@{host}"}
        other = "lab-b" if host == "lab-a" else "lab-a"
        assert server_id in lab.byre.logs(f"compute-{host}")
        assert server_id not in lab.byre.logs(f"compute-{other}")

    for server_id, host in zip(servers, hosts, strict=True):
        assert lab.traces(server_id)
        (address,) = lab.user.compute.get_server(server_id).addresses["private"]
        assert address["addr"] in lab.dhcp_entries(host)
        delete(lab, server_id)
        assert lab.traces(server_id) == []
        assert address["addr"] not in lab.dhcp_entries(host)
        assert lab.filters(host) == []


def test_stopped_hosts_server_waits_while_the_others_boot(lab: Lab) -> None:
    lab.workers["lab-a"].stop()
    # Until the silence limit, the stopped host still is chosen: that server has to wait.
    for service in lab.admin.compute.hypervisors(details=True):
        assert service.state == "up"
    servers = [create(lab, "left"), create(lab, "right")]
    wait_until(lambda: all(lab.run_of(s)["host"] for s in servers), "both to be scheduled", 20)
    by_host = {lab.run_of(server_id)["host"]: server_id for server_id in servers}
    assert sorted(by_host) == ["lab-a", "lab-b"]

    wait_active(lab, by_host["lab-b"])
    assert lab.stages_of(by_host["lab-a"])["build_resources"]["state"] == "queued"
    assert lab.user.compute.get_server(by_host["lab-a"]).status == "BUILD"

    # Silent for long enough, it gets nothing new.
    third = create(lab, "third")
    wait_active(lab, third)
    assert lab.run_of(third)["host"] == "lab-b"

    lab.workers["lab-a"].start()
    wait_active(lab, by_host["lab-a"])
    assert workers_of(lab, by_host["lab-a"]) == {"compute@lab-a"}
    for server_id in [*servers, third]:
        delete(lab, server_id)
        assert lab.traces(server_id) == []


def test_delete_while_the_guest_boots_leaves_nothing(lab: Lab) -> None:
    server_id = create(lab, "short-lived")
    wait_until(
        lambda: lab.stages_of(server_id)["poll_boot"]["state"] == "running", "the guest's start", 60
    )
    host = lab.run_of(server_id)["host"]
    assert lab.traces(server_id)

    delete(lab, server_id)

    assert lab.traces(server_id) == []
    assert lab.filters(host) == []
