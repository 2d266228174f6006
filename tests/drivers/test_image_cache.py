"""The host's image cache: one download for all, gone on with, verified, in place at once."""

import os
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tasks.errors import DownloadFailed, HostBusy, HostError, HostFull, ImageCorrupt, ImageUnusable
from tasks.messages import ImageSource
from tests.drivers.images import serving
from workers.hypervisor.image_cache import CacheFormat, CacheRules, ImageCache
from workers.hypervisor.qcow2 import read_header

MIB = 1024 * 1024
GIB = 1024 * MIB
#: Bytes that no piece of equals another, and that nothing takes for a format.
PATTERN = b"".join(number.to_bytes(8, "big") for number in range(MIB // 2))


def make_cache(directory: Path, limit_s: float = 30, **rules: object) -> ImageCache:
    quick = CacheRules(**{"retry_pause_s": 0.01, "floor_bytes": 0, **rules})  # type: ignore[arg-type]
    return ImageCache(directory / "cache", directory / "state", limit_s, rules=quick)


def there(directory: Path) -> list[str]:
    return sorted(path.name for path in (directory / "cache").iterdir())


def partial_of(directory: Path, image: ImageSource) -> Path:
    return directory / "cache" / f".image-{image.sha256}.{image.disk_format}.part"


def make_qcow2(directory: Path, *options: str, size: str = "1M", name: str = "crafted") -> bytes:
    """Return a qcow2 image made with these options of qemu-img."""
    (directory / "other.raw").write_bytes(b"\0" * MIB)
    path = directory / f"{name}.qcow2"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", *options, str(path), size],
        check=True,
        timeout=60,
        cwd=directory,
    )
    return path.read_bytes()


def make_iso(directory: Path) -> bytes:
    """Return a disc with one file on it."""
    import pycdlib

    disc = pycdlib.PyCdlib()
    disc.new(interchange_level=3, joliet=3)
    (directory / "readme").write_text("install me")
    disc.add_file(str(directory / "readme"), "/README.;1", joliet_path="/readme")
    disc.write(str(directory / "disc.iso"))
    disc.close()
    return (directory / "disc.iso").read_bytes()


# --- one download for all ------------------------------------------------------------------------


def test_twenty_builds_at_once_read_the_image_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(PATTERN) as images, ThreadPoolExecutor(20) as threads:
        images.manner = "slow"
        image = images.source(disk_format="raw")
        caches = [make_cache(tmp_path) for _ in range(4)]
        found = list(threads.map(lambda n: caches[n % 4].ensure(image), range(20)))
    with capsys.disabled():
        print(f"\n20 builds, {images.requests} request, {images.sent_bytes} bytes sent")
    assert {path.read_bytes() for path in found} == {PATTERN}
    assert (images.requests, images.sent_bytes) == (1, len(PATTERN))
    assert there(tmp_path) == [found[0].name]


def test_two_processes_read_the_image_once(tmp_path: Path) -> None:
    program = f"""
        import pathlib, sys
        from concurrent.futures import ThreadPoolExecutor
        from tasks.messages import ImageSource
        from tests.drivers.test_image_cache import make_cache
        image = ImageSource.model_validate_json(sys.stdin.read())
        cache = make_cache(pathlib.Path({str(tmp_path)!r}))
        with ThreadPoolExecutor(10) as threads:
            list(threads.map(cache.ensure, [image] * 10))
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    with serving(PATTERN) as images:
        images.manner = "slow"
        spoken = images.source(disk_format="raw").model_dump_json()
        others = [subprocess.Popen(command, stdin=subprocess.PIPE, text=True) for _ in range(2)]
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda other: other.communicate(spoken, timeout=60), others))
    assert [other.returncode for other in others] == [0, 0]
    assert (images.requests, images.sent_bytes) == (1, len(PATTERN))


def test_another_process_is_waited_for_and_not_for_ever(tmp_path: Path, blank_image: bytes) -> None:
    cache = make_cache(tmp_path, limit_s=0.1)
    with serving(blank_image) as images:
        image = images.source()
        (tmp_path / "state").mkdir()
        lock = tmp_path / "state" / f"image-{image.sha256}.lock"
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


# --- broken connections --------------------------------------------------------------------------


def test_broken_connections_are_gone_on_with(tmp_path: Path) -> None:
    with serving(PATTERN) as images:
        images.manner, images.break_after = "breaks", MIB + 17
        path = make_cache(tmp_path).ensure(images.source(disk_format="raw"))
    assert path.read_bytes() == PATTERN
    assert images.sent_bytes == len(PATTERN)
    assert images.offsets == [0, MIB + 17, 2 * (MIB + 17), 3 * (MIB + 17)]


def test_the_next_process_goes_on_where_the_last_one_was_killed(tmp_path: Path) -> None:
    with serving(PATTERN) as images:
        images.manner, images.break_after = "breaks", MIB
        image = images.source(disk_format="raw")
        with pytest.raises(DownloadFailed):
            make_cache(tmp_path, limit_s=0).ensure(image)
        kept = partial_of(tmp_path, image).stat().st_size
        assert 0 < kept < len(PATTERN)
        images.manner = "well"
        path = make_cache(tmp_path).ensure(image)
    assert images.offsets[-1] == kept
    assert path.read_bytes() == PATTERN
    assert there(tmp_path) == [path.name]


def test_a_process_that_is_killed_leaves_what_the_next_one_goes_on_with(tmp_path: Path) -> None:
    program = f"""
        import pathlib, sys
        from tasks.messages import ImageSource
        from tests.drivers.test_image_cache import make_cache
        image = ImageSource.model_validate_json(sys.stdin.read())
        make_cache(pathlib.Path({str(tmp_path)!r})).ensure(image)
    """
    with serving(PATTERN) as images:
        images.manner = "slow"
        image = images.source(disk_format="raw")
        command = [sys.executable, "-c", textwrap.dedent(program)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as other:
            assert other.stdin is not None
            other.stdin.write(image.model_dump_json())
            other.stdin.close()
            partial, end = partial_of(tmp_path, image), time.monotonic() + 30
            while not (partial.exists() and partial.stat().st_size) and time.monotonic() < end:
                time.sleep(0.002)
            other.kill()
        kept = partial.stat().st_size
        assert 0 < kept < len(PATTERN)
        assert not make_cache(tmp_path).path(image).exists()
        images.manner = "well"
        path = make_cache(tmp_path).ensure(image)
    assert images.offsets == [0, kept]
    assert path.read_bytes() == PATTERN
    assert there(tmp_path) == [path.name]


def test_a_server_that_brings_nothing_is_asked_a_few_times_only(tmp_path: Path) -> None:
    with serving(PATTERN) as images:
        images.manner = "error"
        with pytest.raises(DownloadFailed):
            make_cache(tmp_path).ensure(images.source())
        assert images.requests == 4
        assert there(tmp_path) == []


@pytest.mark.parametrize("manner", ["whole", "askew", "no_part", "chunked"])
def test_a_server_without_ranges_is_read_from_the_beginning(tmp_path: Path, manner: str) -> None:
    with serving(PATTERN) as images:
        image = images.source(disk_format="raw")
        (tmp_path / "cache").mkdir()
        partial_of(tmp_path, image).write_bytes(PATTERN[:MIB])
        images.manner = manner  # type: ignore[assignment]
        assert make_cache(tmp_path).ensure(image).read_bytes() == PATTERN
        assert images.offsets[-1] == 0


def test_a_part_of_another_edition_is_not_gone_on_with(tmp_path: Path) -> None:
    with serving(PATTERN) as images:
        images.manner, images.break_after = "breaks", MIB
        image = images.source(disk_format="raw")
        with pytest.raises(DownloadFailed):
            make_cache(tmp_path, limit_s=0).ensure(image)
        images.manner, images.etag = "well", '"another"'
        assert make_cache(tmp_path).ensure(image).read_bytes() == PATTERN
    assert images.offsets[-1] == 0


@pytest.mark.parametrize("there_before", [PATTERN[:MIB][::-1], PATTERN[::-1], PATTERN + b"more"])
def test_a_bad_partial_file_costs_one_download(tmp_path: Path, there_before: bytes) -> None:
    """Its bytes are part of what is verified; they are not the server's fault."""
    with serving(PATTERN) as images:
        image = images.source(disk_format="raw")
        (tmp_path / "cache").mkdir()
        partial_of(tmp_path, image).write_bytes(there_before)
        assert make_cache(tmp_path).ensure(image).read_bytes() == PATTERN


def test_a_whole_partial_file_needs_no_download(tmp_path: Path) -> None:
    with serving(PATTERN) as images:
        image = images.source(disk_format="raw")
        (tmp_path / "cache").mkdir()
        partial_of(tmp_path, image).write_bytes(PATTERN)
        assert make_cache(tmp_path).ensure(image).read_bytes() == PATTERN
    assert images.requests == 0


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("manner", "changes"),
    [
        ("well", {"sha256": "0" * 64}),
        ("chunked", {"sha256": "0" * 64}),
        ("well", {"size_bytes": 100}),
        ("chunked", {"size_bytes": 100}),
        ("endless", {}),
        ("short", {}),
    ],
)
def test_what_was_not_promised_is_refused_and_leaves_nothing(
    tmp_path: Path, manner: str, changes: dict[str, object]
) -> None:
    cache = make_cache(tmp_path)
    with serving(PATTERN) as images:
        images.manner = manner  # type: ignore[assignment]
        with pytest.raises(ImageCorrupt) as caught:
            cache.ensure(images.source(disk_format="raw", **changes))
    assert there(tmp_path) == []
    assert images.sent_bytes < 4 * len(PATTERN)
    assert "secret" not in repr(vars(caught.value))
    (listed,) = cache.listed()
    assert (listed.state, listed.reason) == ("failed", caught.value.public)


