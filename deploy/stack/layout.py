"""Where the stack keeps its things, and which ports a new one takes."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

Driver = Literal["libvirt", "fake"]

API_PORT = "BYRE_STACK_API_PORT"
REDIS_PORT = "BYRE_STACK_REDIS_PORT"
FLOWER_PORT = "BYRE_STACK_FLOWER_PORT"
CONSOLE_PORT = "BYRE_STACK_CONSOLE_PORT"

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Layout:
    """The places of one stack. A second stack beside it needs another directory and ports."""

    #: Settings, database, logs, pid files: all but what a hypervisor process must read.
    home: Path
    #: Disks and the host's own marks. Not below `home`, since QEMU runs as another user on most
    #: machines and cannot pass through somebody's home directory.
    host_dir: Path
    driver: Driver
    #: For a settings file that is still to be written; Flower's, which is in none, always.
    api_port: int
    redis_port: int
    flower_port: int
    console_port: int

    @property
    def config(self) -> Path:
        """The settings file of every process."""
        return self.home / "byre.toml"

    @property
    def clouds(self) -> Path:
        """The OpenStack clients' file: the clouds `byre` and `byre-admin`."""
        return self.home / "clouds.yaml"

    @property
    def logs(self) -> Path:
        """One log a process."""
        return self.home / "log"

    @property
    def pids(self) -> Path:
        """One pid file a process."""
        return self.home / "run"

    @property
    def guest_image(self) -> Path:
        """The image that the first server boots from."""
        return self.home / "guest" / "byre-guest.qcow2"

    @property
    def ssh_key(self) -> Path:
        """The private key that opens the first server."""
        return self.home / "ssh" / "id_ed25519"

    @property
    def ssh_config(self) -> Path:
        """What `ssh -F` needs to know to reach guests with that key."""
        return self.home / "ssh" / "config"

    @property
    def probe_kernel(self) -> Path:
        """The kernel by which the compute worker proves whether KVM works."""
        return self.host_dir / "probe" / "vmlinuz"

    @property
    def first_server_mark(self) -> Path:
        """Holds the id of the first server that this stack made, so it is made once."""
        return self.home / "first-server"

    @property
    def lost_servers_mark(self) -> Path:
        """Left by a `down` that removed domains whose servers the API could not delete."""
        return self.home / "lost-servers"


def read_layout(environ: Mapping[str, str] = os.environ) -> Layout:
    """Return the layout that BYRE_STACK_* asks for. Raises ValueError, naming the key."""
    driver = environ.get("BYRE_STACK_DRIVER", "libvirt")
    if driver not in {"libvirt", "fake"}:
        raise ValueError(f"BYRE_STACK_DRIVER: {driver!r} is neither libvirt nor fake")
    return Layout(
        home=(ROOT / environ.get("BYRE_STACK_DIR", ".byre")).absolute(),
        host_dir=Path(environ.get("BYRE_STACK_HOST_DIR", "/var/lib/byre")).absolute(),
        driver=cast("Driver", driver),
        api_port=_port(environ, API_PORT, 8774),
        redis_port=_port(environ, REDIS_PORT, 6389),
        flower_port=_port(environ, FLOWER_PORT, 5555),
        console_port=_port(environ, CONSOLE_PORT, 6080),
    )


def _port(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name, str(default))
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise ValueError(f"{name}: {text!r} is not a port")
    return int(text)
