"""Extra disks as the files that they are."""

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import HostError, HostFull, ImageUnusable
from tasks.messages import ImageSource
from tests.drivers.images import serving
from tests.drivers.values import Server
from workers.hypervisor.image_cache import ImageCache
from workers.hypervisor.libvirt.extra_disks import ExtraDisks

EXTRA = {"ephemeral_gib": 4, "swap_mib": 64}


@pytest.fixture
def image() -> Iterator[ImageSource]:
    with serving(b"any") as images:
        yield images.source()


def make_extra(directory: Path) -> ExtraDisks:
    cache = ImageCache(directory / "pool", directory / "locks", 30)
    return ExtraDisks(directory / "pool", cache)


def make(directory: Path, server: Server, **changes: Any) -> list[Path]:
    """Have the server's extra disks; return where they are."""
    image = server.image.model_copy(update=changes)
    disks = make_extra(directory).ensure(server.server_id, image, server.machine_spec())
    return [Path(disk.path) for disk in disks]


def signature(path: Path) -> dict[str, str]:
    """Return what blkid finds in the file."""
    told = subprocess.run(
        ["/usr/sbin/blkid", "-p", "-o", "export", str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    ).stdout
    return dict(line.split("=", 1) for line in told.splitlines() if "=" in line)


def test_a_file_system_and_a_swap_area_are_there_and_take_no_room(
    tmp_path: Path, image: ImageSource
) -> None:
    ephemeral, swap = make(tmp_path, Server(image, machine=EXTRA))
    assert (signature(ephemeral)["TYPE"], signature(ephemeral)["LABEL"]) == ("ext4", "ephemeral0")
    assert (signature(swap)["TYPE"], signature(swap)["LABEL"]) == ("swap", "swap")
    assert (ephemeral.stat().st_size, swap.stat().st_size) == (4 * 1024**3, 64 * 1024**2)
    for path in (ephemeral, swap):
        assert path.stat().st_blocks * 512 < 64 * 1024**2
        assert path.stat().st_mode & 0o077 == 0


def test_windows_gets_an_empty_disk(tmp_path: Path, image: ImageSource) -> None:
    machine = {"ephemeral_gib": 1, "hardware": {"os_type": "windows"}}
    (ephemeral,) = make(tmp_path, Server(image, machine=machine))
    assert signature(ephemeral) == {}
    assert ephemeral.stat().st_blocks == 0


def test_what_the_guest_wrote_is_kept(tmp_path: Path, image: ImageSource) -> None:
    server = Server(image, machine=EXTRA)
    before = make(tmp_path, server)
    for path in before:
        with path.open("r+b") as file:
            file.write(b"the guest's")
    assert make(tmp_path, server) == before
    for path in before:
        with path.open("rb") as file:
            assert file.read(11) == b"the guest's"


def test_a_disk_that_a_death_left_unfinished_is_not_taken_for_one(
    tmp_path: Path, image: ImageSource
) -> None:
    server = Server(image, machine=EXTRA)
    pool = tmp_path / "pool"
    pool.mkdir()
    (pool / f".{server.server_id}.swap.raw.abc123").write_bytes(b"half")
    assert all(signature(path) for path in make(tmp_path, server))


def test_side_by_side_they_are_made_whole(tmp_path: Path, image: ImageSource) -> None:
    server = Server(image, machine=EXTRA)
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: make(tmp_path, server), range(4)))
    assert made == made[:1] * 4
    assert all(signature(path) for path in made[0])
    assert sorted((tmp_path / "pool").iterdir()) == sorted(made[0])


def test_a_disc_stays_when_the_cache_lets_go_of_it(tmp_path: Path, image: ImageSource) -> None:
    cached = ImageCache(tmp_path / "pool", tmp_path / "locks", 30).path(
        image.model_copy(update={"disk_format": "iso"})
    )
    server = Server(image)
    with pytest.raises(HostError, match="not in the host's cache"):
        make(tmp_path, server, disk_format="iso")
    cached.write_bytes(b"disc")
    (disc,) = make(tmp_path, server, disk_format="iso")
    cached.unlink()
    assert make(tmp_path, server, disk_format="iso") == [disc]
    assert disc.read_bytes() == b"disc"


def test_an_empty_root_disk_has_the_flavors_size(tmp_path: Path, image: ImageSource) -> None:
    server_id = Server(image).server_id
    root = make_extra(tmp_path).ensure_blank_root(server_id, 3)
    told = subprocess.run(
        ["qemu-img", "info", root.path], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    assert "virtual size: 3 GiB" in told
    assert "backing file" not in told
    assert make_extra(tmp_path).ensure_blank_root(server_id, 3) == root
    with pytest.raises(ImageUnusable):
        make_extra(tmp_path).ensure_blank_root(server_id, 0)


def test_a_host_without_the_tool_says_which(
    tmp_path: Path, image: ImageSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.hypervisor.libvirt.extra_disks._MAKE_SWAP", ("mkswap-of-nobody",))
    with pytest.raises(HostError, match="lacks the program mkswap-of-nobody"):
        make(tmp_path, Server(image, machine={"swap_mib": 1}))
    assert list((tmp_path / "pool").iterdir()) == []


@pytest.mark.lab
def test_a_full_host_is_told_as_such_and_keeps_no_half_disk(
    tmp_path: Path, image: ImageSource
) -> None:
    pool = tmp_path / "pool"
    pool.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(pool)], check=True)
    try:
        with pytest.raises(HostFull):
            make(tmp_path, Server(image, machine=EXTRA))
        assert list(pool.iterdir()) == []
    finally:
        subprocess.run(["umount", str(pool)], check=True)
