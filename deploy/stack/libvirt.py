"""The machine's libvirt as the stack needs it: start it if nobody does, and remove our leftovers.

All through virsh, with a deadline: a library call to a daemon that hangs would hang with it.
"""

import re
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from deploy.stack.layout import ROOT, Layout
from deploy.stack.say import Failure

URI = "qemu:///system"
UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
#: Names that only Byre gives (workers/hypervisor/names.py). A guest of somebody's own whose name
#: merely begins alike is not ours to remove.
OUR_DOMAIN = re.compile(f"byre-{UUID}")
OUR_NETWORK = re.compile("byre-[0-9a-f]{8}")
OUR_FILTER = re.compile(f"byre-port-{UUID}")


@dataclass(frozen=True)
class Kind:
    """A kind of thing that libvirt keeps: how to list it, whose it is, how to remove it."""

    word: str
    listing: tuple[str, ...]
    is_ours: Callable[[str], object]
    removal: tuple[tuple[str, ...], ...]


KINDS = (
    Kind(
        "domain",
        ("list", "--all", "--name"),
        OUR_DOMAIN.fullmatch,
        (
            ("destroy",),
            ("undefine", "--managed-save", "--snapshots-metadata", "--nvram"),
        ),
    ),
    Kind(
        "network",
        ("net-list", "--all", "--name"),
        OUR_NETWORK.fullmatch,
        (("net-destroy",), ("net-undefine",)),
    ),
    Kind("filter", ("nwfilter-list",), OUR_FILTER.fullmatch, (("nwfilter-undefine",),)),
)


def pool_kind(name: str) -> Kind:
    """Return the kind that is our one storage pool: its definition goes, its files stay."""
    return Kind(
        "storage pool",
        ("pool-list", "--all", "--name"),
        re.compile(re.escape(name)).fullmatch,
        (("pool-destroy",), ("pool-undefine",)),
    )


def answers() -> bool:
    """Tell whether a libvirt daemon answers on this machine."""
    return virsh("version").returncode == 0


def start(layout: Layout) -> None:
    """Start libvirt: systemd's where there is systemd, else by hand. Raises Failure."""
    if Path("/run/systemd/system").is_dir():
        command = ["systemctl", "start", "virtlogd.socket", "libvirtd.service"]
    else:
        command = [str(ROOT / "deploy" / "libvirtd"), "start", str(own_dir(layout))]
    result = run(command, limit_s=90)
    if result.returncode != 0 or not answers():
        raise Failure(f"libvirt does not start:\n{result.stdout}{result.stderr}".rstrip())


def stop_own(layout: Layout) -> bool:
    """Stop the libvirt that `start` started by hand, if it did; True if there was one.
    Raises Failure."""
    directory = own_dir(layout)
    was_running = (directory / "libvirtd.pid").exists()
    if was_running:
        result = run([str(ROOT / "deploy" / "libvirtd"), "stop", str(directory)], limit_s=60)
        if result.returncode != 0:
            raise Failure(f"libvirt does not stop:\n{result.stdout}{result.stderr}".rstrip())
    return was_running


def own_dir(layout: Layout) -> Path:
    """Where the libvirt that we start by hand keeps its configuration and state."""
    return layout.host_dir / "libvirt"


def remove_leftovers(storage_pool: str) -> list[str]:
    """Remove every domain, network, filter and pool definition of ours; say what was removed."""
    removed = []
    for kind in (*KINDS, pool_kind(storage_pool)):
        for name in _names(kind):
            for command in kind.removal:
                virsh(*command[:1], name, *command[1:])
            removed.append(f"{kind.word} {name}")
    return removed


def find_leftovers(storage_pool: str) -> list[str]:
    """Return what of ours libvirt still has."""
    kinds = (*KINDS, pool_kind(storage_pool))
    return [f"{kind.word} {name}" for kind in kinds for name in _names(kind)]


def virsh(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one virsh command, 30 seconds at most."""
    return run(["virsh", "--quiet", "--connect", URI, *arguments], limit_s=30)


def run(command: list[str], limit_s: float) -> subprocess.CompletedProcess[str]:
    """Run a command without input; one that is missing or too slow counts as failed."""
    try:
        return subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit_s,
        )
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, "", f"{error}\n")


def _names(kind: Kind) -> Iterable[str]:
    """The last word of each line is the name; nwfilter-list puts a UUID before it."""
    lines = virsh(*kind.listing).stdout.splitlines()
    return [line.split()[-1] for line in lines if line.strip() and kind.is_ours(line.split()[-1])]
