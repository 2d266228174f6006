"""What an image may say of itself, and what a killed download leaves."""

import subprocess
from pathlib import Path

import pytest

from tasks.errors import HostBusy, ImageUnusable
from tests.drivers.images import serving
from workers.hypervisor.image_cache import ImageCache


def crafted(directory: Path, *options: str) -> bytes:
    """Return a qcow2 image that refers to another file."""
    (directory / "other.raw").write_bytes(b"\0" * 1024 * 1024)
    path = directory / "crafted.qcow2"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", *options, str(path), "1M"],
        check=True,
        timeout=60,
        cwd=directory,
    )
    return path.read_bytes()


@pytest.mark.parametrize(
    "options", [("-b", "other.raw", "-F", "raw"), ("-o", "data_file=data.raw")]
)
def test_an_image_that_refers_to_a_file_of_the_host_is_refused(
    tmp_path: Path, options: tuple[str, str]
) -> None:
    cache = ImageCache(tmp_path / "cache", tmp_path / "locks", 30)
    with serving(crafted(tmp_path, *options)) as images, pytest.raises(ImageUnusable):
        cache.ensure(images.source())
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_image_that_is_no_qcow2_is_refused(tmp_path: Path) -> None:
    cache = ImageCache(tmp_path / "cache", tmp_path / "locks", 30)
    with serving(b"\x7fELF" + b"\0" * 4096) as images, pytest.raises(ImageUnusable):
        cache.ensure(images.source())


def test_a_raw_image_is_as_large_as_its_file(tmp_path: Path) -> None:
    cache = ImageCache(tmp_path / "cache", tmp_path / "locks", 30)
    with serving(b"\0" * 4096) as images:
        image = images.source(disk_format="raw")
        assert cache.ensure(image).name.endswith(".raw")
    assert cache.virtual_bytes(image) == 4096


def test_the_remains_of_a_killed_download_are_removed(tmp_path: Path, blank_image: bytes) -> None:
    cache = ImageCache(tmp_path / "cache", tmp_path / "locks", 30)
    with serving(blank_image) as images:
        image = images.source()
        (tmp_path / "cache").mkdir()
        remains = tmp_path / "cache" / f".{cache.path(image).name}.abc"
        remains.write_bytes(b"half")
        assert cache.ensure(image).read_bytes() == blank_image
    assert not remains.exists()


def test_another_process_is_waited_for_and_not_for_ever(tmp_path: Path, blank_image: bytes) -> None:
    cache = ImageCache(tmp_path / "cache", tmp_path / "locks", 0.1)
    with serving(blank_image) as images:
        image = images.source()
        (tmp_path / "locks").mkdir()
        lock = tmp_path / "locks" / f"image-{image.sha256}.lock"
        holder = ["flock", "--no-fork", str(lock), "sh", "-c", "echo held; exec sleep 60"]
        with subprocess.Popen(holder, stdout=subprocess.PIPE) as other:
            assert other.stdout is not None
            other.stdout.readline()
            with pytest.raises(HostBusy):
                cache.ensure(image)
            other.kill()
        assert images.requests == 0
        cache.ensure(image)
        assert images.requests == 1
