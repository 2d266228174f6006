"""OpenStack's first-boot files, and the drive that carries them."""

import base64
import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pycdlib
import pytest

from tasks.errors import MalformedMessage
from tasks.messages import PortAddress
from tests.drivers.values import NETWORK, make_first_boot, make_port
from workers.hypervisor.config_drive import LABEL, write_config_drive
from workers.hypervisor.first_boot import VERSIONS, first_boot_files

SEED = b"\x01" * 512


def files(**changes: object) -> dict[str, bytes]:
    """Return the files of a server with one port."""
    fixed = PortAddress(
        subnet_id=NETWORK.subnets[0].subnet_id, address="10.177.0.7", prefix_length=24
    )
    port = make_port().model_copy(update={"addresses": [fixed], "mac": "fa:16:3e:00:00:07"})
    return first_boot_files(
        "server", "project", make_first_boot(**changes), [NETWORK], [port], random_seed=SEED
    )


def read(found: dict[str, bytes], name: str) -> Any:
    """Return the decoded file."""
    return json.loads(found[f"openstack/latest/{name}"])


def test_the_guest_is_told_who_it_is() -> None:
    data = read(files(), "meta_data.json")
    assert data["uuid"] == "server"
    assert data["project_id"] == "project"
    assert (data["hostname"], data["name"]) == ("web-1", "web 1")
    assert data["public_keys"] == {"mine": "ssh-ed25519 AAAA me@here"}
    assert data["keys"] == [{"name": "mine", "type": "ssh", "data": "ssh-ed25519 AAAA me@here"}]
    assert data["meta"] == {"role": "web"}
    assert base64.b64decode(data["random_seed"]) == SEED
    assert "admin_pass" not in data


def test_a_password_is_told_only_if_there_is_one() -> None:
    assert read(files(admin_pass="s3cret"), "meta_data.json")["admin_pass"] == "s3cret"


def test_the_interface_is_known_by_its_mac() -> None:
    data = read(files(), "network_data.json")
    (link,), (network,) = data["links"], data["networks"]
    assert link["ethernet_mac_address"] == "fa:16:3e:00:00:07"
    assert (link["type"], link["mtu"]) == ("phy", 1400)
    assert network["link"] == link["id"]
    assert (network["type"], network["ip_address"]) == ("ipv4", "10.177.0.7")
    assert network["netmask"] == "255.255.255.0"
    assert network["routes"] == [
        {"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "10.177.0.1"}  # noqa: S104
    ]
    assert data["services"] == [{"type": "dns", "address": "9.9.9.9"}]


def test_user_data_arrives_as_it_was_before_base64() -> None:
    script = b"#!/bin/sh\necho \xff\n"
    found = files(user_data=base64.b64encode(script).decode())
    assert found["openstack/latest/user_data"] == script
    assert "openstack/latest/user_data" not in files()


def test_every_version_has_the_same_files() -> None:
    found = files()
    for version in VERSIONS:
        for name in ("meta_data.json", "network_data.json", "vendor_data.json"):
            assert found[f"openstack/{version}/{name}"] == found[f"openstack/latest/{name}"]


def test_user_data_that_is_not_base64_is_malformed() -> None:
    with pytest.raises(MalformedMessage):
        files(user_data="not base64!")


def test_a_port_needs_its_network() -> None:
    with pytest.raises(MalformedMessage):
        first_boot_files("s", "p", make_first_boot(), [], [make_port()], random_seed=SEED)


def test_the_drive_holds_what_was_given(tmp_path: Path) -> None:
    path, given = tmp_path / "drive.iso", files(user_data="aGVsbG8=")
    for _ in range(2):
        write_config_drive(path, given)
    image = pycdlib.PyCdlib()
    image.open(str(path))
    assert image.pvd.volume_identifier.decode().strip() == LABEL
    for name, content in given.items():
        for key in ("rr_path", "joliet_path"):
            found = BytesIO()
            image.get_file_from_iso_fp(found, **{key: f"/{name}"})
            assert found.getvalue() == content
    image.close()
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
