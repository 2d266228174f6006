"""Which images a list is to have: Glance's words in a query."""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from app.api.image.images_schema import ImageQuery
from app.api.paging import read_page
from app.services.images import Wanted
from app.services.pages import IMAGE_ORDERS, Page, Span
from tasks.errors import RequestError

Json = dict[str, Any]

#: query parameter -> column
_FACTS = {
    "name": "name",
    "status": "status",
    "visibility": "visibility",
    "owner": "project_id",
    "disk_format": "disk_format",
    "container_format": "container_format",
    "min_disk": "min_disk_gib",
    "min_ram": "min_ram_mib",
    "checksum": "md5",
    "os_hash_value": "sha512",
    "protected": "protected",
    "id": "id",
}
#: Those that can be one of several.
_LISTS = frozenset({"id", "name", "status", "disk_format", "container_format"})
_SECOND = timedelta(seconds=1)


def read_wanted(query: Json) -> Wanted:
    """Return the filters of a checked query. Raises RequestError."""
    facts = {column: _values(name, query[name]) for name, column in _FACTS.items() if name in query}
    if query.get("visibility") == "all":
        del facts["visibility"]
    facts["hidden"] = [query.get("os_hidden", False)]
    known = set(ImageQuery().fields)
    properties = {name: value for name, value in query.items() if name not in known}
    return Wanted(facts, query.get("tag", ()), properties, tuple(_spans(query)))


def _values(name: str, value: Any) -> list[Any]:
    """`in:a,"b,c"` is one of several."""
    if name in _LISTS and value.startswith("in:"):
        rows = list(csv.reader([value.removeprefix("in:")], skipinitialspace=True))
        return [part.strip() for part in rows[0]] if rows else []
    return [value]


def _spans(query: Json) -> Iterator[Span]:
    if "size_min" in query:
        yield Span("size", least=query["size_min"])
    if "size_max" in query:
        yield Span("size", below=query["size_max"] + 1)
    for name in ("created_at", "updated_at"):
        for text in query.get(name, ()):
            yield _time_span(name, text)


def _time_span(name: str, text: str) -> Span:
    """Times are compared as they are shown: in whole seconds."""
    moment, operator = _moment(text), "eq"
    if moment is None:
        operator, _, rest = text.partition(":")
        moment = _moment(rest)
    if moment is None:
        raise RequestError(f"{name}: {text[:60]!r} is no time of ISO 8601, after OPERATOR: or not.")
    after = moment + _SECOND
    spans = {
        "eq": Span(name, moment, after),
        "neq": Span(name, moment, after, outside=True),
        "gt": Span(name, least=after),
        "gte": Span(name, least=moment),
        "lt": Span(name, below=moment),
        "lte": Span(name, below=after),
    }
    if operator not in spans:
        raise RequestError(f"{name}: {operator[:60]!r} is none of {', '.join(spans)}.")
    return spans[operator]


def _moment(text: str) -> datetime | None:
    """Return the second, in UTC unless it says otherwise; None if it is no time."""
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        # There must be one after it.
        return (moment + _SECOND).replace(microsecond=0) - _SECOND
    except (ValueError, OverflowError):
        return None


def read_part(query: Json) -> Page:
    """Return the page that is asked for. `sort=name:asc,id` says the same as sort_key and
    sort_dir. One direction is that of all keys, and without a key that of the time of creation.
    Raises RequestError."""
    if "sort" in query:
        if "sort_key" in query or "sort_dir" in query:
            raise RequestError("sort: goes without sort_key and sort_dir.")
        words = [word.partition(":") for word in query["sort"].split(",") if word]
        keys = [key for key, _, _ in words]
        directions = [direction or "desc" for _, _, direction in words]
        if not set(directions) <= {"asc", "desc"}:
            raise RequestError("sort: a direction is asc or desc.")
    else:
        directions = query.get("sort_dir", [])
        keys = query.get("sort_key", ["created_at"] if directions else [])
        if len(directions) == 1:
            directions = directions * len(keys)
        if directions and len(directions) != len(keys):
            raise RequestError("sort_dir: must be one, or as many as sort_key.")
    return read_page({**query, "sort_key": keys, "sort_dir": directions}, IMAGE_ORDERS)
