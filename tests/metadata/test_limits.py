"""How much one guest may ask."""

from workers.limits import Allowance, Held


def test_each_holds_no_more_than_it_may_and_gives_back() -> None:
    held = Held(2)
    assert [held.take("a") for _ in range(3)] == [True, True, False]
    assert held.take("b")
    held.give("a")
    assert [held.take("a"), held.take("a")] == [True, False]


def test_an_allowance_is_refilled_at_its_rate_and_never_above_it() -> None:
    clock = [0.0]
    allowance = Allowance(3, 2.0, lambda: clock[0])
    assert [allowance.take("a") for _ in range(4)] == [True, True, True, False]
    assert allowance.take("b")
    clock[0] += 0.5
    assert [allowance.take("a"), allowance.take("a")] == [True, False]
    clock[0] += 1000
    assert [allowance.take("a") for _ in range(4)] == [True, True, True, False]


def test_sources_that_fell_silent_are_forgotten() -> None:
    clock = [0.0]
    allowance = Allowance(1, 1.0, lambda: clock[0])
    for source in range(3000):
        clock[0] += 1
        assert allowance.take(source)
    assert len(allowance._left) < 1100
