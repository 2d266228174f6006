"""A host falls silent: its server is made anew on the other one, and what the first one has of it
goes when that is back."""

import pytest

from tests.lab.conftest import Lab
from tests.lab.test_server_actions import done
from tests.lab.test_two_hosts import create, delete, wait_active
from tests.processes import wait_until

pytestmark = [pytest.mark.lab, pytest.mark.boots, pytest.mark.timeout(600)]


def silent(lab: Lab, host: str) -> bool:
    """Say whether the host is not heard of any more."""
    found = lab.admin.compute.hypervisors(details=True)
    return ("down", host) in {(each.state, each.name) for each in found}


def test_server_of_a_silent_host_is_made_anew_on_the_other_one(lab: Lab) -> None:
    server_id = create(lab, "survivor")
    wait_active(lab, server_id)
    before = lab.user.compute.get_server(server_id)
    host = lab.admin.compute.get_server(server_id).compute_host
    lab.workers[host].stop()
    wait_until(lambda: silent(lab, host), "the host to be silent", 30)

    done(lab, server_id, lab.admin.compute.evacuate_server, "ACTIVE")

    after = lab.user.compute.get_server(server_id)
    assert after.addresses == before.addresses
    assert lab.admin.compute.get_server(server_id).compute_host != host
    # It cannot be told from here whether that one's guest still runs.
    assert any(each.startswith(host) for each in lab.traces(server_id))

    lab.workers[host].start()
    wait_until(
        lambda: not any(each.startswith(host) for each in lab.traces(server_id)),
        "the first host to be clean",
        60,
    )
    assert lab.user.compute.get_server(server_id).status == "ACTIVE"
    delete(lab, server_id)
    assert lab.traces(server_id) == []
