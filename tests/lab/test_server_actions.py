"""What an owner does with a server that runs, by OpenStack's SDK, with a real guest."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from openstack.exceptions import ConflictException

from tests.lab.conftest import Lab
from tests.lab.guests import Guest, let_in
from tests.lab.test_two_hosts import PASSWORD, create, delete, wait_active
from tests.processes import wait_until

pytestmark = [pytest.mark.lab, pytest.mark.boots, pytest.mark.timeout(600)]


@pytest.fixture
def server_id(lab: Lab) -> Any:
    """A server whose guest is up."""
    made = create(lab, "moody")
    wait_active(lab, made)
    yield made
    delete(lab, made)
    assert lab.traces(made) == []


def done(
    lab: Lab, server_id: str, action: Callable[..., object], status: str, **more: Any
) -> float:
    """Do it, wait for its end, and return how many seconds it took."""
    began = time.monotonic()
    action(server_id, **more)
    server = lab.user.compute.get_server(server_id)
    lab.user.compute.wait_for_server(server, status=status, failures=["ERROR"], wait=90, interval=1)
    wait_until(lambda: lab.user.compute.get_server(server_id).task_state is None, "its end", 30)
    return time.monotonic() - began


def boots(lab: Lab, server_id: str) -> int:
    """Return how often the guest has come up, by its console's word."""
    return lab.console(server_id).count("login:")


def test_life_of_a_server(lab: Lab, server_id: str) -> None:
    compute = lab.user.compute
    assert boots(lab, server_id) == 1

    # Its guest stops by itself when it is asked to: the grace is 60 seconds.
    assert done(lab, server_id, compute.stop_server, "SHUTOFF") < 45
    assert compute.get_server(server_id).power_state == 4
    with pytest.raises(ConflictException, match="vm_state stopped"):
        compute.stop_server(server_id)
    done(lab, server_id, compute.start_server, "ACTIVE")
    wait_until(lambda: boots(lab, server_id) == 2, "the second boot", 90)

    assert done(lab, server_id, compute.reboot_server, "ACTIVE", reboot_type="SOFT") < 45
    wait_until(lambda: boots(lab, server_id) == 3, "the third boot", 90)
    done(lab, server_id, compute.reboot_server, "ACTIVE", reboot_type="HARD")
    wait_until(lambda: boots(lab, server_id) == 4, "the fourth boot", 90)

    done(lab, server_id, compute.pause_server, "PAUSED")
    done(lab, server_id, compute.unpause_server, "ACTIVE")
    done(lab, server_id, compute.suspend_server, "SUSPENDED")
    done(lab, server_id, compute.resume_server, "ACTIVE")
    # It went on where it was: nothing has booted since.
    assert boots(lab, server_id) == 4

    another_password_lets_in(lab, server_id)

    shown = compute.get_server_console_output(server_id, length=5)["output"]
    assert len(shown.splitlines()) == 5
    assert "login:" in compute.get_server_console_output(server_id)["output"]

    # From the console's first line on: nothing is left of the guest that was there.
    image_id = compute.get_server(server_id).image.id
    done(lab, server_id, compute.rebuild_server, "ACTIVE", image=image_id)
    assert boots(lab, server_id) == 1

    # Two disks made from one image look alike from the inside: the domain tells them apart.
    done(lab, server_id, compute.rescue_server, "RESCUE", admin_pass="secret")
    wait_until(lambda: boots(lab, server_id) == 2, "the rescue", 90)
    assert lab.disks(server_id) == ["rescue.qcow2", "root.qcow2", "rescue-config.iso"]
    done(lab, server_id, compute.unrescue_server, "ACTIVE")
    assert lab.disks(server_id) == ["root.qcow2", "config.iso"]
    wait_until(lambda: boots(lab, server_id) == 3, "its own boot", 90)

    compute.create_server_interface(server_id)
    wait_until(lambda: lab.interfaces(server_id) == 2, "the interface", 30)
    # Its guest has to let go of it.
    [_, second] = compute.server_interfaces(server_id)
    compute.delete_server_interface(second.port_id, server=server_id)
    wait_until(lambda: lab.interfaces(server_id) == 1, "the interface to be gone", 60)
    wait_until(lambda: len(list(compute.server_interfaces(server_id))) == 1, "its port too", 30)

    told = [action.action for action in compute.server_actions(server_id)]
    assert told == [
        "detach_interface", "attach_interface", "unrescue", "rescue", "rebuild", "changePassword",
        "resume", "suspend", "unpause", "pause", "reboot", "reboot", "start", "stop", "create",
    ]  # fmt: skip


def another_password_lets_in(lab: Lab, server_id: str) -> None:
    """The agent in the guest sets it, and the one before is no good any more."""
    guest, rule = Guest.of(lab, server_id, key=None), let_in(lab, "tcp", 22)
    try:
        wait_until(lambda: guest.lets_in(PASSWORD), "SSH, by the creation's password", 30)
        change, another = lab.user.compute.change_server_password, "Ano:ther $'ß' one"
        done(lab, server_id, change, "ACTIVE", new_password=another)
        assert guest.lets_in(another)
        assert not guest.lets_in(PASSWORD)
    finally:
        lab.user.network.delete_security_group_rule(rule.id)


WRITE = "#!/bin/sh\necho written-by-the-first > /data/mark\nsync\n"
READ = "#!/bin/sh\ncat /data/mark\n"


def test_what_a_guest_wrote_is_in_its_image_and_outlives_shelving(lab: Lab) -> None:
    compute, server_id = lab.user.compute, create(lab, "first", user_data=WRITE)
    wait_active(lab, server_id)

    made = compute.create_server_image(server_id, "copy", wait=True, timeout=120)
    # The guest went on meanwhile.
    assert boots(lab, server_id) == 1
    image = lab.user.image.get_image(made.id)
    assert (image.status, image.visibility, image.min_disk) == ("active", "private", 1)

    second = create(lab, "second", user_data=READ, image_id=made.id)
    wait_active(lab, second)
    assert "written-by-the-first" in lab.console(second)
    delete(lab, second)

    address = compute.get_server(server_id).addresses
    done(lab, server_id, compute.shelve_server, "SHELVED_OFFLOADED")
    assert lab.traces(server_id) == []
    done(lab, server_id, compute.unshelve_server, "ACTIVE")
    assert compute.get_server(server_id).addresses == address
    assert "user-data: not run again for this instance" in lab.console(server_id)
    delete(lab, server_id)
    assert lab.traces(server_id) == []
