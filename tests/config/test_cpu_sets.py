"""Sets of processors as operators write them."""

import pytest

from config.cpu_sets import cpu_set_text, parse_cpu_set
from config.settings import SettingsError, load_compute


@pytest.mark.parametrize(
    ("text", "cpus"),
    [
        ("", set()),
        ("3", {3}),
        ("2-4,10", {2, 3, 4, 10}),
        (" 0-7 , ^4,^6-7 ", {0, 1, 2, 3, 5}),
        ("1,,1", {1}),
    ],
)
def test_a_set_is_read_as_nova_does(text: str, cpus: set[int]) -> None:
    assert parse_cpu_set(text) == cpus
    assert parse_cpu_set(cpu_set_text(frozenset(cpus))) == cpus


@pytest.mark.parametrize("text", ["x", "3-", "-3", "4-2", "0-99999", "1;2", "^", "²", "1 2"])
def test_what_is_no_set_is_refused_by_its_part(text: str) -> None:
    with pytest.raises(ValueError, match="is no processor"):
        parse_cpu_set(text)


def test_a_wrong_set_ends_the_start_and_names_the_setting() -> None:
    with pytest.raises(SettingsError, match=r"BYRE_CPU_DEDICATED_SET.*'x'"):
        load_compute({"BYRE_CPU_DEDICATED_SET": "x"})


def test_no_processor_is_both_shared_and_dedicated() -> None:
    with pytest.raises(SettingsError, match=r"BYRE_CPU_SHARED_SET.*\[2\]"):
        load_compute({"BYRE_CPU_DEDICATED_SET": "2-3", "BYRE_CPU_SHARED_SET": "0-2"})
    settings = load_compute({"BYRE_CPU_DEDICATED_SET": "2-3", "BYRE_CPU_SHARED_SET": "0,1"})
    assert settings.cpu_dedicated_set == frozenset({2, 3})
    assert settings.cpu_shared_set == frozenset({0, 1})


def test_the_processors_model_and_features_are_names() -> None:
    settings = load_compute({"BYRE_CPU_MODEL": "Nehalem", "BYRE_CPU_FEATURES": "pcid, -vmx"})
    assert (settings.cpu_model, settings.cpu_features) == ("Nehalem", ("pcid", "-vmx"))
    for name, value in (("BYRE_CPU_MODEL", "a b"), ("BYRE_CPU_FEATURES", "pcid,!x")):
        with pytest.raises(SettingsError, match=name):
            load_compute({name: value})