@pytest.mark.parametrize(
    "options", [("-b", "other.raw", "-F", "raw"), ("-o", "data_file=data.raw")]
)
@pytest.mark.parametrize("stored_as", ["as_is", "raw"])
def test_an_image_that_refers_to_a_file_of_the_host_is_refused(
    tmp_path: Path, options: tuple[str, str], stored_as: CacheFormat
) -> None:
    cache = make_cache(tmp_path, stored_as=stored_as)
    with serving(make_qcow2(tmp_path, *options)) as images, pytest.raises(ImageUnusable):
        cache.ensure(images.source())
    assert there(tmp_path) == []


@pytest.mark.parametrize("said", ["raw", "iso"])
def test_a_qcow2_image_that_is_said_to_be_another_is_refused(tmp_path: Path, said: str) -> None:
    """A tool that guessed would believe its header."""
    with serving(make_qcow2(tmp_path)) as images, pytest.raises(ImageUnusable):
        make_cache(tmp_path).ensure(images.source(disk_format=said))
    assert there(tmp_path) == []


@pytest.mark.parametrize("said", ["qcow2", "iso"])
def test_an_image_of_no_known_format_is_refused(tmp_path: Path, said: str) -> None:
    with serving(b"\x7fELF" + b"\0" * 65536) as images, pytest.raises(ImageUnusable):
        make_cache(tmp_path).ensure(images.source(disk_format=said))


