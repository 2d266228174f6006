"""Some seeds of the simulation. `python -m tests.simulation --seeds 200` runs many more."""

import threading
import uuid

import pytest

from tests.simulation.simulation import simulate


@pytest.mark.parametrize("seed", range(10))
def test_whatever_happens_it_settles(seed: int) -> None:
    outcome = simulate(seed)

    again = f"python -m tests.simulation --seed {seed} -v"
    assert not outcome.problems, f"{again}\n" + "\n".join(outcome.problems)
    assert outcome.injected.keys() - {"create", "delete", "act"}, "nothing was done to it"
    assert sum(outcome.servers.values()) > 0


def test_a_seed_is_always_the_same_story_and_another_seed_another_one() -> None:
    first, other = simulate(3), simulate(4)

    over = threading.Event()
    stranger = threading.Thread(target=_draw_ids, args=(over,))
    stranger.start()
    try:
        second = simulate(3)
    finally:
        over.set()
        stranger.join()

    assert (second.digest, second.steps) == (first.digest, first.steps)
    assert second.servers == first.servers
    assert other.digest != first.digest


def _draw_ids(over: threading.Event) -> None:
    """What a thread does that another test of this process has left."""
    while not over.wait(0.01):
        uuid.uuid4()
