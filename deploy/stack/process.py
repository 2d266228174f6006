"""Background processes that are found again through pid files.

A pid alone proves nothing: it is given to another process one day. A pid file therefore holds
the process's start time too, counted by the kernel since boot, and the boot's own id.
"""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy.stack.settings import write_private

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
#: A log that has grown past this is set aside when its process starts again.
LOG_LIMIT_BYTES = 20 * 1024 * 1024
#: How long the kernel may take to end a process that was killed.
KILL_LIMIT_S = 5.0
#: States of what is left of a process that has ended.
DEAD = frozenset({"Z", "X"})


@dataclass(frozen=True)
class Mark:
    """Which process a pid file means, beyond doubt."""

    pid: int
    start_ticks: int
    boot_id: str


@dataclass(frozen=True)
class Background:
    """One background process of the stack, running or not."""

    name: str
    argv: tuple[str, ...]
    pid_file: Path
    log: Path

    def alive(self) -> Mark | None:
        """Return the running process, if it is the one that we started."""
        mark = _read_mark(self.pid_file)
        return mark if mark is not None and is_running(mark) else None

    def start(self, environ: Mapping[str, str], cwd: Path) -> Mark:
        """Start it in a session of its own, so that it outlives its starter and its terminal."""
        self.log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _set_aside(self.log)
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=dict(environ),
                start_new_session=True,
            )
        # Nobody waits for it here: it is to stay when this process is gone.
        process.returncode = 0
        mark = Mark(process.pid, _start_ticks(process.pid) or 0, _boot_id())
        write_private(self.pid_file, json.dumps(asdict(mark)) + "\n")
        return mark

    def stop(self, limit_s: float) -> bool:
        """End it with all its children; True if it was running. Kills what is slower than that."""
        mark = _read_mark(self.pid_file)
        was_running = mark is not None and is_running(mark)
        if mark is not None and not _end_group(mark, signal.SIGTERM, limit_s):
            _end_group(mark, signal.SIGKILL, KILL_LIMIT_S)
        self.pid_file.unlink(missing_ok=True)
        return was_running

    def exit_code(self) -> int | None:
        """Return how the process ended, if it was a child of ours and has just done so. The answer
        is given once: the kernel then forgets it."""
        mark = _read_mark(self.pid_file)
        if mark is None or _boot_id() != mark.boot_id:
            return None
        with contextlib.suppress(ChildProcessError):
            pid, status = os.waitpid(mark.pid, os.WNOHANG)
            return os.waitstatus_to_exitcode(status) if pid else None
        return None

    def end_remains(self, limit_s: float) -> None:
        """End what a process that is gone has left of its children."""
        mark = _read_mark(self.pid_file)
        if mark is not None and not _end_group(mark, signal.SIGTERM, limit_s):
            _end_group(mark, signal.SIGKILL, KILL_LIMIT_S)

    def last_lines(self, count: int) -> Sequence[str]:
        """Return the end of its log."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - 65_536))
                text = file.read().decode(errors="replace")
        except FileNotFoundError:
            return ()
        return text.splitlines()[-count:]


def is_running(mark: Mark) -> bool:
    """Tell whether exactly this process runs; one that only waits to be reaped does not."""
    _reap(mark.pid)
    return _boot_id() == mark.boot_id and _start_ticks(mark.pid) == mark.start_ticks


def uptime_s(mark: Mark) -> float:
    """Return for how many seconds the process has run."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - mark.start_ticks / TICKS_A_SECOND


def started_at(mark: Mark) -> float:
    """Return when the process started, in Unix seconds."""
    return time.time() - uptime_s(mark)


def _read_mark(path: Path) -> Mark | None:
    try:
        return Mark(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _start_ticks(pid: int) -> int | None:
    """Return when the process started; None when there is none, or only its remains."""
    fields = _stat(pid)
    return None if fields is None or fields[0] in DEAD else int(fields[19])


def _stat(pid: int | str) -> list[str] | None:
    """Return the fields of /proc/PID/stat from the third on: state, parent, group ..."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The second field is the program's name in parentheses, with whatever is in it.
    return stat.rpartition(")")[2].split()


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _end_group(mark: Mark, number: signal.Signals, limit_s: float) -> bool:
    """Signal the process and its children, which are a group that bears its pid, and wait for
    their end; True when none is left.

    The kernel gives a pid to nobody else as long as a group bears it. So a pid that now belongs
    to a later process says that the group is gone; otherwise the group is ours, or empty.
    """
    if _boot_id() != mark.boot_id or _start_ticks(mark.pid) not in {None, mark.start_ticks}:
        return True
    with contextlib.suppress(ProcessLookupError):
        os.killpg(mark.pid, number)
    deadline = time.monotonic() + limit_s
    while _group_lives(mark.pid):
        if time.monotonic() > deadline:
            return False
        _reap(mark.pid)
        time.sleep(0.05)
    _reap(mark.pid)
    return True


def _group_lives(group: int) -> bool:
    every = (_stat(entry.name) for entry in Path("/proc").glob("[0-9]*"))
    return any(stat[2] == str(group) and stat[0] not in DEAD for stat in every if stat)


def _reap(pid: int) -> None:
    """Take the remains of a child of ours; a process that is not our child is left alone."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _set_aside(log: Path) -> None:
    if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
        log.replace(log.with_name(log.name + ".1"))
