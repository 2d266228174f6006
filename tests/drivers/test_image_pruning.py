"""What goes from the image cache, and what never does."""

import fcntl
import os
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from tasks.errors import HostGone
from tests.drivers.images import ImageServer, serving
from workers.hypervisor.image_cache import CacheRules, ImageCache
from workers.hypervisor.image_cache.pruning import to_go
from workers.hypervisor.image_cache.shelf import Entry
from workers.hypervisor.locks import Locks

DAY, MIB = 86_400.0, 1024 * 1024
#: Nothing goes by these, if it is not old.
QUIET = CacheRules(max_age_s=DAY, max_bytes=0, floor_bytes=0, hold_s=900, retry_pause_s=0.01)


def an_entry(name: str, age_s: float, mib: int = 1) -> Entry:
    return Entry(
        path=Path(name),
        digest=name,
        whole=True,
        size_bytes=mib * MIB,
        allocated_bytes=mib * MIB,
        touched_at=1e9 - age_s,
        links=1,
    )


@pytest.mark.parametrize(
    ("rules", "used", "free_mib", "expected"),
    [
        ({}, set(), 100, ["old"]),
        ({}, {"old"}, 100, []),
        ({"max_bytes": 3 * MIB}, set(), 100, ["old", "middle"]),
        ({"max_bytes": 3 * MIB}, {"old"}, 100, ["middle", "young"]),
        ({"max_bytes": 1}, set(), 100, ["old", "middle", "young"]),
        ({"floor_bytes": 12 * MIB}, set(), 10, ["old"]),
        ({"floor_bytes": 14 * MIB}, set(), 10, ["old", "middle"]),
        ({"floor_bytes": 99 * MIB}, set(), 10, ["old", "middle", "young"]),
    ],
)
def test_the_oldest_go_until_there_is_room(
    rules: dict[str, int], used: set[str], free_mib: int, expected: list[str]
) -> None:
    """`now` is held: a build may be about to use it."""
    whole = [
        an_entry("young", 1000),
        an_entry("now", 10, 1),
        an_entry("old", 2 * DAY, 2),
        an_entry("middle", 5000, 2),
    ]
    given = CacheRules(**{**vars(QUIET), **rules})
    going = to_go(whole, used, given, free_mib * MIB, 1e9)
    assert [entry.digest for entry in going] == expected


class Bench:
    """A cache in a directory, with images that were last used long ago."""

    def __init__(self, directory: Path, images: ImageServer, rules: CacheRules = QUIET) -> None:
        self.pool = directory / "pool"
        self.state = directory / "state"
        self.others: list[Path] = []
        self.is_blind = False
        self.asks_meanwhile = False
        self.cache = ImageCache(self.pool, self.state, 30, rules=rules, other_disks=self._others)
        self.image = images.source()
        self.base = self.cache.ensure(self.image)

    def _others(self) -> Iterable[Path]:
        if self.is_blind:
            raise HostGone("libvirt is silent")
        if self.asks_meanwhile:
            self.cache.ensure(self.image)
        return self.others

    def age(self, path: Path, seconds: float = 2 * DAY) -> None:
        """Let the file be old."""
        then = time.time() - seconds
        os.utime(path, (then, then))

    def overlay(self, path: Path, base: str, base_format: str = "qcow2") -> Path:
        """Make a disk over another one."""
        words = ["-q", "-u", "-f", "qcow2", "-b", base, "-F", base_format, str(path), "64M"]
        subprocess.run(["qemu-img", "create", *words], check=True, timeout=60)
        return path

    def prune(self) -> bool:
        """Prune with the image old; say whether it went."""
        self.age(self.base)
        gone = self.cache.prune()
        assert gone == ([] if self.base.exists() else [self.image.sha256])
        return bool(gone)


@pytest.fixture
def bench(tmp_path: Path, blank_image: bytes) -> Bench:
    """A cache with one image that may go."""
    with serving(blank_image) as images:
        return Bench(tmp_path, images)


def test_an_unused_image_goes_with_all_that_is_known_of_it(bench: Bench) -> None:
    assert bench.cache.prune() == []
    assert bench.prune()
    assert list(bench.pool.iterdir()) == []
    assert [path.name for path in bench.state.iterdir()] == ["image-pruning.lock"]
    assert bench.cache.listed() == []


def test_an_image_below_a_disk_stays_and_its_age_begins_anew(bench: Bench) -> None:
    disk = bench.overlay(bench.pool / "server.root.qcow2", str(bench.base))
    assert not bench.prune()
    assert bench.cache.listed()[0].in_use
    assert bench.base.stat().st_mtime > time.time() - 60
    disk.unlink()
    assert not bench.cache.listed()[0].in_use
    assert bench.prune()


@pytest.mark.parametrize("where", ["quarantine", "foreign", "snapshot", "elsewhere", "relative"])
def test_a_disk_keeps_its_image_wherever_it_is(bench: Bench, tmp_path: Path, where: str) -> None:
    if where == "quarantine":
        (bench.pool / "quarantine").mkdir()
        bench.overlay(bench.pool / "quarantine" / "server.root.qcow2.3", str(bench.base))
    elif where == "foreign":
        bench.overlay(bench.pool / "an operator's own", str(bench.base))
    elif where == "snapshot":
        middle = bench.overlay(tmp_path / "middle.qcow2", str(bench.base))
        bench.overlay(bench.pool / "top.qcow2", str(middle))
    elif where == "elsewhere":
        bench.others = [bench.overlay(tmp_path / "far.qcow2", str(bench.base))]
    else:
        bench.overlay(bench.pool / "near.qcow2", bench.base.name)
    assert not bench.prune()


