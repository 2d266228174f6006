"""Starts a role's processes quickly and often: everything is imported once, each process is a fork.

A crash test starts workers hundreds of times; importing them anew would be most of its time. What
follows the import is what a worker's start is: its own session, environment, output, and its main
function. `python -m tests.crash.nursery ROLE` reads orders from its input and ends, with all that
it started, when that is closed: nothing outlives a test run that was killed.
"""

import importlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from tests.processes import Program

_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV")


class Nursery:
    """The test's side: one nursery for a role."""

    def __init__(self, role: str) -> None:
        self._lock = threading.Lock()
        self._pids: dict[str, int] = {}
        self._ended: dict[int, int] = {}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.nursery", role],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name=f"nursery-{role}", daemon=True)
        self._reader.start()

    def start(self, name: str, environment: Mapping[str, str], log: Path) -> int:
        """Start a process; return its id. Raises TimeoutError."""
        order = {"name": name, "environment": dict(environment), "log": str(log)}
        with self._lock:
            self._pids.pop(name, None)
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
            for _ in range(6000):
                if name in self._pids:
                    return self._pids[name]
                time.sleep(0.005)
        raise TimeoutError(f"{name} was not started")

    def lives(self, pid: int) -> bool:
        """Say whether a process that was started here runs."""
        return pid not in self._ended

    def close(self) -> None:
        """End the nursery and whatever of it still runs."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait(20)
        self._reader.join(5)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            if "name" in told:
                self._pids[told["name"]] = told["pid"]
            else:
                self._ended[told["pid"]] = told["status"]


@dataclass
class Fork(Program):
    """A program that a nursery starts."""

    nursery: Nursery | None = None
    pid: int | None = field(default=None, init=False)

    def start(self) -> None:
        """Start it in a process group of its own."""
        assert self.nursery is not None
        kept = {key: os.environ[key] for key in _KEPT if key in os.environ}
        name = f"{self.log}"
        self.pid = self.nursery.start(name, {**kept, **self.environment}, self.log)

    def alive(self) -> bool:
        """Say whether it runs."""
        assert self.nursery is not None
        return self.pid is not None and self.nursery.lives(self.pid)

    def see_end(self, limit_s: float = 20.0) -> None:
        """Wait until it, asked to, has ended; then, or after the limit, end its children."""
        self.wait(limit_s)
        self.kill()

    def ask_to_end(self) -> None:
        """Tell it to end; returns at once."""
        if self.pid is not None and self.alive():
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def wait(self, limit_s: float) -> bool:
        """Wait for its end; say whether it came."""
        end = time.monotonic() + limit_s
        while self.alive() and time.monotonic() < end:
            time.sleep(0.01)
        return not self.alive()

    def kill(self) -> None:
        """End it at once, with its children."""
        if self.pid is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self.wait(10)


# --- inside ---------------------------------------------------------------------------------------


def main(role: str) -> None:
    """Take orders until the input is closed."""
    entry = importlib.import_module(f"tests.crash.entry_{role}")
    children: set[int] = set()
    buffer = b""
    while True:
        if select.select([0], [], [], 0.01)[0]:
            read = os.read(0, 65536)
            if not read:
                break
            buffer += read
        *lines, buffer = buffer.split(b"\n")
        for line in lines:
            order = json.loads(line)
            pid = os.fork()
            if pid == 0:
                _become(order, entry)
            children.add(pid)
            _tell(name=order["name"], pid=pid)
        _reap(children)
    for pid in children:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def _reap(children: set[int]) -> None:
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        children.discard(pid)
        _tell(pid=pid, status=status)


def _tell(**facts: Any) -> None:
    os.write(1, json.dumps(facts).encode() + b"\n")


def _become(order: dict[str, Any], entry: Any) -> NoReturn:
    status = 1
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDONLY)
        log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        for source, target in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        os.environ.clear()
        os.environ.update(order["environment"])
        sys.argv = [f"byre-{order['name'].rpartition('/')[2]}"]
        entry.main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - this is the end of the process
        sys.excepthook(*sys.exc_info())
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main(sys.argv[1])
