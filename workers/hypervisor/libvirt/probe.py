"""Which kind of domain this host can really run: `kvm`, or `qemu` (emulated).

That /dev/kvm is there proves nothing: on some machines it opens, makes a virtual machine, and the
guest then hangs. So `auto` starts one small guest under KVM, with a kernel and nothing else, and
believes KVM only if that kernel reached the point where it looks for a root file system.

Effect  one transient domain, destroyed in any case; the answer in the state directory, for as long
        as the machine does not boot again.
"""

import fcntl
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import structlog

from tasks.errors import HostError
from workers.hypervisor.files import replacing

log = structlog.get_logger(__name__)

#: The kernel's first words, and what it says when it has nothing to start.
_BEGAN = "Linux version"
_ENDED = ("Kernel panic - not syncing: VFS", "Run /init as init process", "Unable to mount root fs")

#: Takes a kernel, gives what its console said until it ended or its time was up.
GuestRunner = Callable[[Path], str]


@dataclass(frozen=True)
class Verdict:
    """What was found, why, and during which boot of the machine."""

    domain_type: Literal["kvm", "qemu"]
    reason: str
    boot_id: str


def proved(console: str) -> bool:
    """Say whether a guest kernel with that output really ran."""
    return _BEGAN in console and any(sign in console for sign in _ENDED)


def newest_kernel(boot_directory: Path) -> Path | None:
    """Return the youngest kernel there that can be read, if any."""
    found = [path for path in boot_directory.glob("vmlinuz-*") if _is_readable(path)]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def decide(state_dir: Path, kernel: Path | None, boot_id: str, run_guest: GuestRunner) -> Verdict:
    """Return what this host can run: from this boot's earlier proof, or by a probe guest.

    Without a kernel nothing is proved, and nothing remembered: there may be one next time.
    """
    state_dir.mkdir(parents=True, exist_ok=True)
    remembered = state_dir / "acceleration.json"
    with (state_dir / "acceleration.lock").open("w") as lock:
        # Another worker process of this host may be at it; its guest has a deadline.
        fcntl.flock(lock, fcntl.LOCK_EX)
        verdict = _remembered(remembered, boot_id)
        if verdict is not None:
            return verdict
        if kernel is None:
            return _logged(Verdict("qemu", "no kernel to prove KVM with", boot_id))
        verdict = _logged(_proved_now(kernel, boot_id, run_guest))
        with replacing(remembered, mode=0o644) as (file, _):
            file.write(json.dumps(asdict(verdict)).encode())
        return verdict


def _remembered(path: Path, boot_id: str) -> Verdict | None:
    try:
        verdict = Verdict(**json.loads(path.read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        # Absent, or of another version of Byre: prove again.
        return None
    return verdict if verdict.boot_id == boot_id else None


def _proved_now(kernel: Path, boot_id: str, run_guest: GuestRunner) -> Verdict:
    started = time.monotonic()
    try:
        console = run_guest(kernel)
    except HostError as error:
        return Verdict("qemu", f"a KVM guest could not be started: {error.public}", boot_id)
    seconds = time.monotonic() - started
    if proved(console):
        return Verdict("kvm", f"a KVM guest ran its kernel in {seconds:.1f} s", boot_id)
    said = "began and went no further" if _BEGAN in console else "said nothing"
    return Verdict("qemu", f"a KVM guest's kernel {said} in {seconds:.0f} s", boot_id)


def _logged(verdict: Verdict) -> Verdict:
    log.info("acceleration.decided", domain_type=verdict.domain_type, reason=verdict.reason)
    return verdict


def _is_readable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.R_OK)
