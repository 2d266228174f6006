"""The supervisor of the stack: what has ended by itself is started again.

Effect  a part whose process is gone runs again within two seconds; one that goes on ending is
        started less and less often; one that says its settings are wrong is left alone.
Repeat  a part that runs is not touched, so a second supervisor would find nothing to do.

`down` ends the supervisor first of all, and then the parts; a part without a pid file was ended on
purpose. The supervisor is a part itself: `make up` starts one that has died.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from config.settings import EXIT_CONFIG
from deploy.stack import libvirt
from deploy.stack.layout import ROOT, Layout, read_layout
from deploy.stack.parts import Stack
from deploy.stack.process import Background
from deploy.stack.say import Failure
from deploy.stack.settings import read_settings

LOOK_EVERY_S = 0.5
LIBVIRT_EVERY_S = 2.0
#: A part that ends again within this is started after a pause that doubles each time.
STEADY_AFTER_S = 60.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
#: What a process that was killed has left of its children may take so long to end.
REMAINS_LIMIT_S = 3.0


@dataclass
class Kept:
    """One part as the supervisor sees it."""

    process: Background
    started_at: float | None = None
    pause_s: float = FIRST_PAUSE_S
    due_at: float | None = None
    given_up: bool = False


@dataclass
class Keeper:
    """Looks at the parts, one turn at a time."""

    processes: Sequence[Background]
    environ: Mapping[str, str]
    clock: Callable[[], float] = time.monotonic
    kept: list[Kept] = field(init=False)

    def __post_init__(self) -> None:
        self.kept = [Kept(process) for process in self.processes]

    def turn(self) -> None:
        """Look at each part once."""
        for part in self.kept:
            if not part.given_up:
                self._see_to(part)

    def _see_to(self, part: Kept) -> None:
        ended_with = part.process.exit_code()
        if part.process.alive() or not part.process.pid_file.exists():
            part.due_at = None
            return
        if ended_with == EXIT_CONFIG:
            part.given_up = True
            _note(part, "its settings are wrong: it is not started again; then make up")
        elif part.due_at is None:
            self._plan(part)
        elif self.clock() >= part.due_at:
            self._start(part)

    def _plan(self, part: Kept) -> None:
        now = self.clock()
        was_steady = part.started_at is None or now - part.started_at > STEADY_AFTER_S
        part.pause_s = FIRST_PAUSE_S if was_steady else min(2 * part.pause_s, LONGEST_PAUSE_S)
        part.due_at = now + part.pause_s
        _note(part, f"has ended; it is started again in {part.pause_s:.0f} s")

    def _start(self, part: Kept) -> None:
        part.process.end_remains(REMAINS_LIMIT_S)
        part.started_at, part.due_at = self.clock(), None
        part.process.start(self.environ, ROOT)
        _note(part, "was started again")


def _note(part: Kept, what: str) -> None:
    """Say it where people look for the part, and in the supervisor's own log."""
    line = f"{part.process.name} {what}"
    with part.process.log.open("a") as log:
        log.write(f"supervisor: {line}\n")
    _say(line)


def _say(line: str) -> None:
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    sys.stdout.write(f"{moment} {line}\n")
    sys.stdout.flush()


def _libvirt_is_gone(directory: Path) -> bool:
    """Tell whether the libvirtd that we started by hand has ended. Its guests run on without it."""
    try:
        _, daemon = (directory / "libvirtd.pid").read_text().splitlines()
    except (OSError, ValueError):
        return False
    return not Path(f"/proc/{daemon.split()[0]}").exists()


def _turns() -> Iterator[None]:
    """Yield until the process is told to stop."""
    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    while not stopped:
        yield
        time.sleep(LOOK_EVERY_S)


def main() -> None:
    """Keep the stack until told to stop."""
    layout = read_layout(os.environ)
    stack = Stack(layout, read_settings(layout))
    keeper = Keeper([part.process for part in stack.parts], stack.environ())
    looked_at = 0.0
    for _ in _turns():
        if stack.uses_libvirt and time.monotonic() - looked_at > LIBVIRT_EVERY_S:
            looked_at = time.monotonic()
            _keep_libvirt(layout)
        keeper.turn()


def _keep_libvirt(layout: Layout) -> None:
    if not _libvirt_is_gone(libvirt.own_dir(layout)):
        return
    _say("libvirtd has ended; it is started again")
    try:
        libvirt.start(layout)
    except Failure as failure:
        _say(str(failure))


if __name__ == "__main__":
    main()