def test_an_iso_stays_an_iso(tmp_path: Path) -> None:
    with serving(make_iso(tmp_path)) as images:
        image = images.source(disk_format="iso")
        cache = make_cache(tmp_path, stored_as="raw")
        assert cache.ensure(image).name == f"image-{image.sha256}.iso"
        assert cache.path(image).read_bytes() == images.content


def test_a_raw_image_is_as_large_as_its_file(tmp_path: Path) -> None:
    cache = make_cache(tmp_path)
    with serving(b"\0" * 4096) as images:
        image = images.source(disk_format="raw")
        assert cache.ensure(image).name.endswith(".raw")
    assert cache.virtual_bytes(image) == 4096


# --- the disk ------------------------------------------------------------------------------------


def test_holes_take_no_room(tmp_path: Path) -> None:
    content = b"boot" + bytes(32 * MIB) + b"end."
    with serving(content) as images:
        images.manner, images.break_after = "breaks", 9 * MIB + 5
        path = make_cache(tmp_path).ensure(images.source(disk_format="raw"))
    assert path.read_bytes() == content
    assert path.stat().st_blocks * 512 < MIB


def test_an_image_without_room_is_refused_before_it_is_fetched(tmp_path: Path) -> None:
    with serving(PATTERN) as images, pytest.raises(HostFull):
        make_cache(tmp_path).ensure(images.source(size_bytes=10**15))
    assert images.requests == 0


