"""The commands: up, down, status, logs, clean."""

import argparse
import fcntl
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from deploy.stack.client import ApiError
from deploy.stack.down import down
from deploy.stack.layout import Layout, read_layout
from deploy.stack.logs import logs
from deploy.stack.parts import Stack
from deploy.stack.say import Failure, say
from deploy.stack.settings import ensure_settings, read_settings
from deploy.stack.start import refuse_taken_first_ports
from deploy.stack.status import status
from deploy.stack.up import up


def main() -> int:
    """Run one command; return the process's exit code."""
    arguments = _parse()
    try:
        return _run(arguments.command, getattr(arguments, "part", None), read_layout())
    except (Failure, ApiError, ValueError) as error:
        sys.stdout.flush()
        sys.stderr.write(f"\nmake {arguments.command}: {error}\n")
        return 1
    except BrokenPipeError:
        # Whoever read has read enough, as `make status | head` does; what was done is done.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted; make up goes on from here, make down stops what runs\n")
        return 130


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.stack", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("up", "down", "status", "clean"):
        commands.add_parser(name)
    commands.add_parser("logs").add_argument("part", nargs="?")
    return parser.parse_args()


def _run(command: str, part: str | None, layout: Layout) -> int:
    if command == "logs":
        logs(layout, part)
    if command == "up":
        with _alone(layout):
            if not layout.config.exists():
                refuse_taken_first_ports(layout)
            return up(Stack(layout, ensure_settings(layout)))
    if not layout.config.exists():
        say("Byre has not been up here yet: make up.")
        return 1 if command == "status" else 0
    stack = Stack(layout, read_settings(layout))
    if command == "status":
        return 0 if status(stack) else 1
    with _alone(layout):
        down(stack)
    if command == "clean":
        _remove_data(layout)
    return 0


@contextmanager
def _alone(layout: Layout) -> Iterator[None]:
    """Let one `up` or `down` run at a time."""
    layout.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (layout.home / "stack.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Failure("another make up or make down is under way here") from error
        yield


def _remove_data(layout: Layout) -> None:
    """Remove what `up` made, and nothing else: either place may hold more than ours."""
    for name in ("images", "log", "redis", "run", "ssh", "guest"):
        shutil.rmtree(layout.home / name, ignore_errors=True)
    for path in layout.home.glob("byre.db*"):
        path.unlink()
    for path in (layout.config, layout.clouds, layout.lost_servers_mark):
        path.unlink(missing_ok=True)
    for name in ("storage", "state", "console", "probe", "libvirt"):
        shutil.rmtree(layout.host_dir / name, ignore_errors=True)
    say("The stack's data is removed.")


if __name__ == "__main__":
    sys.exit(main())
