"""Extra specs as values in and limits out. What is refused is in tests/http/table_refusals.py."""

import pytest

from app.runs.extra_specs import _NUMBERS, check_extra_specs, cpu_policy_of, limits_of
from tasks.messages import Limits


def test_every_limit_has_its_extra_spec() -> None:
    assert {number.field for number in _NUMBERS.values()} == set(Limits.model_fields)


@pytest.mark.parametrize("key", _NUMBERS)
def test_each_number_fills_its_own_field(key: str) -> None:
    number = _NUMBERS[key]
    limits = limits_of({key: str(number.lowest)})
    assert limits.model_dump(exclude_defaults=True) == {number.field: number.lowest}


@pytest.mark.parametrize("key", [key for key in _NUMBERS if "vif" not in key])
def test_the_largest_and_none_are_taken(key: str) -> None:
    check_extra_specs({key: str(_NUMBERS[key].highest)})
    check_extra_specs({key: "0"})
    assert limits_of({key: "0"}) == Limits()


def test_others_namespaces_are_theirs() -> None:
    specs = {"trait:CUSTOM_X": "required", "hw_rng:allowed": "True", "quota": "x", "note": ""}
    check_extra_specs(specs)
    assert limits_of(specs) == Limits()
    assert cpu_policy_of(specs) == "shared"
