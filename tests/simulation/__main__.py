"""Run seeds, and say what came of them."""

import argparse
import sys
from collections import Counter

from tests.simulation.simulation import Outcome, simulate


def main() -> int:
    """Return the exit code: 1 if a seed failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--seeds", type=int, default=20, help="from 0 to this one, without it")
    parser.add_argument("-v", "--verbose", action="store_true", help="print each step")
    options = parser.parse_args()
    seeds = range(options.seeds) if options.seed is None else (options.seed,)
    outcomes = [_told(simulate(seed, verbose=options.verbose)) for seed in seeds]
    _print_table(outcomes)
    failed = [outcome.seed for outcome in outcomes if outcome.problems]
    if failed:
        print(f"failed seeds: {', '.join(map(str, failed))}")
        print(f"again: python -m tests.simulation --seed {failed[0]} -v")
    return 1 if failed else 0


def _told(outcome: Outcome) -> Outcome:
    if outcome.problems:
        print(f"seed {outcome.seed} FAILED after {outcome.simulated_s:.0f} simulated seconds:")
        for problem in outcome.problems[:12]:
            print(f"  {problem}")
    sys.stdout.flush()
    return outcome


def _print_table(outcomes: list[Outcome]) -> None:
    injected: Counter[str] = Counter()
    servers: Counter[str] = Counter()
    for outcome in outcomes:
        injected.update(outcome.injected)
        servers.update(outcome.servers)
    steps = sum(outcome.steps for outcome in outcomes)
    simulated_s = sum(outcome.simulated_s for outcome in outcomes)
    took_s = sum(outcome.took_s for outcome in outcomes)
    print(f"{'seeds':<16}{len(outcomes):>9}")
    print(f"{'failed':<16}{sum(bool(outcome.problems) for outcome in outcomes):>9}")
    print(f"{'steps':<16}{steps:>9}")
    print(f"{'simulated hours':<16}{simulated_s / 3600:>9.1f}")
    print(f"{'seconds a seed':<16}{took_s / max(1, len(outcomes)):>9.2f}")
    for title, counter in (("done", injected), ("servers", servers)):
        for name, count in counter.most_common():
            print(f"{title:<8} {name:<16}{count:>8}")
    if len(outcomes) == 1:
        print(f"trace {outcomes[0].digest}")


if __name__ == "__main__":
    sys.exit(main())