def test_a_disk_that_fills_up_meanwhile_is_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What had come is given back: nobody can use a full disk."""
    small = tmp_path / "cache"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(small)], check=True)
    try:
        cache = make_cache(tmp_path)
        with serving(PATTERN) as images:
            monkeypatch.setattr(cache, "_make_room", lambda *_: None)
            with pytest.raises(HostFull):
                cache.ensure(images.source(disk_format="raw"))
        assert list(small.iterdir()) == []
        assert cache.listed()[0].reason == "The host's disk is full."
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.parametrize("kind", ["link", "dangling", "fifo"])
@pytest.mark.parametrize("place", ["image", "partial"])
def test_what_is_no_plain_file_is_put_away(tmp_path: Path, kind: str, place: str) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "cache").mkdir()
    cache = make_cache(tmp_path)
    with serving(PATTERN) as images:
        image = images.source(disk_format="raw")
        path = cache.path(image) if place == "image" else partial_of(tmp_path, image)
        if kind == "fifo":
            os.mkfifo(path)
        else:
            path.symlink_to(victim if kind == "link" else tmp_path / "nothing")
        found = cache.ensure(image)
    assert not found.is_symlink()
    assert found.read_bytes() == PATTERN
    assert victim.read_bytes() == b"precious"
    assert not (tmp_path / "nothing").exists()


def test_a_partial_file_with_a_second_name_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    with serving(PATTERN) as images:
        image = images.source(disk_format="raw")
        victim = tmp_path / "victim"
        victim.write_bytes(b"precious")
        os.link(victim, partial_of(tmp_path, image))
        make_cache(tmp_path).ensure(image)
    assert victim.read_bytes() == b"precious"


def test_a_directory_in_the_images_place_is_told(tmp_path: Path) -> None:
    cache = make_cache(tmp_path)
    with serving(PATTERN) as images:
        image = images.source(disk_format="raw")
        cache.path(image).mkdir(parents=True)
        with pytest.raises(HostError, match="tampered"):
            cache.ensure(image)


# --- as what it is stored ------------------------------------------------------------------------


def make_full_qcow2(directory: Path, *options: str) -> tuple[bytes, bytes]:
    """Return a qcow2 image, and the disk that is in it."""
    disk = PATTERN[:MIB] + bytes(15 * MIB)
    (directory / "disk.raw").write_bytes(disk)
    target = directory / "full.qcow2"
    words = ["-f", "raw", "-O", "qcow2", *options, str(directory / "disk.raw"), str(target)]
    subprocess.run(["qemu-img", "convert", *words], check=True, timeout=60)
    return target.read_bytes(), disk


def test_an_image_can_be_stored_raw(tmp_path: Path) -> None:
    content, disk = make_full_qcow2(tmp_path, "-c")
    cache = make_cache(tmp_path, stored_as="raw")
    with serving(content) as images:
        image = images.source()
        path = cache.ensure(image)
        assert cache.ensure(image) == path
    assert path.name == f"image-{image.sha256}.qcow2.raw"
    assert path.read_bytes() == disk
    assert path.stat().st_blocks * 512 < 2 * MIB
    assert (cache.disk_format(image), cache.virtual_bytes(image)) == ("raw", len(disk))
    assert images.requests == 1
    assert there(tmp_path) == [path.name]
    assert cache.listed()[0].disk_format == "raw"


def test_an_image_can_be_stored_as_qcow2(tmp_path: Path) -> None:
    cache = make_cache(tmp_path, stored_as="qcow2")
    with serving(PATTERN[:MIB] + bytes(MIB)) as images:
        image = images.source(disk_format="raw")
        path = cache.ensure(image)
    header = read_header(path)
    assert header is not None
    assert (header.virtual_bytes, header.backing) == (2 * MIB, None)
    assert cache.virtual_bytes(image) == 2 * MIB


def test_a_failed_conversion_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = make_qcow2(tmp_path)
    tool = tmp_path / "bin" / "qemu-img"
    tool.parent.mkdir()
    tool.write_text('#!/bin/sh\n[ "$1" = measure ] && exec echo \'{"required": 1}\'\nexit 1\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    cache = make_cache(tmp_path, stored_as="raw")
    with serving(content) as images, pytest.raises(HostError, match="converted"):
        cache.ensure(images.source())
    assert there(tmp_path) == []


def test_the_tool_is_limited_and_told_the_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool, said = tmp_path / "bin" / "qemu-img", tmp_path / "said"
    tool.parent.mkdir()
    real = subprocess.check_output(["which", "qemu-img"], text=True).strip()
    tool.write_text(f'#!/bin/sh\n(echo "$@"; ulimit -v -t -f) >>{said}\nexec {real} "$@"\n')
    tool.chmod(0o755)
    image_bytes = make_qcow2(tmp_path)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    with serving(image_bytes) as images:
        make_cache(tmp_path, stored_as="raw").ensure(images.source())
    text = said.read_text()
    assert "unlimited" not in text
    assert [line.split()[0] for line in text.splitlines() if " -f " in line] == [
        "measure",
        "convert",
    ]


def test_the_remains_of_a_killed_conversion_are_removed(tmp_path: Path) -> None:
    cache = make_cache(tmp_path, stored_as="raw")
    with serving(make_qcow2(tmp_path)) as images:
        image = images.source()
        (tmp_path / "cache").mkdir()
        remains = tmp_path / "cache" / f".{cache.path(image).name}.converting"
        remains.write_bytes(b"half")
        cache.ensure(image)
    assert not remains.exists()


# --- what is told of it --------------------------------------------------------------------------


def test_the_list_tells_what_is_there_and_what_is_not(tmp_path: Path) -> None:
    cache = make_cache(tmp_path)
    with serving(PATTERN) as images:
        good = images.source(disk_format="raw")
        bad = images.source(sha256="0" * 64)
        cache.ensure(good)
        with pytest.raises(ImageCorrupt):
            cache.ensure(bad)
        failed, ready = cache.listed()
    assert (failed.image_id, failed.state, failed.size_bytes) == (bad.image_id, "failed", 0)
    assert (ready.image_id, ready.state, ready.reason) == (good.image_id, "ready", "")
    assert ready.size_bytes == len(PATTERN)
    assert len(PATTERN) <= ready.allocated_bytes == cache.allocated_bytes() < 2 * len(PATTERN)
    assert abs(ready.used_at - time.time()) < 5
    assert not ready.in_use


def test_a_download_under_way_is_told(tmp_path: Path) -> None:
    cache = make_cache(tmp_path)
    with serving(PATTERN) as images, ThreadPoolExecutor(1) as threads:
        images.manner = "slow"
        image = images.source(disk_format="raw")
        under_way = threads.submit(cache.ensure, image)
        states = set()
        while not under_way.done():
            states |= {one.state for one in cache.listed()}
            time.sleep(0.01)
        assert {one.state for one in cache.listed()} == {"ready"}
    assert "downloading" in states
    assert "failed" not in states
