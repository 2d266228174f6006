"""What flavors ask of a host's aggregates, and aggregates say of whom they are for. Pure.

A flavor's extra spec `aggregate_instance_extra_specs:KEY` asks for hosts in an aggregate whose
metadata has KEY with such a value, in Nova's small language: a word of comparison and what to
compare with, or the value as it is.
"""

from collections.abc import Callable, Mapping

SCOPE = "aggregate_instance_extra_specs:"

#: Keys of an aggregate's metadata that begin so name the projects that its hosts are kept for.
ISOLATION = "filter_tenant_id"


def _numbers(compare: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    def check(value: str, wanted: str) -> bool:
        try:
            return compare(float(value), float(wanted))
        except ValueError:
            return False

    return check


#: word -> (the aggregate's value, what the flavor asks for) -> does it do?
_COMPARISONS: dict[str, Callable[[str, str], bool]] = {
    # Nova's oldest word means "at least".
    "=": _numbers(lambda value, wanted: value >= wanted),
    "==": _numbers(lambda value, wanted: value == wanted),
    "!=": _numbers(lambda value, wanted: value != wanted),
    ">=": _numbers(lambda value, wanted: value >= wanted),
    "<=": _numbers(lambda value, wanted: value <= wanted),
    "s==": lambda value, wanted: value == wanted,
    "s!=": lambda value, wanted: value != wanted,
    "s<": lambda value, wanted: value < wanted,
    "s<=": lambda value, wanted: value <= wanted,
    "s>": lambda value, wanted: value > wanted,
    "s>=": lambda value, wanted: value >= wanted,
    "<in>": lambda value, wanted: wanted in value,
    "<all-in>": lambda value, wanted: all(word in value for word in wanted.split()),
    "<or>": lambda value, wanted: value in [word.strip() for word in wanted.split("<or>")],
}


def asked(extra_specs: Mapping[str, str]) -> dict[str, str]:
    """Return what a flavor asks of aggregates: key -> what its value must be like."""
    return {
        key.removeprefix(SCOPE): wanted
        for key, wanted in extra_specs.items()
        if key.startswith(SCOPE)
    }


def has(facts: Mapping[str, str], key: str, wanted: str) -> bool:
    """Say whether an aggregate's metadata has what is wanted; of several values after commas one
    is enough."""
    return key in facts and any(matches(value.strip(), wanted) for value in facts[key].split(","))


def matches(value: str, wanted: str) -> bool:
    """Say whether a value is as it is wanted."""
    word, _, rest = wanted.strip().partition(" ")
    compare = _COMPARISONS.get(word)
    return value == wanted if compare is None or not rest else compare(value, rest.strip())


def kept_for(facts: Mapping[str, str]) -> set[str] | None:
    """Return the ids of the projects that an aggregate's hosts are kept for; None is all."""
    lists = [value for key, value in facts.items() if key.startswith(ISOLATION)]
    if not lists:
        return None
    return {project.strip() for each in lists for project in each.split(",")}
