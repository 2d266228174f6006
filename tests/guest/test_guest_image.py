"""The guest image: it is built, boots without KVM, and does what its config drive says."""

import base64
import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guest.machine import (
    AS_SCSI_CDROM,
    Machine,
    make_config_drive,
    make_key,
    make_overlay,
)

BUILD = Path(__file__).parents[2] / "guest" / "build"
USER_DATA = """#!/bin/bash
echo "told by user data on $(hostname)"
echo kept >>/data/runs
exit 3
"""

pytestmark = pytest.mark.boots


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's SSH key."""
    return make_key(tmp_path_factory.mktemp("key"))


@pytest.fixture(scope="module")
def guest(
    guest_image: Path, key: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    """A guest that has a config drive and shows its login prompt."""
    directory = tmp_path_factory.mktemp("guest")
    meta = {
        "uuid": "3f0d1c52-6f5e-4f3e-9d5e-0e6f3f8f6a11",
        "hostname": "web-1.byre.example",
        "public_keys": {"mine": key.with_suffix(".pub").read_text()},
        "files": [{"content_path": "/content/0000", "path": "/srv/a dir/it's"}],
    }
    drive = make_config_drive(directory, meta, USER_DATA, content="from a file")
    with Machine(make_overlay(guest_image, directory), drive) as machine:
        machine.wait_for_login()
        yield machine


def test_the_console_tells_the_first_boot(guest: Machine) -> None:
    lines = guest.console().splitlines()
    assert "byre-guest: hostname web-1" in lines
    assert "byre-guest: ssh keys: 1" in lines
    assert "byre-guest: address 10.0.2.15/24 on eth0" in lines


def test_the_login_prompt_comes_after_user_data(guest: Machine) -> None:
    console = guest.console()
    told = console.index("told by user data on web-1")
    finished = console.index("byre-guest: user-data finished: exit 3")
    assert told < finished < console.index("web-1 login:")


def test_files_are_where_they_are_to_be(guest: Machine, key: Path) -> None:
    result = guest.ssh("root", key, """cat "/srv/a dir/it's"; stat -c %a /srv/*/*""")
    assert result.stdout == "from a file660\n"


@pytest.mark.parametrize("user", ["root", "byre"])
def test_the_key_opens_ssh(guest: Machine, key: Path, user: str) -> None:
    result = guest.ssh(user, key, "id -un; hostname; cat /var/log/user-data.log")
    assert result.stdout.split("\n") == [user, "web-1", "told by user data on web-1", ""]


def test_another_key_does_not_open_ssh(guest: Machine, tmp_path: Path) -> None:
    result = guest.ssh("root", make_key(tmp_path), "true")
    assert result.returncode == 255
    # The server offers keys alone: no password was set.
    assert "Permission denied (publickey)." in result.stderr


def test_no_user_has_a_password(guest: Machine, key: Path) -> None:
    result = guest.ssh("root", key, "cut -d: -f1,2 /etc/shadow")
    assert result.stdout == "root:*\nbyre:*\n"


def test_the_guest_agent_answers(guest: Machine) -> None:
    assert guest.ask_agent("guest-ping") == {}
    assert guest.ask_agent("guest-get-host-name") == {"host-name": "web-1"}


def test_the_guest_agent_freezes_the_data(guest: Machine) -> None:
    assert guest.ask_agent("guest-fsfreeze-freeze") == 1
    assert guest.ask_agent("guest-fsfreeze-thaw") == 1


def test_the_guest_agent_sets_a_password(guest: Machine, key: Path) -> None:
    password = base64.b64encode(rb"a:b$c\d").decode()
    guest.ask_agent("guest-set-user-password", username="byre", password=password, crypted=False)
    try:
        check = r"""printf '%s\n' 'a:b$c\d' | mkpasswd -P 0 -m sha512 -S "$SALT" """
        hashed = guest.ssh("root", key, "grep ^byre: /etc/shadow | cut -d: -f2").stdout.strip()
        salt = hashed.split("$")[2]
        assert guest.ssh("root", key, f"SALT='{salt}'; {check}").stdout.strip() == hashed
    finally:
        guest.ssh("root", key, "echo 'byre:*' | chpasswd -e")


def test_user_data_runs_once_for_an_instance(guest_image: Path, key: Path, tmp_path: Path) -> None:
    meta = {"uuid": "one", "public_keys": {"mine": key.with_suffix(".pub").read_text()}}
    drive = make_config_drive(tmp_path, meta, USER_DATA)
    disk = make_overlay(guest_image, tmp_path)
    with Machine(disk, drive) as machine:
        machine.wait_for_login()
        first = machine.ssh("root", key, "cat /data/runs")
        machine.press_power_button()
    with Machine(disk, drive) as machine:
        machine.wait_for_login()
        # The host key is the same too, or ssh would refuse.
        again = machine.ssh("root", key, "cat /data/runs")
        assert "byre-guest: user-data: not run again for this instance" in machine.console()
    assert first.stdout == again.stdout == "kept\n"


def test_a_cdrom_with_cloud_config_and_a_password(guest_image: Path, tmp_path: Path) -> None:
    meta = {"uuid": "two", "hostname": "db", "admin_pass": r"s3$cr\et"}
    drive = make_config_drive(tmp_path, meta, "#cloud-config\npackages: []\n")
    with Machine(make_overlay(guest_image, tmp_path), drive, AS_SCSI_CDROM) as machine:
        machine.wait_for_login()
        console = machine.console()
        refused = machine.ssh("root", make_key(tmp_path), "true").stderr
    assert "byre-guest: user-data: this guest does not read cloud-config" in console
    assert "byre-guest: root has the password of the config drive" in console
    assert "Permission denied (publickey,password)." in refused


def test_it_boots_without_a_config_drive(guest_image: Path, tmp_path: Path) -> None:
    with Machine(make_overlay(guest_image, tmp_path)) as machine:
        assert machine.wait_for_login() < 30
    assert "byre-guest: no config drive" in machine.console()
    assert "byre-guest login:" in machine.console()


def test_the_same_packages_give_the_same_image(tmp_path: Path) -> None:
    images = [tmp_path / "one.qcow2", tmp_path / "other.qcow2"]
    builds = [subprocess.Popen([BUILD, image, "--kernel-out", f"{image}.k"]) for image in images]
    assert [build.wait(120) for build in builds] == [0, 0]
    one, other = (hashlib.sha256(image.read_bytes()).hexdigest() for image in images)
    assert one == other
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "one.qcow2",
        "one.qcow2.k",
        "other.qcow2",
        "other.qcow2.k",
    ]


def test_a_missing_tool_is_named(tmp_path: Path) -> None:
    for tool in ("bash", "dirname", "apt-get"):
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}")
    result = subprocess.run(
        [BUILD, tmp_path / "guest.qcow2"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr == "guest/build: missing tool cpio (Debian package cpio)\n"
