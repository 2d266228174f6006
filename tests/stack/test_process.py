"""Background processes: found again, ended with their children, never mistaken for others."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.stack.process import Background, Mark, is_running, uptime_s

ENVIRON = dict(os.environ)
#: Prints the pid of a child, then both wait for a signal that this one would ignore.
STUBBORN = """
import signal, subprocess, sys, time
child = subprocess.Popen(["sleep", "60"])
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(child.pid, flush=True)
time.sleep(60)
"""


def background(tmp_path: Path, *argv: str) -> Background:
    return Background("part", argv, tmp_path / "run" / "part.pid", tmp_path / "log" / "part.log")


def first_line(process: Background) -> str:
    deadline = time.monotonic() + 10
    while not process.last_lines(1) and time.monotonic() < deadline:
        time.sleep(0.02)
    return process.last_lines(1)[0]


def runs(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "\nState:\tZ" not in status.read_text()


def test_a_started_process_is_found_again_by_its_pid_file(tmp_path: Path) -> None:
    process = background(tmp_path, "sleep", "60")
    mark = process.start(ENVIRON, tmp_path)
    try:
        again = background(tmp_path, "sleep", "60").alive()
        assert again == mark
        assert os.getsid(mark.pid) == mark.pid
        assert 0 <= uptime_s(mark) < 5
        assert process.pid_file.stat().st_mode & 0o777 == 0o600
    finally:
        assert process.stop(5)
    assert process.alive() is None
    assert not process.pid_file.exists()


def test_a_recycled_pid_is_not_ours_and_is_never_signalled(tmp_path: Path) -> None:
    """The pid file names a living process, but one that started at another time."""
    process = background(tmp_path, "sleep", "60")
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as stranger:
        try:
            process.start(ENVIRON, tmp_path)
            ours = Mark(**json.loads(process.pid_file.read_text()))
            os.killpg(ours.pid, signal.SIGKILL)
            recycled = Mark(stranger.pid, 0, ours.boot_id)
            process.pid_file.write_text(json.dumps(dataclasses.asdict(recycled)))

            assert process.alive() is None
            assert not process.stop(1)
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_a_pid_of_an_earlier_boot_is_not_ours(tmp_path: Path) -> None:
    process = background(tmp_path, "sleep", "60")
    mark = process.start(ENVIRON, tmp_path)
    try:
        assert is_running(mark)
        assert not is_running(dataclasses.replace(mark, boot_id="another"))
    finally:
        process.stop(5)


def test_stop_ends_a_process_that_will_not_and_its_children(tmp_path: Path) -> None:
    process = background(tmp_path, sys.executable, "-c", STUBBORN)
    mark = process.start(ENVIRON, tmp_path)
    child = int(first_line(process))
    assert process.stop(0.3)
    assert not runs(mark.pid)
    assert not runs(child)


def test_stop_ends_the_children_of_a_process_that_has_crashed(tmp_path: Path) -> None:
    process = background(tmp_path, sys.executable, "-c", STUBBORN)
    mark = process.start(ENVIRON, tmp_path)
    child = int(first_line(process))
    os.kill(mark.pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while process.alive() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert runs(child)

    assert not process.stop(1)
    assert not runs(child)


def test_a_process_that_has_ended_is_seen_as_ended_by_its_starter(tmp_path: Path) -> None:
    process = background(tmp_path, "sh", "-c", "echo why it ended; exit 3")
    process.start(ENVIRON, tmp_path)
    deadline = time.monotonic() + 5
    while process.alive() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process.alive() is None
    assert process.last_lines(5) == ["why it ended"]


@pytest.mark.parametrize("content", ["", "not json", "{}", '{"pid": 1}', "[1]"])
def test_a_broken_pid_file_is_no_process(tmp_path: Path, content: str) -> None:
    process = background(tmp_path, "sleep", "60")
    process.pid_file.parent.mkdir()
    process.pid_file.write_text(content)
    assert process.alive() is None
    assert not process.stop(1)
