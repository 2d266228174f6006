"""A libvirt host of one's own: a network namespace, a mount namespace, virtlogd and libvirtd.

Effect  one network namespace, processes in it, and files below one directory. The machine's own
        libvirt, bridges and firewall are neither seen nor touched.
Undo    `stop()` ends every process in the namespace by its id, and removes the namespace. The mount
        namespace goes with its last process.

The sockets lie below the given directory, which is bound over /run inside: so a process
outside reaches the daemon with `uri`. What needs the host's own network (giving back a DHCP lease,
talking to a guest) runs in the namespace: `entered()` for a thread, `command()` for a program.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_CLONE_NEWNET = 0x40000000
#: Inside path -> name below the host's directory.
_MOUNTS = {
    "/etc/libvirt": "etc",
    "/var/lib/libvirt": "lib",
    "/var/cache/libvirt": "cache",
    "/var/log/libvirt": "log",
    # The daemons' sockets and the files that tell them that they run already.
    "/run": "run",
}
#: Console logs roll over at this size, so that a test can see the bound at work.
CONSOLE_MAX_BYTES = 64 * 1024
CONSOLE_BACKUPS = 1

_QEMU_CONF = """\
user = "root"
group = "root"
security_driver = "none"
stdio_handler = "logd"
"""
_VIRTLOGD_CONF = f"""\
max_size = {CONSOLE_MAX_BYTES}
max_backups = {CONSOLE_BACKUPS}
"""


#: `ip netns exec` puts a new /sys over the machine's. Version 2 is one mount; of version 1, those
#: that share a mount have to be named together.
_CONTROL_GROUPS = """\
mount -t tmpfs tmpfs /sys/fs/cgroup
kinds=$(cut -d : -f 2 /proc/self/cgroup | grep -E '(^|,)(cpu|cpuset)(,|$)' || true)
[ -n "$kinds" ] || mount -t cgroup2 cgroup2 /sys/fs/cgroup
for kind in $kinds; do
    mkdir "/sys/fs/cgroup/$kind"
    mount -t cgroup -o "$kind" cgroup "/sys/fs/cgroup/$kind"
