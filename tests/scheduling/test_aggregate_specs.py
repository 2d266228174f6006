"""What flavors ask of aggregates, in Nova's words of comparison."""

import pytest

from app.scheduling.aggregate_specs import asked, has, kept_for, matches


@pytest.mark.parametrize(
    ("value", "wanted", "does"),
    [
        ("true", "true", True),
        ("true", "True", False),
        ("8", "= 4", True),
        ("2", "= 4", False),
        ("4.0", "== 4", True),
        ("5", "!= 4", True),
        ("4", ">= 4", True),
        ("5", "<= 4", False),
        ("many", ">= 4", False),
        ("abc", "s== abc", True),
        ("abc", "s!= abc", False),
        ("b", "s< a", False),
        ("a", "s<= a", True),
        ("b", "s> a", True),
        ("a", "s>= b", False),
        ("abcd", "<in> bc", True),
        ("abcd", "<all-in> bc cd", True),
        ("abcd", "<all-in> bc x", False),
        ("b", "<or> a <or> b", True),
        ("c", "<or> a <or> b", False),
        ("<or>", "<or>", True),
    ],
)
def test_words_of_comparison(value: str, wanted: str, *, does: bool) -> None:
    assert matches(value, wanted) is does


def test_only_the_scope_is_asked_and_one_value_is_enough() -> None:
    specs = {"aggregate_instance_extra_specs:ssd": "yes", "quota:cpu_shares": "5", "ssd": "no"}
    assert asked(specs) == {"ssd": "yes"}
    assert has({"ssd": "no, yes"}, "ssd", "yes")
    assert not has({"ssd": "no"}, "ssd", "yes")
    assert not has({}, "ssd", "!= 1")


def test_lists_of_projects_add_up() -> None:
    assert kept_for({"ssd": "yes"}) is None
    assert kept_for({"filter_tenant_id": "a,b", "filter_tenant_id_2": "c"}) == {"a", "b", "c"}
