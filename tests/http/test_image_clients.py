"""Images as OpenStack's own command and SDK use them: each command as people type it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from openstack import exceptions

from tests.http.test_identity_clients import Cloud
from tests.http.test_images import qcow2
from tests.http.test_serving import Running
from tests.http.world import ALPHA
from tests.openstack_command import OpenStackCommand
from tests.processes import wait_until

QCOW2 = ("--disk-format", "qcow2", "--container-format", "bare")
FORMATS = {"disk_format": "qcow2", "container_format": "bare"}


@pytest.fixture(scope="module")
def cloud(
    tmp_path_factory: pytest.TempPathFactory, openstack_command: OpenStackCommand
) -> Iterator[Cloud]:
    running = Running(tmp_path_factory.mktemp("images"))
    running.program.start()
    try:
        wait_until(running.answers, "the API", 20)
        yield Cloud(running, openstack_command)
    finally:
        running.program.stop()


@pytest.fixture
def alice(cloud: Cloud) -> dict[str, str]:
    return cloud.login("alice", "alpha")


def names(cloud: Cloud, who: dict[str, str], *words: str) -> list[str]:
    """Return the names of the images that a list has."""
    return [image["Name"] for image in cloud.json(who, "image", "list", *words)]


def test_an_image_is_uploaded_found_saved_and_deleted(
    cloud: Cloud, alice: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "disk.qcow2"
    file.write_bytes(qcow2())

    made = cloud.json(
        alice,
        *("image", "create", "disk", "--file", str(file), *QCOW2, "--min-disk", "1"),
        *("--property", "os_distro=debian", "--tag", "base", "--tag", "old", "--protected"),
    )

    assert (made["owner"], made["min_disk"], made["protected"]) == (ALPHA, 1, True)
    shown = cloud.json(alice, "image", "show", "disk")
    assert (shown["status"], shown["size"], sorted(shown["tags"])) == (
        "active",
        file.stat().st_size,
        ["base", "old"],
    )
    assert shown["checksum"] == hashlib.md5(qcow2(), usedforsecurity=False).hexdigest()
    for words in (
        ("--private", "--name", "disk"),
        ("--status", "active", "--tag", "base", "--tag", "old"),
        ("--property", "os_distro=debian", "--long"),
        ("--sort", "name:asc", "--private", "--limit", "1"),
    ):
        assert names(cloud, alice, *words) == ["disk"]
    assert cloud.run(alice, "image", "delete", "disk").returncode != 0
    copy = tmp_path / "copy"
    cloud.silent(alice, "image", "save", "disk", "--file", str(copy))
    assert copy.read_bytes() == qcow2()
    cloud.silent(alice, "image", "set", "disk", "--unprotected")
    cloud.silent(alice, "image", "delete", "disk")
    assert "disk" not in names(cloud, alice)


def test_an_image_is_set_and_unset(cloud: Cloud, alice: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "disk.qcow2"
    file.write_bytes(qcow2())
    cloud.silent(
        alice, "image", "create", "draft", "--file", str(file), *QCOW2, "--property", "a=1"
    )

    cloud.silent(
        alice,
        *("image", "set", "draft", "--name", "final", "--min-ram", "256", "--hidden"),
        *("--property", "hw_disk_bus=scsi", "--tag", "x", "--tag", "y"),
    )

    shown = cloud.json(alice, "image", "show", "final")
    assert (shown["min_ram"], sorted(shown["tags"])) == (256, ["x", "y"])
    assert shown["properties"]["hw_disk_bus"] == "scsi"
    assert shown["properties"]["os_hidden"] is True
    assert names(cloud, alice, "--hidden") == ["final"]
    cloud.silent(alice, "image", "unset", "final", "--property", "a", "--tag", "x")
    cloud.silent(alice, "image", "set", "final", "--unhidden", "--deactivate")
    shown = cloud.json(alice, "image", "show", "final")
    assert (shown["tags"], shown["status"]) == (["y"], "deactivated")
    assert shown["properties"]["os_hidden"] is False
    assert "a" not in shown["properties"]
    refused = cloud.run(alice, "image", "save", "final", "--file", str(tmp_path / "no"))
    assert refused.returncode != 0
    cloud.silent(alice, "image", "set", "final", "--activate")
    cloud.silent(alice, "image", "save", "final", "--file", str(tmp_path / "yes"))
    assert (tmp_path / "yes").read_bytes() == qcow2()
    assert "publicize_image" in cloud.run(alice, "image", "set", "final", "--public").stderr
    cloud.silent(cloud.root, "image", "set", "final", "--public")
    assert "final" in names(cloud, cloud.login("bob", "beta"), "--public")
    cloud.silent(cloud.root, "image", "delete", "final")


def test_what_there_is_not_is_refused(cloud: Cloud, alice: dict[str, str]) -> None:
    for words in (("--shared",), ("--community",)):
        refused = cloud.run(alice, "image", "create", "no", *words)
        assert refused.returncode != 0
        assert "visibility" in refused.stderr
    assert cloud.json(alice, "image", "import", "info")["import-methods"] == []
    assert cloud.run(alice, "image", "import", "later", "--method", "web-download").returncode != 0


def test_the_sdk_does_the_same(cloud: Cloud) -> None:
    with cloud.connect("alice", "alpha") as conn:
        image: Any = conn.image
        data = qcow2()
        made = [image.create_image("n0", data=data, tags=["sdk"], **FORMATS)]
        made += [image.create_image(f"n{at}", tags=["sdk"]) for at in (1, 2)]
        first = image.get_image(made[0])
        assert (first.status, first.size) == ("active", len(data))
        assert first.hash_algo == "sha512"
        assert first.hash_value == hashlib.sha512(data).hexdigest()
        assert image.download_image(first).content == data

        paged = image.images(limit=1, tag=["sdk"], sort="created_at:asc")
        assert [each.id for each in paged] == [each.id for each in made]
        sized = image.images(size_min=len(data), size_max=len(data), tag=["sdk"])
        assert [each.id for each in sized] == [first.id]
        at = first.created_at
        assert list(image.images(created_at=f"lt:{at}", name="n0")) == []
        assert [each.id for each in image.images(created_at=f"gte:{at}", name="n0")] == [first.id]

        image.add_tag(first, "more")
        image.remove_tag(first, "sdk")
        assert image.get_image(first).tags == ["more"]
        image.deactivate_image(first)
        # It does not look at the status: the refusal is not what the digest is of.
        with pytest.raises(exceptions.SDKException):
            image.download_image(first)
        image.reactivate_image(first)
        assert image.update_image(first, visibility="private", min_ram=64).min_ram == 64
        assert list(image.image_tasks(first)) == []
        assert image.get_image_schema().properties["status"]["readOnly"] is True
        assert "images" in image.get_images_schema().properties
        for each in made:
            image.delete_image(each)
        assert image.find_image("n0") is None


@pytest.mark.parametrize(
    ("asked", "part", "told"),
    [
        ("bytes=0-9", slice(0, 10), "bytes 0-9/65536"),
        ("bytes=65530-", slice(65530, None), "bytes 65530-65535/65536"),
        ("bytes=-4", slice(-4, None), "bytes 65532-65535/65536"),
    ],
)
def test_parts_of_an_image_are_downloaded(cloud: Cloud, asked: str, part: slice, told: str) -> None:
    with cloud.connect("alice", "alpha") as conn:
        image: Any = conn.image
        made = image.create_image("ranged", data=qcow2(), **FORMATS)
        url = f"{cloud.running.url}/image/v2/images/{made.id}/file"
        token = {"X-Auth-Token": conn.auth_token}

        got = requests.get(url, headers={**token, "Range": asked}, timeout=10)
        whole = requests.get(url, headers=token, timeout=10)

        assert (got.status_code, got.content) == (206, qcow2()[part])
        assert got.headers["Content-Range"] == told
        assert "Content-MD5" not in got.headers
        assert (whole.status_code, whole.headers["Content-Length"]) == (200, "65536")
        assert whole.headers["Content-MD5"] == image.get_image(made).checksum
        assert whole.headers["Content-Type"] == "application/octet-stream"
        image.delete_image(made)
