"""Times as each service spells them."""

from datetime import UTC, datetime

from marshmallow import validate

#: Nothing of ours is outside; a zone taken off the calendar's first or last year would leave it.
IN_CALENDAR = validate.Range(
    min=datetime(1970, 1, 1, tzinfo=UTC), max=datetime(9000, 1, 1, tzinfo=UTC)
)


def second_time(moment: datetime | None) -> str | None:
    """Return `2026-11-23T03:33:44Z`: compute, image and network."""
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_time(moment: datetime | None) -> str | None:
    """Return `2026-11-23T03:33:44.000000Z`: identity and Byre."""
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def bare_micro_time(moment: datetime | None) -> str | None:
    """Return `2026-11-23T03:33:44.000000`: compute's launched_at and the like."""
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
