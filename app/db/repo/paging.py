"""Lists in pages: ordered by some columns, beginning after a marker row."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, and_, or_
from sqlalchemy.orm import Session

from tasks.errors import RequestError

#: Column -> values, one of which a row must have.
Facts = Mapping[str, Collection[str]]
NO_FACTS: Facts = {}


_Query = TypeVar("_Query", bound=Any)


def having(query: _Query, table: Any, facts: Facts) -> _Query:
    """Return the query for rows of the table with these facts."""
    for name, values in facts.items():
        query = query.where(getattr(table, name).in_(values))
    return query


@dataclass(frozen=True)
class Key:
    """One column of the order. It must not be null, and the last of an order must be unique."""

    column: Any
    descending: bool


@dataclass(frozen=True)
class Page:
    """Which part of a list is wanted: at most `limit` rows after the row with the id `marker`."""

    limit: int
    marker: str | None = None
    #: (name, descending); the names that a list knows are its own.
    order: tuple[tuple[str, bool], ...] = ()


def page(
    session: Session, query: Select[Any], keys: Sequence[Key], marker: object, limit: int
) -> Select[Any]:
    """Return the query, ordered and cut. `marker` is the primary key of the last row seen.

    Raises RequestError if that row is not in the list.
    """
    if marker is not None:
        names = [key.column for key in keys]
        of_marker = query.with_only_columns(*names).where(names[-1] == marker)
        values = session.execute(of_marker).one_or_none()
        if values is None:
            raise RequestError(f"marker [{marker}] not found")
        query = query.where(_after(keys, values))
    order = [key.column.desc() if key.descending else key.column.asc() for key in keys]
    return query.order_by(*order).limit(limit)


def _after(keys: Sequence[Key], values: Sequence[Any]) -> ColumnElement[bool]:
    """Rows that come later: equal in the first columns and beyond in the next."""
    alternatives = []
    for position, key in enumerate(keys):
        equal = [keys[before].column == values[before] for before in range(position)]
        value = values[position]
        beyond = key.column < value if key.descending else key.column > value
        alternatives.append(and_(*equal, beyond))
    return or_(*alternatives)
