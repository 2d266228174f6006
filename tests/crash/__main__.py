"""Everything that can go wrong, and what became of it: `python -m tests.crash`.

Runs the crash test, with real libvirt and QEMU too, and many seeds of the simulation; prints a row
for each kind of fault: cases, survived, lost, leaked, seconds from the fault to the end that was
promised. Exits with 1 if anything was lost or leaked, or a case did not get as far as its fault.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from statistics import median

import pytest

from tests.crash.cases import PROPERTY, Outcome

_ROW = "{:<26}{:>7}{:>10}{:>7}{:>8}{:>11}{:>9}"


class Collector:
    """Collects the outcomes of a test run."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.failed: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in one test's report; its properties are the same at each of its phases."""
        if report.failed:
            self.failed.add(report.nodeid)
        if report.when == "teardown":
            noted = [value for name, value in report.user_properties if name == PROPERTY]
            self.outcomes += [Outcome(**value) for value in noted if isinstance(value, dict)]


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="of the simulation")
    options = parser.parse_args()
    collector = Collector()
    pytest.main(["-q", str(Path(__file__).parent)], plugins=[collector])
    print(table(collector.outcomes))
    for nodeid in sorted(collector.failed):
        print(f"failed: {nodeid}")
    print(f"\nSimulation of several hosts, seeds 0 to {options.seeds - 1}:", flush=True)
    simulation = [sys.executable, "-m", "tests.simulation", "--seeds", str(options.seeds)]
    ended = subprocess.run(simulation, check=False)
    return 1 if collector.failed or ended.returncode or not collector.outcomes else 0


def table(outcomes: Iterable[Outcome]) -> str:
    """Return a row for each kind of fault, and one for all of them."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome.group, []).append(outcome)
    lines = [_ROW.format("fault", "cases", "survived", "lost", "leaked", "median s", "longest")]
    lines += [_row(group, some) for group, some in groups.items()]
    lines.append(_row("all", [outcome for some in groups.values() for outcome in some]))
    return "\n".join(lines)


def _row(title: str, outcomes: list[Outcome]) -> str:
    times = [outcome.recovery_s for outcome in outcomes if outcome.recovery_s is not None]
    return _ROW.format(
        title,
        len(outcomes),
        sum(1 for outcome in outcomes if outcome.survived()),
        sum(1 for outcome in outcomes if outcome.lost),
        sum(1 for outcome in outcomes if outcome.leaked),
        f"{median(times):.1f}" if times else "-",
        f"{max(times):.1f}" if times else "-",
    )


if __name__ == "__main__":
    sys.exit(main())
