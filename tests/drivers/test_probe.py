"""KVM is believed only when a guest's kernel has run under it."""

import os
from pathlib import Path

import pytest

from tasks.errors import HostError, HostGone
from workers.hypervisor.libvirt.probe import decide, newest_kernel, proved

RAN = "Linux version 6.1\n...\nKernel panic - not syncing: VFS: Unable to mount root fs\n"
HUNG = "Linux version 6.1\n"


class ProbeGuest:
    """Runs no guest: says what one would have said, and counts."""

    def __init__(self, console: str | Exception) -> None:
        self.console = console
        self.runs = 0

    def __call__(self, kernel: Path) -> str:
        self.runs += 1
        if isinstance(self.console, Exception):
            raise self.console
        return self.console


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    """Return a file that is taken for a kernel."""
    path = tmp_path / "vmlinuz-6.1"
    path.touch()
    return path


@pytest.mark.parametrize(
    ("console", "expected"),
    [(RAN, True), (HUNG, False), ("", False), ("Kernel panic - not syncing: VFS", False)],
)
def test_a_kernel_must_begin_and_end(console: str, expected: bool) -> None:
    assert proved(console) is expected


@pytest.mark.parametrize(
    ("console", "expected", "reason"),
    [
        (RAN, "kvm", "ran its kernel"),
        (HUNG, "qemu", "began and went no further"),
        ("", "qemu", "said nothing"),
        (HostError("no KVM here"), "qemu", "could not be started"),
    ],
)
def test_the_answer_is_given_once_a_boot(
    tmp_path: Path, kernel: Path, console: str | Exception, expected: str, reason: str
) -> None:
    guest = ProbeGuest(console)
    for _ in range(2):
        verdict = decide(tmp_path / "state", kernel, "boot-1", guest)
        assert verdict.domain_type == expected
        assert reason in verdict.reason
    assert guest.runs == 1
    decide(tmp_path / "state", kernel, "boot-2", guest)
    assert guest.runs == 2


def test_without_a_kernel_nothing_is_proved_and_nothing_remembered(
    tmp_path: Path, kernel: Path
) -> None:
    guest = ProbeGuest(RAN)
    assert decide(tmp_path / "state", None, "boot-1", guest).domain_type == "qemu"
    assert decide(tmp_path / "state", kernel, "boot-1", guest).domain_type == "kvm"


def test_a_daemon_that_is_gone_decides_nothing(tmp_path: Path, kernel: Path) -> None:
    with pytest.raises(HostGone):
        decide(tmp_path / "state", kernel, "boot-1", ProbeGuest(HostGone("gone")))
    assert decide(tmp_path / "state", kernel, "boot-1", ProbeGuest(RAN)).domain_type == "kvm"


def test_a_note_that_cannot_be_read_is_proved_again(tmp_path: Path, kernel: Path) -> None:
    (tmp_path / "acceleration.json").write_text('{"domain_type": "kvm"')
    assert decide(tmp_path, kernel, "boot-1", ProbeGuest("")).domain_type == "qemu"


def test_the_youngest_kernel_is_taken(tmp_path: Path) -> None:
    assert newest_kernel(tmp_path) is None
    for age, name in enumerate(("vmlinuz-6.1", "vmlinuz-6.12", "initrd.img-6.13")):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1000 + age, 1000 + age))
    assert newest_kernel(tmp_path) == tmp_path / "vmlinuz-6.12"
