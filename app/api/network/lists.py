"""Neutron's lists: filters by any field, a choice of fields, order and pages, over whole bodies.

The database narrows by ids and names first (`facts`): that is how clients look for one thing.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from werkzeug.datastructures import MultiDict

from app.api.links import next_page
from tasks.errors import RequestError

Json = dict[str, Any]

_TAGS = frozenset({"tags", "tags-any", "not-tags", "not-tags-any"})
_WORDS = _TAGS | {"fields", "limit", "marker", "page_reverse", "sort_key", "sort_dir"}
_TRUE, _FALSE = ("true", "1"), ("false", "0")


def facts(query: MultiDict[str, str], columns: Mapping[str, str]) -> dict[str, list[str]]:
    """Return those filters of the query that the database applies, by column: `columns` are the
    fields that are columns too."""
    return {column: query.getlist(name) for name, column in columns.items() if name in query}


def select(
    name: str, bodies: Sequence[Json], query: MultiDict[str, str], known: Collection[str]
) -> Json:
    """Return a list's answer: what the query leaves of the bodies, and a link to the next page if
    this one is full. Raises RequestError for an unknown field."""
    unknown = sorted(query.keys() - _WORDS - set(known))
    if unknown:
        raise RequestError(f"{unknown} is invalid attribute for filtering")
    wanted = {field: query.getlist(field) for field in query.keys() - _WORDS}
    found = [body for body in bodies if _fits(body, wanted) and _is_tagged(body, query)]
    found = _page(_sorted(found, query, known), query)
    chosen = set(query.getlist("fields"))
    answer: Json = {name: [project(body, chosen) for body in found]}
    if found and str(len(found)) == query.get("limit"):
        answer[f"{name}_links"] = [{"rel": "next", "href": next_page(found[-1]["id"])}]
    return answer


def project(body: Json, chosen: Collection[str]) -> Json:
    """Return the chosen fields of a body; all of them if none is chosen."""
    return {name: value for name, value in body.items() if not chosen or name in chosen}


def _fits(body: Json, wanted: dict[str, list[str]]) -> bool:
    return all(
        any(_equal(body.get(name), text) for text in texts) for name, texts in wanted.items()
    )


def _is_tagged(body: Json, query: MultiDict[str, str]) -> bool:
    """Each of the four words names tags, separated by commas."""
    has = set(body.get("tags", ()))
    for word in _TAGS & query.keys():
        asked = set(query[word].split(","))
        found = bool(asked & has) if word.endswith("any") else asked <= has
        if found == word.startswith("not"):
            return False
    return True


def _equal(value: Any, text: str) -> bool:
    if isinstance(value, bool):
        return text.lower() in (_TRUE if value else _FALSE)
    if isinstance(value, list):
        return any(_inside(item, text) for item in value)
    return str("" if value is None else value) == text


def _inside(item: Any, text: str) -> bool:
    """`fixed_ips=ip_address=10.0.0.5` names a field of the list's objects."""
    if isinstance(item, dict):
        name, _, wanted = text.partition("=")
        return str(item.get(name)) == wanted
    return str(item) == text


def _sorted(bodies: list[Json], query: MultiDict[str, str], known: Collection[str]) -> list[Json]:
    directions = query.getlist("sort_dir")
    keys = list(enumerate(query.getlist("sort_key")))
    for at, key in reversed(keys):
        if key not in known:
            raise RequestError(f"{key} is invalid attribute for sort_keys")
        descending = at < len(directions) and directions[at] == "desc"
        bodies = sorted(bodies, key=lambda body: str(body.get(key)), reverse=descending)
    return bodies


def _page(bodies: list[Json], query: MultiDict[str, str]) -> list[Json]:
    marker, limit = query.get("marker"), query.get("limit")
    if marker is not None:
        ids = [body["id"] for body in bodies]
        if marker not in ids:
            raise RequestError(f"marker [{marker}] not found")
        bodies = bodies[ids.index(marker) + 1 :]
    if limit is None:
        return bodies
    if not (limit.isascii() and limit.isdigit()):
        raise RequestError(f"Bad limit value: {limit}")
    # Neutron's way: 0 is no limit.
    return bodies[: int(limit)] if int(limit) else bodies
