"""What has ended by itself runs again; what was ended on purpose, or is set wrongly, does not."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.stack.keep import FIRST_PAUSE_S, LONGEST_PAUSE_S, STEADY_AFTER_S, Keeper
from deploy.stack.process import Background


class Clock:
    """A clock that the test turns."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The keeper's clock."""
    return Clock()


@pytest.fixture
def part(tmp_path: Path) -> Iterator[Background]:
    """A part that runs until it is ended."""
    process = Background("part", ("sleep", "60"), tmp_path / "part.pid", tmp_path / "part.log")
    yield process
    process.stop(5)


def keeper_of(part: Background, clock: Clock) -> Keeper:
    return Keeper([part], dict(os.environ), clock)


def kill(part: Background) -> None:
    mark = part.alive()
    assert mark is not None
    os.killpg(mark.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while part.alive() and time.monotonic() < deadline:
        time.sleep(0.01)


def turns_until_alive(keeper: Keeper, part: Background, clock: Clock) -> float:
    """Turn each second until the part runs; return how many seconds that took."""
    began = clock.now
    while not part.alive():
        keeper.turn()
        clock.now += 1
        assert clock.now - began < 100
    return clock.now - began


def test_part_that_was_killed_runs_again(part: Background, clock: Clock, tmp_path: Path) -> None:
    keeper = keeper_of(part, clock)
    first = part.start(dict(os.environ), tmp_path)
    keeper.turn()
    assert part.alive() == first

    kill(part)

    assert turns_until_alive(keeper, part, clock) <= FIRST_PAUSE_S + 1
    assert part.alive() != first
    assert part.last_lines(1) == ["supervisor: part was started again"]


def test_part_that_goes_on_ending_is_started_less_and_less_often(
    part: Background, clock: Clock, tmp_path: Path
) -> None:
    keeper = keeper_of(part, clock)
    part.start(dict(os.environ), tmp_path)
    took = []
    for _ in range(7):
        kill(part)
        took.append(turns_until_alive(keeper, part, clock))

    assert took == sorted(took)
    assert took[-1] == LONGEST_PAUSE_S + 1

    clock.now += STEADY_AFTER_S + 1
    kill(part)
    assert turns_until_alive(keeper, part, clock) <= FIRST_PAUSE_S + 1


def test_part_that_was_ended_on_purpose_stays_so(
    part: Background, clock: Clock, tmp_path: Path
) -> None:
    """Also if it was about to be started again."""
    keeper = keeper_of(part, clock)
    part.start(dict(os.environ), tmp_path)
    kill(part)
    keeper.turn()

    part.stop(5)
    clock.now += 100
    keeper.turn()
    clock.now += 100
    keeper.turn()

    assert part.alive() is None


def test_part_with_wrong_settings_is_not_started_again(clock: Clock, tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    program = f"open({str(starts)!r}, 'a').write('x'); raise SystemExit(78)"
    argv = (sys.executable, "-c", program)
    part = Background("part", argv, tmp_path / "part.pid", tmp_path / "part.log")
    keeper = keeper_of(part, clock)
    part.start(dict(os.environ), tmp_path)
    deadline = time.monotonic() + 20
    while not keeper.kept[0].given_up and time.monotonic() < deadline:
        keeper.turn()
        clock.now += 100
        time.sleep(0.05)

    assert "its settings are wrong" in part.last_lines(1)[0]
    assert len(starts.read_text()) <= 2
