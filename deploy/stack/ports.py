"""Who listens on a port of this machine, from /proc."""

import re
from pathlib import Path

LISTEN = "0A"


def holder_of(port: int) -> str | None:
    """Return who listens on a TCP port, as `name (pid N)`; None if nobody does."""
    inodes = _listening_inodes(port)
    if not inodes:
        return None
    for process in Path("/proc").glob("[0-9]*"):
        if inodes & _socket_inodes(process):
            name = (process / "comm").read_text().strip()
            return f"{name} (pid {process.name})"
    return "a process of another user or container"


def _listening_inodes(port: int) -> set[str]:
    inodes = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        if not table.exists():
            continue
        for line in table.read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == LISTEN and int(local.rpartition(":")[2], 16) == port:
                inodes.add(rest[5])
    return inodes


def _socket_inodes(process: Path) -> set[str]:
    """The sockets that a process holds; none if it is not ours to see, or gone meanwhile."""
    inodes = set()
    try:
        for descriptor in (process / "fd").iterdir():
            match = re.fullmatch(r"socket:\[(\d+)]", str(descriptor.readlink()))
            if match:
                inodes.add(match[1])
    except OSError:
        return inodes
    return inodes
