"""The common words of lists: limit, marker, sort. Checked here, carried out by the queries."""

from collections.abc import Collection, Mapping
from typing import Any

from marshmallow import EXCLUDE, fields, validate

from app.api.versioned import Versioned
from app.services.pages import Page
from tasks.errors import RequestError

#: More are not given at once, whatever is asked.
MAX_LIMIT = 1000


class PageQuery(Versioned):
    """Which part of a list is wanted. Unknown parameters are ignored, as compute does at 2.1."""

    class Meta:
        unknown = EXCLUDE

    limit = fields.Integer(
        validate=validate.Range(min=0),
        metadata={"description": f"At most this many, and never more than {MAX_LIMIT}."},
    )
    marker = fields.String(metadata={"description": "The id of the last one seen."})
    sort_key = fields.List(fields.String())
    sort_dir = fields.List(fields.String(validate=validate.OneOf(("asc", "desc"))))


def read_page(query: Mapping[str, Any], known: Collection[str]) -> Page:
    """Return the page that a checked query asks for. Raises RequestError for an unknown order."""
    keys: list[str] = query.get("sort_key", [])
    directions: list[str] = query.get("sort_dir", [])
    for key in keys:
        if key not in known:
            raise RequestError(f"sort_key: {key} is none of {', '.join(sorted(known))}.")
    order = tuple(
        (key, (directions[at] if at < len(directions) else "desc") == "desc")
        for at, key in enumerate(keys)
    )
    limit = min(query.get("limit", MAX_LIMIT), MAX_LIMIT)
    return Page(limit=limit, marker=query.get("marker"), order=order)