done"""


class PrivateHost:
    """One libvirt host below `directory`. `name` (at most 12 characters) names its namespace.
    `control_groups`: libvirt finds the machine's, by which it limits processors; without, it says
    that it cannot."""

    def __init__(self, directory: Path, name: str, *, control_groups: bool = False) -> None:
        self.directory = directory
        self._control_groups = control_groups
        self.name = name
        self.socket = directory / "run" / "libvirt" / "libvirt-sock"
        self.uri = f"qemu+unix:///system?socket={self.socket}"
        self.daemon: subprocess.Popen[bytes] | None = None
        self._holder: subprocess.Popen[bytes] | None = None
        self._logger: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Make the namespaces and start both daemons; returns when libvirtd answers."""
        self._write_files()
        _run("ip", "netns", "add", self.name)
        _run("ip", "netns", "exec", self.name, "ip", "link", "set", "lo", "up")
        self._holder = self._hold_mounts()
        self._logger = self._spawn("virtlogd")
        _wait_until((self.directory / "run" / "libvirt" / "virtlogd-sock").exists, "virtlogd")
        self.start_daemon()

    def start_daemon(self) -> None:
        """Start libvirtd (again), under tini, which reaps what its probes leave behind."""
        self.daemon = self._spawn("libvirtd")
        _wait_until(self.answers, "libvirtd")

    def kill_daemon(self) -> None:
        """End libvirtd at once, without a word; the guests run on."""
        assert self.daemon is not None
        os.kill(self._daemon_pid(), signal.SIGKILL)
        self.daemon.wait(timeout=10)
        self.daemon = None

    def freeze_daemon(self) -> None:
        """Let libvirtd accept connections and say nothing."""
        os.kill(self._daemon_pid(), signal.SIGSTOP)

    def thaw_daemon(self) -> None:
        """Let libvirtd go on."""
        os.kill(self._daemon_pid(), signal.SIGCONT)

    def answers(self) -> bool:
        """Say whether libvirtd answers a real question."""
        asked = subprocess.run(
            ["virsh", "-c", self.uri, "version"], capture_output=True, check=False, timeout=60
        )
        return asked.returncode == 0

    def stop(self) -> None:
        """End every process of the namespace by its id, and remove the namespace."""
        for signal_number in (signal.SIGTERM, signal.SIGKILL):
            for pid in self._processes():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal_number)
            with suppress(TimeoutError):
                _wait_until(lambda: not self._processes(), "the end of all processes", limit_s=5)
        for process in (self._holder, self.daemon, self._logger):
            if process is not None:
                process.wait(timeout=10)
        subprocess.run(["ip", "netns", "delete", self.name], capture_output=True, check=False)

    def command(self, *words: str) -> list[str]:
        """Return the command that runs `words` inside: the host's network, files and sockets."""
        assert self._holder is not None
        # `ip netns exec`, `unshare` and `sh` replace themselves: it is the sleeper's id by now.
        inside = str(self._holder.pid)
        return ["nsenter", "-t", inside, "-m", "-u", "-n", "--", *words]

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Put this thread, and those that it starts, into the host's network."""
        own_network = Path(f"/proc/self/task/{threading.get_native_id()}/ns/net")
        with own_network.open("rb") as own, Path(f"/run/netns/{self.name}").open("rb") as theirs:
            _set_network(theirs.fileno())
            try:
                yield
            finally:
                _set_network(own.fileno())

    def _write_files(self) -> None:
        shutil.copytree("/etc/libvirt", self.directory / "etc", dirs_exist_ok=True)
        # Whatever the machine itself defined or wants started stays its own.
        for defined in ("qemu", "storage", "secrets"):
            shutil.rmtree(self.directory / "etc" / defined, ignore_errors=True)
        for filtered in (self.directory / "etc" / "nwfilter").glob("byre-*"):
            filtered.unlink()
        for below in _MOUNTS.values():
            (self.directory / below).mkdir(parents=True, exist_ok=True)
        (self.directory / "etc" / "qemu.conf").write_text(_QEMU_CONF)
        (self.directory / "etc" / "virtlogd.conf").write_text(_VIRTLOGD_CONF)
        (self.directory / "etc" / "libvirtd.conf").write_text(f'host_uuid = "{uuid.uuid4()}"\n')

    def _hold_mounts(self) -> subprocess.Popen[bytes]:
        ready = self.directory / "mounts-ready"
        lines = ["set -e", "mount --make-rprivate /"]
        for inside, below in _MOUNTS.items():
            Path(inside).mkdir(parents=True, exist_ok=True)
            lines.append(f"mount --bind '{self.directory / below}' {inside}")
        if self._control_groups:
            lines += [_CONTROL_GROUPS]
        lines += [f"hostname {self.name}", f"touch '{ready}'", "exec sleep infinity"]
        holder = subprocess.Popen(
            ["ip", "netns", "exec", self.name, "unshare", "-m", "-u", "sh", "-c", "\n".join(lines)],
            stdin=subprocess.DEVNULL,
        )
        _wait_until(ready.exists, "the mount namespace")
        return holder

    def _spawn(self, daemon: str) -> subprocess.Popen[bytes]:
        log = (self.directory / f"{daemon}.log").open("ab")
        with log:
            return subprocess.Popen(
                self.command("tini", "-s", "--", daemon),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _daemon_pid(self) -> int:
        assert self.daemon is not None
        tini = self.daemon.pid
        # The first child is libvirtd itself; later ones are orphans that tini took over.
        return int(Path(f"/proc/{tini}/task/{tini}/children").read_text().split()[0])

    def _processes(self) -> list[int]:
        listed = subprocess.run(
            ["ip", "netns", "pids", self.name], capture_output=True, text=True, check=False
        )
        # A test's own thread may be inside; the test is not to be ended.
        pids = [int(pid) for pid in listed.stdout.split() if int(pid) != os.getpid()]
        return [pid for pid in pids if _lives(pid)]


def _lives(pid: int) -> bool:
    """Say whether the process runs; a zombie only waits for its parent."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


def _wait_until(condition: Callable[[], bool], what: str, limit_s: float = 60.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come up in {limit_s:.0f} s")
        time.sleep(0.05)


def _set_network(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
