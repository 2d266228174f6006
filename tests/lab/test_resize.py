"""A real guest gets another size, sees it, and is given back what it had; then it moves to another
host with its disks."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.guest.machine import make_key
from tests.lab.conftest import Lab
from tests.lab.guests import Guest, let_in
from tests.lab.test_server_actions import done
from tests.lab.test_two_hosts import delete, wait_active
from tests.processes import wait_until

pytestmark = [pytest.mark.lab, pytest.mark.boots, pytest.mark.timeout(600)]

_GIB = 1024**3


@pytest.fixture
def server(lab: Lab, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A small server that one gets into, and the key to it."""
    key = make_key(tmp_path)
    compute = lab.user.compute
    with ExitStack() as undo:
        rule = let_in(lab, "tcp", 22)
        undo.callback(lab.user.network.delete_security_group_rule, rule.id)
        compute.create_keypair(name="resize", public_key=key.with_suffix(".pub").read_text())
        undo.callback(compute.delete_keypair, "resize")
        made = compute.create_server(
            name="elastic",
            image_id=lab.image_id,
            flavor_id=_flavor(lab, "m1.spare", ram=192, disk=1, ephemeral=1),
            networks=[{"uuid": lab.user.network.find_network("private", ignore_missing=False).id}],
            key_name="resize",
        )
        wait_active(lab, made.id)
        yield made.id, key
        delete(lab, made.id)
        assert lab.traces(made.id) == []


def _flavor(lab: Lab, name: str, **sizes: int) -> str:
    flavor_id: str = lab.admin.compute.create_flavor(**{"name": name, "vcpus": 1, **sizes}).id
    return flavor_id


def entered(lab: Lab, server_id: str, key: Path) -> Guest:
    guest = Guest.of(lab, server_id, key)
    wait_until(guest.answers, "the guest to let one in", 120)
    return guest


def size(guest: Guest) -> tuple[bool, int]:
    """Return whether the guest sees more than 300 MiB of memory, and how large its disk is."""
    memory_kib = int(guest.run("awk '/MemTotal/ {print $2}' /proc/meminfo"))
    return memory_kib > 300 * 1024, int(guest.run("cat /sys/block/vda/size")) * 512


def test_guest_sees_its_new_size_and_gets_its_old_disk_back(
    lab: Lab, server: tuple[str, Path]
) -> None:
    server_id, key = server
    compute = lab.user.compute
    flavor_id = _flavor(lab, "m1.elastic", ram=512, vcpus=2, disk=2, ephemeral=1)
    guest = entered(lab, server_id, key)
    assert size(guest) == (False, _GIB)
    guest.run("echo before >/data/mark && sync")

    done(lab, server_id, compute.resize_server, "VERIFY_RESIZE", flavor=flavor_id)

    guest = entered(lab, server_id, key)
    assert size(guest) == (True, 2 * _GIB)
    assert guest.run("nproc") == "2"
    assert guest.run("cat /data/mark") == "before"
    guest.run("echo after >/data/mark && sync")

    done(lab, server_id, compute.revert_server_resize, "ACTIVE")

    guest = entered(lab, server_id, key)
    assert size(guest) == (False, _GIB)
    assert guest.run("cat /data/mark") == "before"
    guest.run("echo spare >/dev/vdb && sync")

    done(lab, server_id, lab.admin.compute.migrate_server, "VERIFY_RESIZE")

    moved = entered(lab, server_id, key)
    assert {guest.host, moved.host} == {"lab-a", "lab-b"}
    assert moved.address == guest.address
    assert (moved.run("cat /data/mark"), moved.run("head -n 1 /dev/vdb")) == ("before", "spare")

    done(lab, server_id, compute.confirm_server_resize, "ACTIVE")

    left = f"{guest.host}: "
    wait_until(
        lambda: not [each for each in lab.traces(server_id) if each.startswith(left)],
        "the former host to be clean",
        30,
    )
    assert entered(lab, server_id, key).run("cat /data/mark") == "before"
    told = [action.action for action in compute.server_actions(server_id)]
    assert told == ["confirmResize", "migrate", "revertResize", "resize", "create"]