def test_a_disk_over_it_by_another_way_keeps_an_image(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "way").symlink_to(bench.pool)
    (tmp_path / "way" / "alias").symlink_to(bench.base)
    bench.others = [bench.overlay(tmp_path / "far.qcow2", str(tmp_path / "way" / "alias"))]
    assert not bench.prune()


def test_a_base_named_in_json_is_found(bench: Bench) -> None:
    said = f'json:{{"driver":"qcow2","file":{{"driver":"file","filename":"{bench.base}"}}}}'
    bench.overlay(bench.pool / "top.qcow2", said)
    assert not bench.prune()


def test_a_server_that_has_it_as_a_disc_keeps_an_image(bench: Bench) -> None:
    disc = bench.pool / "server.cdrom.iso"
    os.link(bench.base, disc)
    assert not bench.prune()
    assert bench.cache.listed()[0].in_use
    disc.unlink()
    assert bench.prune()


@pytest.mark.parametrize("trouble", ["blind", "protocol", "header", "loop"])
def test_nothing_goes_while_use_cannot_be_told(bench: Bench, tmp_path: Path, trouble: str) -> None:
    if trouble == "blind":
        bench.is_blind = True
    elif trouble == "protocol":
        bench.overlay(bench.pool / "top.qcow2", "nbd:localhost:1")
    elif trouble == "header":
        (bench.pool / "odd.qcow2").write_bytes(b"QFI\xfb" + b"\xff" * 100)
    else:
        bench.overlay(tmp_path / "a.qcow2", str(tmp_path / "b.qcow2"))
        bench.overlay(tmp_path / "b.qcow2", str(tmp_path / "a.qcow2"))
        bench.others = [tmp_path / "a.qcow2"]
    assert not bench.prune()
    assert bench.cache.listed()[0].in_use


def test_a_header_that_a_guest_wrote_into_its_raw_disk_counts_for_nothing(bench: Bench) -> None:
    bench.overlay(bench.pool / "server.swap.raw", str(bench.base))
    assert bench.prune()


def test_pipes_and_devices_are_not_opened(bench: Bench) -> None:
    os.mkfifo(bench.pool / "pipe.qcow2")
    bench.overlay(bench.pool / "top.qcow2", str(bench.pool / "pipe.qcow2"))
    assert bench.prune()


def test_an_image_that_somebody_has_in_hand_stays(bench: Bench) -> None:
    bench.age(bench.base)
    lock = bench.state / f"image-{bench.image.sha256}.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        assert bench.cache.prune() == []
    with bench.cache.used(bench.image):
        bench.age(bench.base)
        assert bench.cache.prune() == []


def test_a_build_that_asks_for_it_holds_it(bench: Bench) -> None:
    """Under whatever pressure: no disk lies over it yet."""
    crowded = CacheRules(max_bytes=1, floor_bytes=10**18)
    pressed = ImageCache(bench.pool, bench.state, 30, rules=crowded)
    bench.age(bench.base, 600)
    assert pressed.prune() == []
    bench.age(bench.base, 1000)
    pressed.ensure(bench.image)
    assert pressed.prune() == []
    bench.age(bench.base, 1000)
    assert pressed.prune() == [bench.image.sha256]


def test_a_build_that_asks_while_the_disks_are_looked_at_keeps_its_image(bench: Bench) -> None:
    bench.asks_meanwhile = True
    assert not bench.prune()


def test_a_lock_whose_file_was_removed_excludes_nobody_and_is_not_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between opening and locking it, its last holder may have removed it."""
    locks, really = Locks(tmp_path, "image", "Busy."), fcntl.flock

    def late(file: int, kind: int) -> None:
        locks.remove("a")
        really(file, kind)

    monkeypatch.setattr(fcntl, "flock", late)
    with locks.tried("a") as had:
        assert not had
    monkeypatch.undo()
    with locks.tried("a") as had, locks.tried("a") as again:
        assert (had, again) == (True, False)


def test_room_for_a_new_image_is_made_of_unused_ones(tmp_path: Path, blank_image: bytes) -> None:
    """On a disk that has room for one of the two."""
    pool = tmp_path / "pool"
    pool.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(pool)], check=True)
    try:
        filled = bytes(range(256)) * 2800
        with serving(filled) as first, serving(filled[::-1]) as second:
            cache = ImageCache(pool, tmp_path / "state", 30, rules=QUIET)
            old = cache.ensure(first.source(disk_format="raw"))
            then = time.time() - 1000
            os.utime(old, (then, then))
            new = cache.ensure(second.source(disk_format="raw"))
        assert [path.name for path in pool.iterdir()] == [new.name]
    finally:
        subprocess.run(["umount", str(pool)], check=True)


def test_partial_files_go_when_nobody_goes_on_with_them(bench: Bench) -> None:
    young, old = (bench.pool / f".image-{digit * 64}.raw.part" for digit in "ab")
    for path in (young, old):
        path.write_bytes(b"half")
    bench.age(old)
    remains = bench.pool / f".{bench.base.name}.x7_w1"
    remains.write_bytes(b"of a former version")
    bench.age(remains)
    bench.cache.prune()
    assert sorted(bench.pool.iterdir()) == sorted([young, bench.base])


def test_a_link_in_the_pool_is_no_image(bench: Bench, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    bench.age(victim)
    (bench.pool / f"image-{'c' * 64}.raw").symlink_to(victim)
    assert bench.prune()
    assert victim.exists()
    assert bench.cache.listed() == []
