"""The whole stack on the fake driver, in a directory and on ports of its own: up, again, down."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.stack.layout import ROOT, read_layout
from deploy.stack.settings import ensure_settings
from tests.processes import wait_until

PARTS = ("redis", "api", "control", "beat", "compute", "console", "flower", "keeper")
#: Words of the command lines of those that are killed.
KILLED = ("byre-beat", "byre-compute", "byre-control", "byre-api", "redis-server")
STAGES = (
    "validate",
    "schedule",
    "build_resources",
    "define_domain",
    "launch",
    "poll_boot",
)


class Commands:
    """The stack's commands, as `make` calls them: no terminal, no input."""

    def __init__(self, directory: Path) -> None:
        self.home = directory / "home"
        ports = free_ports(4)
        kept = {key: value for key, value in os.environ.items() if not key.startswith("BYRE_")}
        self.environ = kept | {
            "BYRE_STACK_DIR": str(self.home),
            "BYRE_STACK_HOST_DIR": str(directory / "host"),
            "BYRE_STACK_DRIVER": "fake",
            "BYRE_STACK_API_PORT": str(ports[0]),
            "BYRE_STACK_REDIS_PORT": str(ports[1]),
            "BYRE_STACK_FLOWER_PORT": str(ports[2]),
            "BYRE_STACK_CONSOLE_PORT": str(ports[3]),
        }

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "deploy.stack", *words],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            env=self.environ,
            timeout=120,
        )

    def processes(self) -> list[str]:
        """Every process that has this stack's directory in its environment or arguments."""
        mark, found = str(self.home).encode(), []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                text = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
            except OSError:
                continue
            if mark in text and process.name != str(os.getpid()):
                found.append(f"{process.name} {(process / 'comm').read_text().strip()}")
        return found


def pids_of(stack: Commands, word: str) -> list[int]:
    """Return the stack's processes in whose command line the word is."""
    pids = [int(line.split()[0]) for line in stack.processes()]
    return [pid for pid in pids if word in command_line(pid)]


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def free_ports(count: int) -> list[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Commands]:
    commands = Commands(tmp_path)
    yield commands
    commands.run("down")


def test_up_boots_a_first_server_and_down_leaves_nothing(stack: Commands) -> None:
    up = stack.run("up")
    assert up.returncode == 0, up.stdout
    assert [line.split()[0] for line in up.stdout.splitlines() if " done" in line] == list(STAGES)
    assert "Byre is up" in up.stdout
    assert "\x1b" not in up.stdout

    status = stack.run("status")
    assert status.returncode == 0, status.stdout
    rows = {line.split()[0]: line.split()[1] for line in status.stdout.splitlines()[1:]}
    assert rows == dict.fromkeys(PARTS, "up") | {"servers": "1"}
    assert "1 ACTIVE" in status.stdout

    before = stack.processes()
    again = stack.run("up")
    assert again.returncode == 0, again.stdout
    assert "nothing was changed" in again.stdout
    assert stack.processes() == before

    logs = stack.run("logs", "api")
    assert logs.returncode == 0
    assert logs.stdout

    down = stack.run("down")
    assert down.returncode == 0, down.stdout
    assert "server first" in down.stdout
    assert stack.processes() == []
    assert (stack.home / "byre.db").exists()
    assert stack.run("down").stdout == "Byre is down already.\n"
    assert stack.run("status").returncode == 1

    assert stack.run("clean").returncode == 0
    assert [path.name for path in stack.home.rglob("*")] == ["stack.lock"]


def test_what_was_killed_runs_again_without_hands(stack: Commands) -> None:
    assert stack.run("up").returncode == 0
    killed = {pid for word in KILLED for pid in pids_of(stack, word)}
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    assert stack.run("status").returncode == 1

    wait_until(lambda: stack.run("status").returncode == 0, "everything to be up", 60)

    assert not killed & {pid for word in KILLED for pid in pids_of(stack, word)}


def test_up_starts_a_supervisor_that_was_killed(stack: Commands) -> None:
    assert stack.run("up").returncode == 0
    (keeper,) = pids_of(stack, "deploy.stack.keep")
    before = stack.processes()
    os.kill(keeper, signal.SIGKILL)
    wait_until(lambda: not pids_of(stack, "deploy.stack.keep"), "its end", 5)

    assert stack.run("up").returncode == 0

    assert pids_of(stack, "deploy.stack.keep") != [keeper]
    others = {line for line in before if not line.startswith(f"{keeper} ")}
    assert others <= set(stack.processes())


def test_a_part_that_cannot_start_is_shown_with_its_log(stack: Commands) -> None:
    layout = read_layout(stack.environ)
    ensure_settings(layout)
    text = layout.config.read_text()
    layout.config.write_text(text.replace("[compute]", "[compute]\nhost = '-'"))

    up = stack.run("up")
    assert up.returncode == 1
    assert "compute has ended. The end of its log" in up.stdout
    assert "BYRE_HOST" in up.stdout
    assert "make logs PART=compute" in up.stdout
